"""--krita fills in trigger words of `loras.json`, and nothing that the plugin of Krita would stumble over."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.krita import Lora, fill, joined, read_entries
from civitai_downloader.util.errors import UsageError
from civitai_downloader.util.names import name_key
from tests.conftest import Runner, files_under
from tests.fake_civitai import FakeCivitai
from tests.helpers import Err
from tests.updates_library import add_models, put


@dataclass
class PluginFile:
    """An entry as the plugin has it: another key, or none of the first three, and nothing is loaded at all."""

    id: str
    name: str
    source: int
    format: str = "unknown"
    hash: str | None = None
    path: str | None = None
    size: int | None = None
    metadata: dict[str, Any] | None = None


def plugin_reads(path: Path) -> dict[str, str]:
    """Return the trigger words by id, read as the plugin does where the locale's encoding is that of Windows."""
    lines = path.read_text("cp1252").splitlines()
    found = json.loads("\n".join("" if line.strip().startswith("//") else line for line in lines))
    files = [PluginFile(**each) for each in found]
    assert all(0 <= each.source <= 3 for each in files)
    return {each.id: (each.metadata or {}).get("lora_triggers", "") for each in files}


def entry(name: str, **more: Any) -> dict[str, Any]:
    """Return an entry as the plugin makes it of a file on its server."""
    plain = name.replace("\\", "/").rpartition(".")[0]
    return {"id": name, "name": plain, "source": 2, "format": "lora", **more}


def lora(path: str, words: str = "lantern", sha256: str = "aa") -> Lora:
    return Lora(tuple(map(name_key, path.split("/"))), sha256, words)


def words_of(name: str, *loras: Lora) -> str:
    entries = [entry(name)]
    fill(entries, loras)
    return str((entries[0].get("metadata") or {}).get("lora_triggers", ""))


@pytest.mark.parametrize(
    ("name", "loras", "words"),
    [
        ("a.safetensors", [lora("/m/loras/a.safetensors")], "lantern"),
        ("x\\y\\a.safetensors", [lora("/m/loras/x/y/a.safetensors")], "lantern"),
        ("X/A.SafeTensors", [lora("/m/loras/x/a.safetensors")], "lantern"),
        ("캐릭터\\등불.safetensors", [lora("/m/캐릭터/등불.safetensors")], "lantern"),
        ("e\u0301.safetensors", [lora("/m/\u00e9.safetensors")], "lantern"),
        ("a.safetensors", [lora("/m/ba.safetensors")], ""),
        ("a.safetensors", [lora("/m/a.ckpt")], ""),
        ("a.safetensors", [lora("/m/a.safetensors", "")], ""),
        ("x/a.safetensors", [lora("/m/y/a.safetensors", "y"), lora("/m/x/a.safetensors", "x", "bb")], "x"),
        ("p/x/a.safetensors", [lora("/m/q/x/a.safetensors", "q"), lora("/m/p/x/a.safetensors", "p", "bb")], "p"),
        ("a.safetensors", [lora("/m/x/a.safetensors", "x"), lora("/m/y/a.safetensors", "y", "bb")], ""),
        ("a.safetensors", [lora("/m/x/a.safetensors", ""), lora("/m/y/a.safetensors", "y")], "y"),
        ("a.safetensors", [lora("/m/x/a.safetensors", "x", ""), lora("/m/y/a.safetensors", "y", "")], ""),
        ("z/a.safetensors", [lora("/m/x/a.safetensors", "x"), lora("/m/y/a.safetensors", "x", "bb")], ""),
    ],
)
def test_an_entry_is_the_file_whose_folders_agree_furthest(name: str, loras: list[Lora], words: str) -> None:
    assert words_of(name, *loras) == words


@pytest.mark.parametrize(
    ("metadata", "after"),
    [
        (None, {"lora_triggers": "new"}),
        ({}, {"lora_triggers": "new"}),
        ({"lora_triggers": ""}, {"lora_triggers": "new"}),
        ({"lora_triggers": " \n"}, {"lora_triggers": "new"}),
        ({"lora_triggers": None}, {"lora_triggers": "new"}),
        ({"lora_triggers": "mine"}, {"lora_triggers": "mine"}),
        ({"lora_strength": 0.7, "x": [1]}, {"lora_strength": 0.7, "x": [1], "lora_triggers": "new"}),
    ],
)
def test_only_what_is_empty_is_filled_in(metadata: Any, after: Any) -> None:
    entries = [entry("a.safetensors", metadata=metadata)]
    fill(entries, [lora("/m/a.safetensors", "new")])
    assert entries == [entry("a.safetensors", metadata=after)]


@given(st.lists(st.text(max_size=20), max_size=5))
def test_words_are_joined_as_the_plugin_puts_them_behind_a_prompt(words: list[str]) -> None:
    text = joined(words)
    assert text == text.strip(" ,")
    assert "\n" not in text
    assert joined([text]) == text or "," in text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (bytes(100), "is empty"),
        (b"[{", "is broken"),
        (b"[" * 100_000, "is broken"),
        (b"{}", "isn't a loras.json"),
        (b"null", "isn't a loras.json"),
        (b"[1]", "isn't a loras.json"),
        (b'[{"id": "a", "name": "a"}]', "isn't a loras.json"),
        (b'[{"id": 1, "name": "a", "source": 1}]', "isn't a loras.json"),
        (b'[{"id": "a", "name": "a", "source": "1"}]', "isn't a loras.json"),
        (b'[{"id": "a", "name": "a", "source": 7}]', "isn't a loras.json"),
        (b'[{"id": "a", "name": "a", "source": 1, "metadata": []}]', "isn't a loras.json"),
    ],
)
def test_what_the_plugin_would_not_load_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_entries(data, Path("loras.json"))


