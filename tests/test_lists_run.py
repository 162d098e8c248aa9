"""What the command makes of lists, from the first line to report.json and failed.txt."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from civitai_downloader.core.folders import is_model
from civitai_downloader.core.ours import FAILED_MARK
from tests import fake_civitai as fake
from tests.conftest import Runner, files_under
from tests.fake_civitai import FakeCivitai, FakeModel
from tests.fake_civitai.pictures import ACCOUNT
from tests.helpers import DOWNLOAD, LORA_PAGE, MANY, Captured, add_model, names_on_disk, newest, read_json

GOOD = "https://civitai.com/models/10001?modelVersionId=20001"


# --- Lines that could not be used ----------------------------------------------------------------


@pytest.mark.usefixtures("lora")
def test_unusable_lines_are_counted_and_the_first_ten_named(run: Runner, out: Path, capsys: Captured) -> None:
    lines = [f"nonsense {number}th" for number in range(14)]
    assert run("--only", "metadata", "--no-gallery", lines=[GOOD, *lines]) == 1
    shown = capsys.readouterr().err
    assert "Lines that could not be used (14):" in shown
    assert shown.count("isn't a supported link") == 10
    assert "models.txt, line 11: 'nonsense 9th' isn't a supported link" in shown
    assert "and 4 more" in shown
    problems = read_json(out / "report.json")["problems"]
    assert [each["line"] for each in problems] == list(range(2, 16))
    assert problems[0]["file"] == "models.txt"
    assert problems[0]["text"] == "nonsense 0th"
    assert "supported link" in problems[0]["reason"]


@pytest.mark.usefixtures("lora")
def test_unusable_lines_stand_in_failed_txt_until_the_list_is_corrected(
    run: Runner, out: Path, tmp_path: Path, capsys: Captured
) -> None:
    damaged = "https://civitai.com/models/10001?modelVersionId=abc&token=hush-hush"
    plain = ("--only", "metadata", "--no-gallery")
    (tmp_path / "other.txt").write_text("what is this?\n")
    assert run(*plain, "other.txt", "models.txt", lines=[GOOD, damaged, "10001 --bogus"]) == 1
    failed = (out / "failed.txt").read_text("utf-8")
    assert "models.txt, line 2: The link is damaged" in failed
    assert "#: https://civitai.com/models/10001?modelVersionId=abc\n" in failed
    assert "#: 10001 --bogus" in failed
    assert "hush-hush" not in failed + capsys.readouterr().err
    assert all(line.startswith("#") for line in failed.splitlines() if line)
    assert not (out / "retry.sh").exists()
    assert run(*plain, "--retry-failed") == 2
    assert run(*plain, "777", "--retry-failed") == 1
    assert (out / "failed.txt").read_text("utf-8").count("#: ") == 3
    assert (out / "failed.txt").read_text("utf-8").splitlines()[2].startswith("# 777 --only")
    assert run(*plain, lines=[GOOD, GOOD.replace("1?", "1/x?"), "10001"]) == 0
    assert "other.txt, line 1" in (out / "failed.txt").read_text("utf-8")
    assert "models.txt" not in (out / "failed.txt").read_text("utf-8")
    (tmp_path / "other.txt").write_text("10001\n")
    assert run(*plain, "other.txt", "--retry-failed") == 1
    assert (out / "failed.txt").read_text("utf-8").splitlines()[-1] == "777 --only metadata --no-gallery"


@pytest.mark.usefixtures("lora")
def test_a_comment_of_failed_txt_can_be_corrected_and_retried(run: Runner, out: Path) -> None:
    plain = ("--only", "metadata", "--no-gallery")
    assert run(*plain, lines=["20002", "https://civitai.com/models/10001?modelVersionId=20001x"]) == 1
    failed = out / "failed.txt"
    failed.write_text(failed.read_text("utf-8").replace("#: ", "").replace("20001x", "20001y"), "utf-8")
    assert run(*plain, "--retry-failed") == 2
    assert run(*plain, "20002", "--retry-failed") == 1
    assert (out / "failed.txt").read_text("utf-8").count("20001y") == 1
    failed.write_text(failed.read_text("utf-8").replace("#: ", "").replace("20001y", "20001"), "utf-8")
    assert run(*plain, "--retry-failed") == 0
    assert not failed.exists()


def test_many_comments_in_failed_txt_are_read_quickly(run: Runner, out: Path, site: FakeCivitai) -> None:
    add_model(site.world, "lantern")
    out.mkdir()
    (out / "failed.txt").write_text(FAILED_MARK + "# a comment\n" * 60_000 + "777\n", "utf-8")
    assert run("10001", "--only", "metadata") == 0
    assert (out / "failed.txt").read_text("utf-8").endswith("777\n")


def test_a_layout_that_begins_with_a_number_sign_comes_back_from_failed_txt(
    run: Runner, out: Path, site: FakeCivitai
) -> None:
    add_model(site.world, "lantern")
    site.fail(DOWNLOAD, fake.Status(404), times=MANY)
    assert run(lines=["10001 --layout '#{creator}'"]) == 1
    site.heal()
    assert run("--retry-failed") == 0
    assert (out / "#maker/lantern.safetensors").is_file()


@pytest.mark.usefixtures("lora")
def test_a_dry_run_and_a_list_without_a_link_name_unusable_lines_too(run: Runner, capsys: Captured) -> None:
    assert run("--dry-run", lines=[GOOD, "nonsense"]) == 1
    assert "models.txt, line 2: 'nonsense' isn't a supported link" in capsys.readouterr().err
    assert run(lines=["nonsense", "https://civitai.com/user/account"]) == 2
    shown = capsys.readouterr().err
    assert "Lines that could not be used (2):" in shown
    assert "/user/account is a settings page" in shown


@pytest.mark.usefixtures("lora")
def test_a_foreign_link_is_named_by_its_host(run: Runner, capsys: Captured) -> None:
    assert run(lines=["https://huggingface.co/a/b?token=hush"]) == 2
    shown = capsys.readouterr().err
    assert "it leads to huggingface.co, not to Civitai" in shown
    assert "hush" not in shown


# --- Forms that lead to something ----------------------------------------------------------------


@pytest.mark.usefixtures("lora")
def test_two_links_and_words_around_them_bring_both(run: Runner, out: Path, state: Any) -> None:
    assert run("--no-gallery", lines=[f'"a": "{GOOD}", "b": [x]({GOOD.replace("20001", "20002")}) and a title']) == 0
    assert names_on_disk(out) == {"paper_sd15", "paper_xl"}


@pytest.mark.usefixtures("lora")
def test_a_damaged_line_brings_nothing_rather_than_everything(run: Runner, site: FakeCivitai, out: Path) -> None:
    assert run(lines=["https://civitai.com/models/10001?modelVersionId=20001abc"]) == 2
    assert not site.requests
    assert run("--no-gallery", lines=["https://civitai.com/models/10001?modelVersionId=20001)"]) == 0
    assert names_on_disk(out) == {"paper_sd15"}


def test_an_escaped_download_link_brings_the_file_that_it_names(run: Runner, out: Path, mix: FakeModel) -> None:
    version = next(each for each in mix.versions if each.name == "new").id
    link = f"https://civitai.com/api/download/models/{version}?type=Model&amp;format=PickleTensor"
    assert run("--no-gallery", lines=[link]) == 0
    assert names_on_disk(out, "users/**/mix.*") & {"mix.safetensors", "mix"} == {"mix"}
    assert not list(out.rglob("mix.safetensors"))
    assert list(out.rglob("mix.ckpt"))


@pytest.mark.parametrize(
    "form", ["{site}/images?modelVersionId=20002", "https://civitai.com/images?modelVersionId=20002"]
)
@pytest.mark.usefixtures("lora")
def test_the_gallery_of_a_version_comes_home_without_its_files(
    run: Runner, site: FakeCivitai, out: Path, form: str
) -> None:
    link = form.format(site=site.url)
    assert run(link, "--no-gallery") == 0
    folder = out / LORA_PAGE / "v2.0 [20002]/images"
    assert {path.stem for path in folder.glob("*")} == {"40001", "40002", "40003"}
    assert not list(out.rglob("*.safetensors"))
    site.forget()
    assert run(link) == 0
    assert not site.requests
    assert run("--dry-run", link) == 0
    assert run(link, "--only", "models") == 0
    assert not list(out.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("kind", "length"), [("AutoV1", 8), ("AutoV3", 12), ("SHA256", 12), ("SHA256", 64), ("AutoV2", 10)]
)
def test_a_hash_of_any_length_finds_its_version(
    run: Runner, site: FakeCivitai, out: Path, kind: str, length: int
) -> None:
    digest = add_model(site.world, "lantern").files[0].body.hashes[kind][:length]
    assert run("--no-gallery", lines=[f"hash: {digest}"]) == 0
    assert names_on_disk(out) == {"lantern"}
    site.forget()
    assert run("--no-gallery", f"https://civitai.com/api/v1/model-versions/by-hash/{digest}") == 0
    assert not [seen for seen in site.requests if kind != "SHA256" or length == 64]


def test_twelve_digits_that_only_begin_like_a_hash_find_nothing(run: Runner, site: FakeCivitai, out: Path) -> None:
    digest = add_model(site.world, "lantern").files[0].body.hashes["SHA256"].lower()
    wrong = digest[:10] + ("00" if digest[10:12] != "00" else "11")
    assert run(wrong) == 1
    assert not list(out.rglob("*.safetensors"))


@pytest.mark.usefixtures("lora")
def test_a_stored_picture_is_fetched_only_if_its_number_is_its_id(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    image = site.world.images[40003]
    link = f"https://image.civitai.com/{ACCOUNT}/{{}}/original=true/40003.jpeg"
    assert run(link.format("00000000-0000-4000-8000-00000000ffff")) == 1
    assert "isn't the ID of the picture" in capsys.readouterr().err
    assert not list(out.glob("images/*"))
    assert run(link.format(image.uuid)) == 0
    assert (out / "images/40003.txt").is_file()


def test_a_list_comes_from_standard_input(
    run: Runner, site: FakeCivitai, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    add_model(site.world, "lantern")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"\xef\xbb\xbf# a list\n10001\nnonsense\n")))
    assert run("-", "--no-gallery") == 1
    assert names_on_disk(out) == {"lantern"}
    assert "standard input, line 3: 'nonsense'" in capsys.readouterr().err
    assert "standard input, line 3" in (out / "failed.txt").read_text("utf-8")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"10001\n")))
    assert run("--models", "-") == 0
    assert not (out / "failed.txt").exists()
    monkeypatch.setattr(sys, "stdin", None)
    assert run("-") == 2
    assert "no standard input" in capsys.readouterr().err


# --- The site's archive --------------------------------------------------------------------------


def test_a_link_of_the_archive_means_the_sites_own_model(run: Runner, site: FakeCivitai, out: Path) -> None:
    version = add_model(site.world, "lantern")
    version.model.add_version("v2").add_file("second.safetensors")
    link = f"https://civarchive.com/models/{version.model.id}?modelVersionId={version.id}"
    assert run("--no-gallery", lines=[link]) == 0
    assert names_on_disk(out) == {"lantern"}
    site.forget()
    assert run("--no-gallery", lines=[link.replace("civarchive.com", "www.civitaiarchive.com/civitai")]) == 0
    assert not site.requests


def test_what_the_site_has_not_got_the_archive_may_have(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    add_model(site.world, "lantern")
    link = "https://civarchive.com/models/110828?modelVersionId=119514"
    assert run("--no-gallery", lines=[link, "https://civitai.com/models/110829"]) == 1
    shown = capsys.readouterr().err
    assert f"The site no longer has this; {link} may still have it." in shown
    assert "No longer on the site: the archive named may still have it (1)" in shown
    assert "models/110829 may still" not in shown
    (first, _) = read_json(out / "report.json")["files"]
    assert first["reason"] == "in-archive"
    assert run("--dry-run", link) == 1
    assert "may still have it" in capsys.readouterr().err
    site.world.models.clear()
    assert run("--no-gallery", lines=[f"https://civarchive.com/sha256/{'ab' * 32}"]) == 1
    assert "may still have it" in capsys.readouterr().err


# --- A file that is no list ----------------------------------------------------------------------

SAFETENSORS = fake.safetensors_bytes("x", 200_000)


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("x.safetensors", SAFETENSORS, "a model file (safetensors)"),
        ("x.txt", SAFETENSORS, "a model file (safetensors)"),
        ("x.gguf", b"GGUF\x03" + bytes(100), "a model file (GGUF)"),
        ("x.zip", b"PK\x03\x04" + b"10001\n" * 100, "a zip file"),
        ("x.ckpt", b"PK\x03\x04" + bytes(100), "a zip file"),
        ("x.pt", b"\x80\x02}q\x01." + b"\n10001\n", "a pickle file"),
        ("x.png", b"\x89PNG\r\n\x1a\n" + bytes(100), "a picture"),
        ("x.jpg", b"\xff\xd8\xff\xe0" + b"10001\n", "a picture"),
        ("x.webp", b"RIFF\x10\x00\x00\x00WEBPVP8 ", "a picture"),
        ("x.mp4", b"\x00\x00\x00\x18ftypmp42" + b"10001\n", "a video"),
        ("x.pdf", b"%PDF-1.7\n10001\n", "a PDF file"),
        ("x.7z", b"7z\xbc\xaf\x27\x1c10001\n", "a 7z file"),
        ("x.gz", b"\x1f\x8b\x0810001\n", "a gzip file"),
        ("x.onnx", b"\x08\x07\x12\x00\n10001\n", "a binary file"),
        ("x.bin", b"10001\n\x00\n10002\n", "a binary file"),
        ("x16.bin", b"\xff\xfe\x00\x00\x01\x00\x00\x00" + bytes(80), "a binary file"),
    ],
)
def test_a_file_that_is_no_list_is_one_sentence(
    run: Runner, site: FakeCivitai, tmp_path: Path, capsys: Captured, name: str, data: bytes, kind: str
) -> None:
    (tmp_path / name).write_bytes(data)
    before = files_under(tmp_path)
    alone = [] if is_model(name) else [(name,)]  # else it is no list but an INPUT of its own
    for words in (*alone, ("--models", name), ("--users", name)):
        assert run(*words) == 2
        shown = capsys.readouterr().err
        assert len(shown.splitlines()) == 1
        assert f"{name} is {kind}" in shown
    assert not site.requests
    assert files_under(tmp_path) == before


def test_a_file_of_gigabytes_is_not_read(run: Runner, site: FakeCivitai, tmp_path: Path, capsys: Captured) -> None:
    with (tmp_path / "big.txt").open("wb") as file:
        file.write(b"10001\n" * 20_000)
        if os.name != "nt":
            file.truncate(5 << 30)
        else:
            file.truncate((64 << 20) + 1)
    assert run("big.txt") == 2
    assert "larger than 64 MB" in capsys.readouterr().err
    assert not site.requests


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_list_in_utf_16_is_a_list(run: Runner, site: FakeCivitai, out: Path, tmp_path: Path, encoding: str) -> None:
    add_model(site.world, "lantern")
    mark = "" if encoding == "utf-16" else "\ufeff"
    (tmp_path / "list.txt").write_bytes(f"{mark}# 목록\r\n10001\r\n".encode(encoding))
    assert run("list.txt", "--no-gallery") == 0
    assert names_on_disk(out) == {"lantern"}


@pytest.mark.parametrize("start", ["BM models", "ID3 tags", "MZ", "GG", "PK", "%PDF"])
def test_a_text_that_begins_like_another_file_is_a_list(
    run: Runner, site: FakeCivitai, out: Path, tmp_path: Path, start: str
) -> None:
    add_model(site.world, "lantern")
    (tmp_path / "list.txt").write_text(f"{start}: https://civitai.com/models/10001\n")
    assert run("list.txt", "--no-gallery") == 0
    assert names_on_disk(out) == {"lantern"}


def test_a_list_beside_a_model_file_still_runs(run: Runner, site: FakeCivitai, out: Path, tmp_path: Path) -> None:
    add_model(site.world, "lantern")
    (tmp_path / "x.pkl").write_bytes(SAFETENSORS)
    (tmp_path / "list.txt").write_text("10001\n")
    assert run("x.pkl", "list.txt", "--no-gallery") == 1
    assert names_on_disk(out) == {"lantern"}
    assert "safetensors" in json.dumps(read_json(out / "report.json")["problems"])


def test_a_file_wins_over_a_path_that_looks_like_the_end_of_a_link(
    run: Runner, site: FakeCivitai, out: Path, tmp_path: Path
) -> None:
    version = add_model(site.world, "lantern")
    add_model(site.world, "second")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/10002.txt").write_text(f"{version.model.id}\n")
    assert run("models/10002.txt", "--no-gallery") == 0
    assert names_on_disk(out) == {"lantern"}
    assert run("models/10002", "--no-gallery") == 0
    assert names_on_disk(out) == {"lantern", "second"}


@pytest.mark.usefixtures("lora")
def test_a_value_of_an_option_that_was_torn_is_an_error(run: Runner, capsys: Captured) -> None:
    assert run(lines=["10001 --types LORA, Checkpoint"]) == 2
    assert "ends with a comma" in capsys.readouterr().err


def test_options_hold_for_every_link_of_a_line(run: Runner, out: Path, lora: FakeModel) -> None:
    assert run("--no-gallery", lines=["https://civitai.com/models/10001 Paper -> Lantern --latest  a title"]) == 0
    assert names_on_disk(out) == {newest(lora).files[0].name.removesuffix(".safetensors")}


def test_an_input_of_the_command_may_hold_words_and_several_links(
    run: Runner, site: FakeCivitai, out: Path, capsys: Captured
) -> None:
    first, second = add_model(site.world, "lantern").model.id, add_model(site.world, "second").model.id
    links = [f"https://civitai.com/models/{number}" for number in (first, second)]
    assert run(f"two: {links[0]}, {links[1]}", "--no-gallery") == 0
    assert names_on_disk(out) == {"lantern", "second"}
    site.forget()
    assert run(" ".join(links), f"[x]({links[0]})", "--no-gallery") == 0
    assert not site.requests
    assert run(f"{links[0]}?modelVersionId=x") == 2
    assert "can't be read" in capsys.readouterr().err
