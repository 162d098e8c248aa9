"""Which things of a list come: by days, order and number; and what is never fetched."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from civitai_downloader.util.errors import OptionError
from civitai_downloader.util.values import day
from tests.conftest import Runner
from tests.fake_civitai import FakeCivitai
from tests.helpers import TOKEN, Captured, add_model, names_on_disk, read_json


@pytest.fixture
def maker(site: FakeCivitai) -> str:
    """Add three models of one creator, one a month, and return the link to the list of them."""
    for name, date, downloads, thumbs in (("jan", "01", 5, 30), ("feb", "02", 50, 10), ("mar", "03", 20, 20)):
        model = site.world.add_model(name, creator="maker", downloads=downloads, thumbs=thumbs)
        model.add_version(published=f"2026-{date}-15T12:00:00.000Z").add_file(f"{name}.safetensors")
    return f"{site.url}/user/maker/models"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("--since 2026-02-15", {"feb", "mar"}),
        ("--until 2026-02-15", {"jan", "feb"}),
        ("--since 2026-02-15 --until 2026-02-15", {"feb"}),
        ("--since 2026-02-16 --until 2026-03-14", set()),
        ("--max-models 1 --sort newest", {"mar"}),
        ("--max-models 1 --sort oldest", {"jan"}),
        ("--max-models 1 --sort downloads", {"feb"}),
        ("--max-models 2 --sort likes", {"jan", "mar"}),
        ("--max-models 2 --sort newest --until 2026-02-28", {"jan", "feb"}),
        ("--max-models 9", {"jan", "feb", "mar"}),
        ("--sort oldest", {"jan", "feb", "mar"}),
    ],
)
def test_days_order_and_number_choose_from_a_list(
    run: Runner, out: Path, maker: str, words: str, names: set[str]
) -> None:
    assert run(maker, *words.split()) == 0
    assert names_on_disk(out) == names


def test_the_whole_list_is_ordered_before_it_is_cut(run: Runner, site: FakeCivitai, out: Path) -> None:
    for number in range(150):
        downloads = 1000 if number == 140 else number
        add_model(site.world, f"m{number}", creator="maker", downloads=downloads)
    assert run(f"{site.url}/user/maker/models", "--sort", "downloads", "--max-models", "1", "--only", "models") == 0
    assert names_on_disk(out) == {"m140"}


def test_a_number_holds_across_the_pages_of_a_list(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    for number in range(250):
        add_model(site.world, f"m{number}", creator="maker")
    words = ["--dry-run", "--only", "metadata", f"{site.url}/user/maker/models"]
    for most in (3, 100, 101, 240):
        site.forget()
        capsys.readouterr()
        assert run(*words, "--max-models", str(most)) == 0
        assert len(capsys.readouterr().out.splitlines()) == most
        assert len(site.requests) == -(-most // 100)


def test_an_order_is_the_order_of_requests(run: Runner, site: FakeCivitai, maker: str) -> None:
    assert run(maker, "--sort", "oldest", "--workers", "1", "--only", "models") == 0
    asked = [seen.path for seen in site.seen("site") if "/api/download" in seen.path]
    assert [path.rpartition("/")[2] for path in asked] == ["20001", "20002", "20003"]


def test_days_choose_among_the_versions_of_a_listed_model(run: Runner, site: FakeCivitai, out: Path) -> None:
    model = site.world.add_model("a", creator="maker")
    for month in ("01", "02"):
        model.add_version(published=f"2026-{month}-01T23:59:59.000Z").add_file(f"v{month}.safetensors")
    assert run(f"{site.url}/user/maker/models", "--since", "2026-02-01", "--until", "2026-02-01") == 0
    assert names_on_disk(out) == {"v02"}


def test_what_is_named_is_never_cut_by_days_or_counts(run: Runner, maker: str, out: Path) -> None:
    assert maker
    assert run("10001", "10002@20002", "20003", "--since", "2030-01-01", "--max-models", "1", "--sort", "newest") == 0
    assert names_on_disk(out) == {"jan", "feb", "mar"}


def test_collections_and_tags_are_chosen_from_too(run: Runner, site: FakeCivitai, maker: str, out: Path) -> None:
    assert maker
    number = site.world.add_collection("Models", [10001, 10002, 10003], type="Model").id
    assert run(f"{site.url}/collections/{number}", "--sort", "downloads", "--max-models", "1", *TOKEN) == 0
    assert names_on_disk(out) == {"feb"}
    assert run(f"{site.url}/tag/style", "--since", "2026-03-01", "-o", str(out / "tag")) == 0
    assert names_on_disk(out / "tag") == {"mar"}


def test_pictures_of_a_user_are_chosen_by_their_day(run: Runner, site: FakeCivitai, out: Path) -> None:
    for month in ("01", "02", "03"):
        site.world.add_image(username="maker", created=f"2026-{month}-10T00:00:00.000Z")
    assert run(f"{site.url}/user/maker/images", "--since", "2026-02-10", "--until", "2026-02-10") == 0
    assert [path.stem for path in out.rglob("*.png")] == ["40002"]


def test_options_of_a_line_choose_for_that_line(run: Runner, maker: str, out: Path) -> None:
    assert run(lines=[f"{maker} --sort newest --max-models 1", "10001"]) == 0
    assert names_on_disk(out) == {"jan", "mar"}


def test_a_dry_run_chooses_in_the_same_way(run: Runner, maker: str, capsys: Captured) -> None:
    assert run(maker, "--sort", "newest", "--max-models", "2", "--dry-run") == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == ["10003@20003", "10002@20002"]


def test_a_day_is_read() -> None:
    today = datetime.now(timezone.utc).date()
    assert day("2026-02-28") == "2026-02-28"
    assert day("0d") == today.isoformat()
    assert day("30D") == (today - timedelta(days=30)).isoformat()
    for text in ("", "yesterday", "2026-02-30", "2026-2-3", "30", "-3d", "999999d", "2026-01-01T00:00"):
        with pytest.raises(OptionError):
            day(text)


def test_days_that_end_before_they_begin_are_refused(run: Runner, capsys: Captured) -> None:
    assert run("10001", "--since", "2026-02-02", "--until", "2026-02-01") == 2
    assert "later than" in capsys.readouterr().err


# --- What is never fetched -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("https://civitai.com/models/10001", {"feb", "mar"}),
        ("10001", {"feb", "mar"}),
        ("https://civitai.com/models/10001?modelVersionId=20001 # once deleted", {"feb", "mar"}),
        ("https://civitai.com/api/download/models/20001", {"feb", "mar"}),
        ("urn:air:sdxl:lora:civitai:10001@20001", {"feb", "mar"}),
        ("https://civitai.com/user/MAKER", set()),
        ("10001\n\n10002", {"mar"}),
        ("HASH", {"feb", "mar"}),
    ],
)
@pytest.mark.parametrize("how", ["option", "file"])
def test_what_is_excluded_never_comes(
    run: Runner, site: FakeCivitai, maker: str, out: Path, tmp_path: Path, line: str, names: set[str], how: str
) -> None:
    out.mkdir()
    line = line.replace("HASH", hashlib.sha256(site.world.versions[20001].files[0].data).hexdigest())
    path = tmp_path / "no.txt" if how == "option" else out / "exclude.txt"
    path.write_text(line, "utf-8")
    more = ["--exclude", str(path)] if how == "option" else []
    assert run(maker, "10001", "20001", "10002@20002", *more) == 0
    assert names_on_disk(out) == names
    outcomes = {each["source"].split()[0]: each["outcome"] for each in read_json(out / "report.json")["targets"]}
    assert "failed" not in outcomes.values()
    assert outcomes["10001"] == "skipped"


def test_if_everything_is_excluded_nothing_is_asked_and_the_code_is_0(
    run: Runner, site: FakeCivitai, tmp_path: Path, capsys: Captured, out: Path
) -> None:
    add_model(site.world, "a")
    (tmp_path / "no.txt").write_text("10001\nhttps://civitai.com/user/maker\nhttps://civitai.com/images/40001", "utf-8")
    words = ["10001", f"{site.url}/user/maker", f"{site.url}/images/40001", "--exclude", "no.txt"]
    assert run(*words) == 0
    assert not site.requests
    assert "excluded" in capsys.readouterr().err
    assert run(*words, "--dry-run") == 0
    assert capsys.readouterr().out.count("excluded") == 3
    assert names_on_disk(out) == set()


def test_an_excluded_picture_comes_from_no_gallery(run: Runner, site: FakeCivitai, out: Path) -> None:
    version = site.world.add_model("a").add_version()
    version.add_file("a.safetensors")
    version.add_image()
    for _ in range(2):
        site.world.add_image([version.id])
    out.mkdir()
    (out / "exclude.txt").write_text("https://civitai.com/images/40002", "utf-8")
    assert run("10001") == 0
    assert {path.stem for path in out.rglob("images/*.png")} == {"40001", "40003"}
    assert {path.stem for path in out.rglob("images/*.txt")} == {"40001", "40003"}


def test_an_exclude_list_that_can_not_be_read_is_an_error(run: Runner, site: FakeCivitai, capsys: Captured) -> None:
    add_model(site.world, "a")
    assert run("10001", "--exclude", "nowhere.txt") == 2
    assert "nowhere.txt can't be read" in capsys.readouterr().err
    assert not site.requests


def test_a_line_of_an_exclude_list_that_names_nothing_is_told(
    run: Runner, site: FakeCivitai, tmp_path: Path, capsys: Captured
) -> None:
    add_model(site.world, "a")
    (tmp_path / "no.txt").write_text("nonsense words\n", "utf-8")
    assert run("10001", "--exclude", "no.txt") == 0
    assert "no.txt, line 1: there is no link or ID" in capsys.readouterr().err
