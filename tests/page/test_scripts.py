"""The page's scripts that need no browser: the search language, addresses, and the worker's answers, run by node."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "scripts"


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
@pytest.mark.parametrize("name", sorted(path.name for path in SCRIPTS.glob("*.test.js")))
def test_a_script_does_what_its_own_tests_say(name: str) -> None:
    done = subprocess.run(["node", "--test", name], cwd=SCRIPTS, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
