"""The benchmark runs, with what this machine has and with nothing but Python."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

if os.name == "nt":
    pytest.skip("the benchmark measures on POSIX only", allow_module_level=True)

from tests.bench import __main__ as bench
from tests.bench import origin, scenarios


def rows(text: str, scenario: str) -> list[str]:
    """The lines of a scenario that hold a program and figures."""
    return [line for line in text.splitlines() if re.match(rf"{re.escape(scenario)}  .*\d\.\d{{3}}", line)]


@pytest.mark.long
def test_a_table_of_costs_and_bounds_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--quick", "--scenario", "cold", "state-log", "hashes", "--folder", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert len(rows(printed, "cold start")) == 4
    assert re.search(r"ours --help +\d+\.\d+ +1\.00 .* \(at most 2\.5: (yes|NO)\) x python -c pass", printed)
    assert re.search(r"log of 62500 lines +ours .*\(at most 5: (yes|NO)\) s", printed)
    assert len(rows(printed, "SHA256 of 4 files")) == (2 if shutil.which("openssl") else 1)
    assert list(tmp_path.iterdir()) == []


def test_files_are_measured_without_nginx_and_peers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(origin, "find_nginx", lambda: None)
    monkeypatch.setattr(scenarios, "installed", lambda programs: programs[:1])
    monkeypatch.setattr(bench, "PEERS", ("no-such-peer",))
    assert bench.main(["--quick", "--scenario", "each-capped", "--folder", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "a small server of Python; not installed: no-such-peer" in printed
    (ours,) = (line for line in rows(printed, "20 MiB/s each") if " ours " in line)
    # Seconds, less a start-up that a busy machine makes long; without the cap it would be a few hundredths.
    assert float(ours.split()[4]) > 0.2
    assert "x 8 full connections" in ours
    assert "aria2c -x8: not measured" in ours
