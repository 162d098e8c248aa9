"""`failed.txt` is read back as it was written, whatever stands in it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from civitai_downloader.__main__ import command_parser, read_line, settings_from
from civitai_downloader.core.failed import write_wrong
from civitai_downloader.core.inputs import collect
from civitai_downloader.core.settings import Settings
from civitai_downloader.core.targets import Entry, Target
from civitai_downloader.util.errors import UsageError
from civitai_downloader.util.shell import quoted, split_words, without_comment
from tests.conftest import Runner, one_file
from tests.fake_civitai import FakeCivitai, FakeModel
from tests.helpers import Err

PIECES = [*"#-,;'\"\\ /()[]{}<>|=&%:*", "  ", "--", ", ", " #", "{creator}", "{type}", "빨강", "ü", "a", "B1", "\u2028"]
ODD = st.lists(st.sampled_from(PIECES) | st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).map("".join)


def entries(words: list[str]) -> list[Entry]:
    """Return what a command with these words asks for."""
    given = vars(command_parser().parse_args(words))
    return collect(given, settings_from(given), partial(read_line, given)).entries


def means(found: list[Entry]) -> list[tuple[Target, Settings]]:
    """Return what entries ask for, without the words that said it."""
    return [(entry.target, entry.settings) for entry in found]


def assert_read_back(folder: Path, asked: list[Entry]) -> None:
    """Write the lines into a `failed.txt` and read it."""
    path = folder / "failed.txt"
    path.unlink(missing_ok=True)
    write_wrong(folder, {entry.source: ["why, # and how"] for entry in asked}, ["x"])
    assert means(entries(["--models", str(path)])) == means(asked)
    again = path.read_bytes()
    write_wrong(folder, {entry.source: ["why, # and how"] for entry in asked}, ["x"])
    assert path.read_bytes() == again


@given(ODD)
def test_a_quoted_word_is_read_back(word: str) -> None:
    line = f"10001 {quoted(word)} --latest"
    assert without_comment(line) == line
    assert split_words(line) == ["10001", word, "--latest"]


@given(ODD)
def test_odd_layouts_are_read_back(tmp_path: Path, layout: str) -> None:
    assume(layout != "--")
    try:
        asked = entries(["10001", f"--layout={layout}", "--latest"])
    except UsageError:
        assume(False)
    assert_read_back(tmp_path, asked)


@given(st.sampled_from(["tag", "user"]), ODD, st.booleans())
@example("tag", "0\u2028<", False)
@example("user", "a\u2028:b", False)
def test_odd_names_are_read_back(tmp_path: Path, kind: str, name: str, coded: bool) -> None:
    asked = entries([f"https://civitai.com/{kind}/{quote(name, safe='') if coded else name}", "--types=LORA"])
    assume(asked)
    assert_read_back(tmp_path, asked)


@pytest.mark.parametrize(
    "words",
    [
        ["10001", "--layout", "#{creator}"],
        ["10001", "--layout=-{creator}"],
        ["10001", "--layout=- {creator}"],
        ["10001", "--layout", "{creator},"],
        ["10001", "--layout", 'it\'s "{creator}" # x'],
        ["10001", "--base-models=-a,# b", "--types", "LORA"],
        ["https://civitai.com/tag/paper light"],
        ["https://civitai.com/tag/paper%2Flight"],
        ["https://civitai.com/tag/a,"],
    ],
)
def test_these_are_read_back(tmp_path: Path, words: list[str]) -> None:
    asked = entries(words)
    assert len(asked) == 1
    assert_read_back(tmp_path, asked)


# --- By the command ------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["#{creator}", "-{creator}", "{creator},", 'it\'s "{creator}"'])
def test_what_failed_is_retried_with_its_odd_layout(
    run: Runner, site: FakeCivitai, out: Path, lora: FakeModel, layout: str
) -> None:
    lora.versions[0].needs_token = True
    assert run("10001@20002", "--only", "models", f"--layout={layout}") == 1
    assert run("--retry-failed", "--token", "good-token") == 0
    name = layout.replace("{creator}", "lantern_maker").replace('"', "_")
    assert name.rstrip(",") in one_file(out, "paper_xl.safetensors").parent.name
    assert not (out / "failed.txt").exists()


@pytest.mark.parametrize("spelled", ["paper%2Flight", "paper%252Flight", "a%20b%2Fc"])
def test_a_tag_with_a_slash_is_understood(run: Runner, site: FakeCivitai, out: Path, spelled: str) -> None:
    tag = "a b/c" if "c" in spelled else "paper/light"
    site.world.add_model("Tagged", tags=[tag]).add_version().add_file("tagged.safetensors")
    site.world.add_model("Other", tags=["paper"]).add_version().add_file("other.safetensors")
    assert run(f"{site.url}/tag/{spelled}") == 0
    assert [path.name for path in out.rglob("*.safetensors")] == ["tagged.safetensors"]


def test_a_long_failed_txt_is_read_at_once(run: Runner, out: Path) -> None:
    out.mkdir()
    (out / "failed.txt").write_text(
        "# Written by civitai-downloader\n"
        + "# a comment\n" * 60_000
        + "# Not used: /x, line 5: y\n#: z\n" * 30_000
        + "777\n"
    )
    assert run("--retry-failed") == 1
    assert "777" in (out / "failed.txt").read_text("utf-8").splitlines()


@pytest.mark.usefixtures("lora")
@pytest.mark.parametrize("name", ["failed.txt", "retry.sh", "retry.bat"])
@pytest.mark.parametrize("target", ["10001", "777"])
def test_a_folder_where_a_file_is_to_be_written_is_named(
    run: Runner, out: Path, err: Err, name: str, target: str
) -> None:
    (out / name).mkdir(parents=True)
    (out / name / "mine").write_text("mine")
    run(target)
    assert "Traceback" not in err()
    assert (out / name / "mine").read_text() == "mine"
