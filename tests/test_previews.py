"""The preview beside a file is a still picture wherever one can be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Runner, State, files_under, one_file
from tests.fake_civitai import FakeCivitai, FakeVersion, Status, jpeg_bytes, webm_bytes
from tests.helpers import read_json

IMAGES = "users/lantern_maker/models/Paper Lantern Style [10001]/v1.0 [20001]/images"


@pytest.fixture
def version(site: FakeCivitai) -> FakeVersion:
    """Add a version with one file that is shown by videos alone."""
    version = site.world.add_model().add_version()
    version.add_file("x.safetensors")
    version.add_image(4, "video")
    version.add_image(1, "video")
    return version


def stills_asked_for(site: FakeCivitai) -> list[str]:
    return [seen.path for seen in site.seen("image") if "anim=false" in seen.path]


@pytest.mark.usefixtures("version")
def test_the_preview_of_a_version_of_videos_is_a_still(run: Runner, out: Path, site: FakeCivitai, state: State) -> None:
    assert run("10001") == 0
    assert [path.rpartition("/")[2] for path in files_under(out, "x.*") if "preview" in path] == ["x.preview.webp"]
    assert set(files_under(out / IMAGES)) == {"40001.mp4", "40001.txt", "40002.mp4", "40002.txt"}
    manager = read_json(one_file(out, "x.metadata.json"))
    assert manager["preview_url"].endswith("/x.preview.webp")
    assert manager["preview_nsfw_level"] == 4
    assert {key[1] for key in state() if key[0] == "image"} == {"40001", "40002"}
    assert read_json(out / "report.json")["counts"] == {"done": 3}
    assert len(stills_asked_for(site)) == 1
    site.forget()
    assert run("10001") == 0
    assert not site.seen("image")


def test_every_file_of_a_version_has_the_still_and_it_is_fetched_once(
    run: Runner, out: Path, site: FakeCivitai, version: FakeVersion
) -> None:
    version.add_file("y.ckpt", primary=False)
    assert run("10001") == 0
    assert one_file(out, "x.preview.webp").read_bytes() == one_file(out, "y.preview.webp").read_bytes()
    assert len(stills_asked_for(site)) == 1
    version.add_file("z.ckpt", primary=False)
    assert run("10001", "--refresh") == 0
    assert one_file(out, "z.preview.webp")
    assert len(stills_asked_for(site)) == 1


@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_the_video_is_the_preview_only_where_no_still_can_be_had(
    run: Runner, out: Path, site: FakeCivitai, version: FakeVersion, ending: str
) -> None:
    for image in version.images:
        image.no_still = True
        image.content = webm_bytes(1) if ending == "webm" else None
    assert run("10001") == 0
    assert one_file(out, f"x.{ending}").read_bytes() == one_file(out, f"40001.{ending}").read_bytes()
    assert not list(out.rglob("*.preview*"))
    assert read_json(one_file(out, "x.metadata.json"))["preview_url"].endswith(f"/x.{ending}")
    assert not (out / "failed.txt").exists()
    assert not (out / "corrupted").exists()
    site.forget()
    assert run("10001") == 0
    assert not site.seen("image")
    for image in version.images:
        image.no_still = False
    assert run("10001", "--refresh") == 0
    assert one_file(out, "x.preview.webp")


@pytest.mark.parametrize(
    "fault",
    [
        Status(500),
        Status(200, b"\0\0\0\x18ftypisom" + bytes(90), content_type="video/mp4"),
        Status(200, "<html>no</html>", content_type="text/html"),
        Status(200, b"GIF89a" + bytes(90), content_type="image/gif"),
    ],
    ids=["refused", "video", "page", "gif"],
)
@pytest.mark.usefixtures("version")
def test_a_still_that_is_none_is_no_failure(run: Runner, out: Path, site: FakeCivitai, fault: Status) -> None:
    site.fail("anim=false", fault, times=None)
    assert run("10001") == 0
    assert one_file(out, "x.mp4")
    assert not list(out.rglob("*.preview*"))
    assert not (out / "corrupted").exists()


def test_a_still_in_another_form_gets_its_ending(
    run: Runner, out: Path, site: FakeCivitai, version: FakeVersion
) -> None:
    site.fail("anim=false", Status(200, jpeg_bytes(1), content_type="image/jpeg"), times=None)
    assert run("10001") == 0
    assert one_file(out, "x.preview.jpg").read_bytes() == jpeg_bytes(1)


def test_a_still_picture_among_videos_is_the_preview(run: Runner, out: Path, version: FakeVersion) -> None:
    version.add_image(2)
    assert run("10001") == 0
    assert one_file(out, "x.preview.png").samefile(one_file(out, "40003.png"))
    assert read_json(one_file(out, "x.metadata.json"))["preview_nsfw_level"] == 2


@pytest.mark.parametrize("option", ["metadata", "images"])
@pytest.mark.usefixtures("version")
def test_no_still_is_fetched_where_no_sidecars_are_written(
    run: Runner, out: Path, site: FakeCivitai, option: str
) -> None:
    assert run("10001", "--only", option) == 0
    assert not stills_asked_for(site)


def test_a_file_that_does_not_come_has_no_preview(
    run: Runner, out: Path, site: FakeCivitai, version: FakeVersion
) -> None:
    site.fail("site:/api/download", Status(404), times=None)
    assert run("10001") == 1
    assert not list(out.rglob("x.*"))


@pytest.mark.usefixtures("version")
def test_a_version_without_pictures_but_sound_has_no_preview(run: Runner, out: Path, version: FakeVersion) -> None:
    for image in version.images:
        image.kind, image.content = "audio", b"ID3" + bytes(200)
    assert run("10001") == 0
    assert {path.rpartition("/")[2] for path in files_under(out / "users", "x.*")} == {
        "x.safetensors",
        "x.civitai.info",
        "x.json",
        "x.metadata.json",
    }


def test_a_diffusers_archive_has_sidecars_and_a_preview(run: Runner, out: Path, site: FakeCivitai) -> None:
    version = site.world.add_model(type="Checkpoint").add_version()
    version.add_file("mix.zip", metadata={"format": "Diffusers"})
    version.add_image()
    assert run("10001") == 0
    found = {path.rpartition("/")[2].removeprefix("mix") for path in files_under(out, "mix.*")}
    assert found == {".zip", ".civitai.info", ".json", ".metadata.json", ".preview.png"}


def test_a_picture_that_lies_there_with_an_ending_in_capitals_is_taken(
    run: Runner, out: Path, site: FakeCivitai
) -> None:
    version = site.world.add_model().add_version()
    version.add_file("x.safetensors")
    image = version.add_image()
    (out / IMAGES).mkdir(parents=True)
    (out / IMAGES / "40001.PNG").write_bytes(image.data)
    assert run("10001") == 0
    assert not site.seen("image")
    assert one_file(out, "x.preview.png").read_bytes() == image.data