# --- The command ------------------------------------------------------------------------------------


@pytest.fixture
def root(site: FakeCivitai, run: Runner, tmp_path: Path) -> Path:
    """Return a folder with two LoRAs and a checkpoint that has been completed."""
    root = tmp_path / "models"
    models = add_models(site.world, 3)
    models[0].versions[0].trained_words = ["paper lantern,", "night\nrain", "提灯"]
    models[2].type, models[2].versions[0].trained_words = "Checkpoint", ["no LoRA"]
    put(root, models, "loras/sub", logged=False)
    assert run(str(root)) == 0
    site.forget()
    return root


@pytest.fixture
def loras(tmp_path: Path) -> Path:
    path = tmp_path / "krita" / "loras.json"
    path.parent.mkdir()
    return path


def write(path: Path, *entries: dict[str, Any]) -> bytes:
    path.write_text(json.dumps(entries, indent=2), "ascii")
    return path.read_bytes()


def test_words_come_from_the_library_without_a_request(
    run: Runner, site: FakeCivitai, root: Path, loras: Path, err: Err
) -> None:
    mine = entry("mine.safetensors", metadata={"lora_triggers": "mine", "lora_strength": 0.5})
    before = write(
        loras,
        entry("sub\\lantern_0.safetensors"),
        entry("lantern_1.safetensors"),
        mine,
        entry("lantern_2.safetensors"),
        entry("gone.safetensors"),
    )
    library = files_under(root)
    err()
    assert run("--krita", str(loras), str(root)) == 0
    told = err()
    words = plugin_reads(loras)
    assert words == {
        "sub\\lantern_0.safetensors": "paper lantern, night rain, 提灯", "lantern_1.safetensors": "",
        "mine.safetensors": "mine", "lantern_2.safetensors": "", "gone.safetensors": "",
    }  # fmt: skip
    after = json.loads(loras.read_bytes())
    assert after[1:] == json.loads(before)[1:]
    assert loras.read_bytes().isascii()
    assert loras.with_name("loras.json.bak").read_bytes() == before
    assert "1 of 5 entries got trigger words, 1 had some" in told
    assert "No file on disk has the name of gone.safetensors" in told
    assert "no trigger words: lantern_1.safetensors" in told
    assert "If Krita was open, close it" in told
    assert not site.requests
    assert files_under(root) == library


def test_the_output_folder_is_the_library_without_an_input(run: Runner, root: Path, loras: Path) -> None:
    write(loras, entry("lantern_0.safetensors"))
    assert run("--krita", str(loras), "-o", str(root)) == 0
    assert plugin_reads(loras)["lantern_0.safetensors"].startswith("paper lantern")


def test_a_second_run_and_a_dry_run_write_nothing(run: Runner, root: Path, loras: Path) -> None:
    before = write(loras, entry("lantern_0.safetensors"))
    assert run("--krita", str(loras), str(root), "--dry-run") == 0
    assert files_under(loras.parent) == {"loras.json": before}
    assert run("--krita", str(loras), str(root)) == 0
    first = files_under(loras.parent)
    assert run("--krita", str(loras), str(root)) == 0
    assert files_under(loras.parent) == first


def test_the_first_backup_stays(run: Runner, root: Path, loras: Path) -> None:
    loras.with_name("loras.json.bak").write_text("the first", "utf-8")
    write(loras, entry("lantern_0.safetensors"))
    assert run("--krita", str(loras), str(root)) == 0
    assert loras.with_name("loras.json.bak").read_text("utf-8") == "the first"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp949"])
def test_other_encodings_and_comments_are_understood(encoding: str, run: Runner, root: Path, loras: Path) -> None:
    entries = [entry("lantern_0.safetensors"), entry("등불.safetensors", metadata={"lora_triggers": "밤 등불"})]
    text = "// made by hand\n" + json.dumps(entries, ensure_ascii=False, indent=2)
    loras.write_bytes(text.encode(encoding))
    assert run("--krita", str(loras), str(root)) == 0
    words = plugin_reads(loras)
    assert words["등불.safetensors"] == "밤 등불"
    assert words["lantern_0.safetensors"].startswith("paper lantern")


@pytest.mark.parametrize("data", [b"", b"[{", b"{}"])
def test_a_file_of_another_form_stays_and_is_told_in_one_sentence(
    data: bytes, run: Runner, root: Path, loras: Path, err: Err
) -> None:
    loras.write_bytes(data)
    err()
    assert run("--krita", str(loras), str(root)) == 2
    assert len(err().strip().splitlines()) == 1
    assert files_under(loras.parent) == {"loras.json": data}


def test_a_library_that_no_run_has_seen_is_told(run: Runner, tmp_path: Path, loras: Path, err: Err) -> None:
    write(loras, entry("a.safetensors"))
    assert run("--krita", str(loras)) == 2
    assert "No models are recorded" in err()
    assert run("--krita", str(loras.with_name("none.json"))) == 2
    assert "can't be read" in err()


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_a_link_stays_a_link(run: Runner, root: Path, loras: Path, tmp_path: Path) -> None:
    write(loras, entry("lantern_0.safetensors"))
    link = tmp_path / "link.json"
    link.symlink_to(loras)
    assert run("--krita", str(link), str(root)) == 0
    assert link.is_symlink()
    assert plugin_reads(loras)["lantern_0.safetensors"]


@pytest.mark.skipif(os.name == "nt", reason="there are no pipes in folders")
def test_a_pipe_is_never_waited_for(run: Runner, root: Path, loras: Path) -> None:
    os.mkfifo(loras)
    assert run("--krita", str(loras), str(root)) == 2
