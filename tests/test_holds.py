"""What copies claim: one has a thing, others ask again, and what is left by a copy that is no more is free."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from civitai_downloader.core.holds import Hold
from civitai_downloader.core.shares import Share
from civitai_downloader.core.turns import Turn
from civitai_downloader.util.clock import Clock
from civitai_downloader.util.errors import Failure
from civitai_downloader.util.rests import Resting
from tests.conftest import FakeClock, Runner
from tests.fake_civitai import FakeCivitai
from tests.helpers import names_on_disk
from tests.holding import held

FIRST = Share(1, 2)


def hold_of(root: Path, share: Share | None = FIRST, clock: Clock | None = None) -> Hold:
    """Return what a copy holds that begins in a folder."""
    turn = Turn(root, share, clock or Clock())
    return Hold(turn, turn.take(None))


def claim_of(root: Path, thing: str) -> Path:
    """Return the file of a claim."""
    return root / ".cache/claims" / hashlib.sha256(thing.encode()).hexdigest()[:32]


def leave(root: Path, thing: str, said: bytes) -> Path:
    """Leave a claim of another copy."""
    path = claim_of(root, thing)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(said)
    return path


def test_a_run_alone_claims_nothing(tmp_path: Path) -> None:
    hold = hold_of(tmp_path, None)
    with hold.claiming(["model/1"]):
        assert not (tmp_path / ".cache").exists()
    hold.release()


def test_what_is_claimed_is_given_back_once_it_is_on_record(tmp_path: Path) -> None:
    clock = FakeClock()
    hold = hold_of(tmp_path, clock=clock)
    with hold.claiming(["model/1", "place/x"]):
        assert claim_of(tmp_path, "model/1").is_file()
        assert hold.settled() == []
    assert hold.settled() == []
    clock.sleep(Hold.SETTLED)
    assert len(hold.settled()) == 2
    with hold.claiming(["model/1"]):
        assert hold.settled() == [claim_of(tmp_path, "place/x")]
        hold.free([claim_of(tmp_path, "model/1")])
        assert claim_of(tmp_path, "model/1").is_file()
    hold.release()
    assert not [*(tmp_path / ".cache/claims").iterdir()]


def test_what_a_copy_has_that_works_is_not_had(tmp_path: Path) -> None:
    lock = tmp_path / "download_state.2-of-2.lock"
    path = leave(tmp_path, "model/1", b'{"copy": "2-of-2"}\n')
    hold = hold_of(tmp_path)
    with held(lock), pytest.raises(Resting), hold.claiming(["model/2", "model/1"]):
        pass
    assert path.read_bytes() == b'{"copy": "2-of-2"}\n'
    assert hold.settled() == []
    time.sleep(Hold.FRESH)
    with hold.claiming(["model/1"]):
        assert b"1-of-2" in path.read_bytes()
    hold.release()
    assert not path.exists()


@pytest.mark.parametrize(
    ("said", "seconds", "is_free"),
    [
        (b'{"copy": "2-of-2"}\n', 0, True),
        (b'{"copy": "1-of-2"}\n', 0, True),
        (b'{"copy": "7-of-9"}\n', 0, True),
        (b"", 0, False),
        (b"", 100, True),
        (b'{"copy": "../../../etc/passwd"}\n', 0, False),
        (b"\xff\0nonsense", 100, True),
    ],
)
def test_what_is_left_of_a_copy_that_is_no_more_is_free(
    tmp_path: Path, said: bytes, seconds: float, is_free: bool
) -> None:
    path = leave(tmp_path, "model/1", said)
    os.utime(path, (time.time() - seconds,) * 2)
    hold = hold_of(tmp_path)
    taken = False
    try:
        with hold.claiming(["model/1"]):
            taken = True
    except Resting:
        pass
    hold.release()
    assert taken == is_free


def test_a_link_in_the_place_of_the_claims_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "out/.cache").mkdir(parents=True)
    (tmp_path / "out/.cache/claims").symlink_to(tmp_path / "theirs")
    hold = hold_of(tmp_path / "out")
    with pytest.raises(Failure), hold.claiming(["model/1"]):
        pass
    hold.release()
    assert not [*(tmp_path / "theirs").iterdir()]


def test_a_thing_that_another_copy_brings_is_asked_for_again_until_that_is_done(
    site: FakeCivitai, run: Runner, out: Path
) -> None:
    file = site.world.add_model().add_version().add_file("lantern.safetensors")
    mine = next(index for index in (1, 2) if Share(index, 2).has("model", 10001))
    other = f"{3 - mine}-of-2"
    path = leave(out, file.published_hashes["SHA256"].lower(), f'{{"copy": "{other}"}}\n'.encode())
    ended: dict[str, Any] = {}

    def go() -> None:
        ended["code"] = run("10001", "--shard", f"{mine}/2")

    with held(out / f"download_state.{other}.lock"):
        worker = threading.Thread(target=go)
        worker.start()
        deadline = time.monotonic() + 50
        while not any(out.rglob("model.json")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert not names_on_disk(out)
        assert worker.is_alive()
        assert not site.seen("storage")
        path.unlink()
        worker.join(50)
    assert ended == {"code": 0}
    assert names_on_disk(out) == {"lantern"}


def test_nothing_else_writes_to_the_folder_while_a_copy_works(run: Runner, out: Path, site: FakeCivitai) -> None:
    site.world.add_model().add_version().add_file("lantern.safetensors")
    assert run("10001") == 0
    with held(out / "download_state.1-of-2.lock"):
        for words in (["10001"], ["--refilter"], ["--verify"], ["--page"], ["--compact"], ["--updates"], ["--undo"]):
            assert run(*words) == 2, words
        assert run("10001", "--dry-run") == 0
    assert run("--refilter") == 0
