"""A signal ends a run at once, whatever its workers wait for, and the next run goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests import fake_civitai as fake
from tests.conftest import Runner, one_file
from tests.fake_civitai import FakeCivitai
from tests.helpers import MANY, ROOT, STORAGE, link

BLOCKED: list[tuple[str, fake.Host, fake.Action]] = [
    ("reading a body", "storage", fake.Stall(100_000)),
    ("reading headers", "storage", fake.Stall()),
    ("a standstill", "site", fake.busy(429, 200)),
    ("asking the API", "site", fake.Stall(20)),
]


def leave(site: FakeCivitai, out: Path, host: fake.Host, *signals: signal.Signals) -> str:
    """Start the command and send it signals while its workers wait for ten minutes. Return what it said."""
    version = site.world.add_model().add_version()
    for number in range(6):
        version.add_file(f"lantern_{number}.safetensors", size=300_000)
    words = ["-m", "civitai_downloader", link(site), "--site", site.url, "-o", str(out), "--timeout", "600"]
    # A test run in the background ignores Ctrl-C, and its children would, too.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, stderr=subprocess.PIPE, preexec_fn=heed)
    deadline = time.monotonic() + 50
    while len(site.seen(host)) < (4 if host == "storage" else 1):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.2)  # All workers wait by now, most likely. A signal that comes earlier must do as well.
    for number in signals:
        process.send_signal(number)
        time.sleep(0.1)
    said = process.communicate(timeout=50)[1].decode()
    assert process.returncode == 130
    return said


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX here")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_is_under_way_and_the_next_run_goes_on(
    site: FakeCivitai, out: Path, run: Runner, number: signal.Signals
) -> None:
    file = site.world.add_model().add_version().add_file("big.safetensors", size=5_000_000)
    site.rate_per_connection = 400_000
    words = [sys.executable, "-m", "civitai_downloader", "10001", "--site", site.url, "-o", str(out)]
    # A test run in the background ignores Ctrl-C, and its children would, too.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    one_line = [*words, "--connections", "1"]
    process = subprocess.Popen(one_line, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    deadline = time.monotonic() + 50
    while not [path for path in out.rglob("*.part") if path.stat().st_size > 200_000]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    _, shown = process.communicate(timeout=50)
    assert process.returncode == 130
    assert "Interrupted" in shown
    assert "Traceback" not in shown
    assert "# interrupted\n10001\n" in (out / "failed.txt").read_text("utf-8")
    # The file would have its final name if the run had waited for it.
    assert one_file(out, "big.safetensors.part").stat().st_size >= 200_000
    site.rate_per_connection = None
    site.forget()
    assert run("--retry-failed") == 0
    assert "range" in site.seen("storage")[0].headers
    assert one_file(out, "big.safetensors").read_bytes() == file.data
    assert not (out / "failed.txt").exists()


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX here")
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
@pytest.mark.parametrize(("where", "host", "action"), BLOCKED, ids=[each[0] for each in BLOCKED])
def test_a_signal_ends_the_run_while_all_workers_wait(
    site: FakeCivitai, out: Path, where: str, host: fake.Host, action: fake.Action, number: signal.Signals
) -> None:
    site.fail(f"{host}:/", action, times=MANY)
    said = leave(site, out, host, number)
    assert "Interrupted" in said
    assert "Traceback" not in said
    assert "# interrupted" in (out / "failed.txt").read_text("utf-8")


@pytest.fixture
def deaf() -> Iterator[str]:
    """Yield a link to a port where no connection is ever taken, because its only waiting place is full."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX here")
def test_a_signal_ends_the_run_while_all_workers_connect(site: FakeCivitai, out: Path, deaf: str) -> None:
    site.fail(STORAGE, fake.RedirectTo(deaf), times=MANY)
    assert "Traceback" not in leave(site, out, "storage", signal.SIGINT)


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX here")
@pytest.mark.parametrize(("where", "host", "action"), BLOCKED, ids=[each[0] for each in BLOCKED])
def test_a_second_signal_changes_nothing_but_the_haste(
    site: FakeCivitai, out: Path, where: str, host: fake.Host, action: fake.Action
) -> None:
    site.fail(f"{host}:/", action, times=MANY)
    assert "Traceback" not in leave(site, out, host, signal.SIGINT, signal.SIGINT)
    assert "# interrupted" in (out / "failed.txt").read_text("utf-8")
