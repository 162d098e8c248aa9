"""What a progress display is told."""

from __future__ import annotations

from civitai_downloader.util.progress import Progress


def test_progress_counts_what_arrives() -> None:
    progress = Progress()
    one, two = progress.begin("one", 10), progress.begin("two", None)
    progress.add(one, 4)
    progress.add(two, 5)
    assert [(meter.name, meter.total, meter.done) for meter in progress.active()] == [("one", 10, 4), ("two", None, 5)]
    progress.end(one)
    assert progress.active() == [two]
    assert progress.received == 9
