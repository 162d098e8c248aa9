"""Companions: a file goes along with the model file of the longest stem that it begins with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civitai_downloader.core.companions import behind_stem, companions

BESIDE = [
    ".civitai.info", ".metadata.json", ".metadata.json.bak", ".cm-info.json", ".json", ".preview.png", ".png", ".yaml",
    ".txt", ".example.3.jpg", ".thumb.jpg", ".sha256", "_2.jpg", ".PREVIEW.PNG",
]  # fmt: skip


@pytest.mark.parametrize("ending", BESIDE)
def test_what_people_have_beside_a_model_goes_along(ending: str) -> None:
    assert companions(["foo.safetensors", f"foo{ending}"]) == {"foo.safetensors": (f"foo{ending}",)}


@pytest.mark.parametrize("ending", BESIDE)
def test_a_longer_stem_wins(ending: str) -> None:
    names = ["foo.safetensors", "foo.v2.safetensors", f"foo.v2{ending}", "foo.v2", "foo.v21.txt"]
    found = companions(names)
    assert f"foo.v2{ending}" in found["foo.v2.safetensors"]
    assert set(found["foo.safetensors"]) == {"foo.v2", "foo.v21.txt"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["foo.safetensors", "foobar.txt", "foo", "bar.txt", "foo-preview.png"], {"foo.safetensors": ()}),
        (["foo.safetensors", "foo.safetensors.part", "foo.zip", "foo.crdownload"], {"foo.safetensors": ()}),
        (["foo.safetensors", "foo.ckpt", "foo.json"], {"foo.safetensors": ("foo.json",), "foo.ckpt": ()}),
        (["FOO.safetensors", "foo.json"], {"FOO.safetensors": ("foo.json",)}),
        (
            ["foo.pt", "FOO.safetensors", "foo.json", "FOO.json", "Foo.txt"],
            {"foo.pt": ("Foo.txt", "foo.json"), "FOO.safetensors": ("FOO.json",)},
        ),
        (["ca\u0301.pt", "c\u00e1.txt"], {"ca\u0301.pt": ("c\u00e1.txt",)}),
        (["foo.ckpt", "foo.vae.pt", "foo.yaml"], {"foo.ckpt": ("foo.vae.pt", "foo.yaml"), "foo.vae.pt": ()}),
        (["foo.vae.pt", "foo.vae.json"], {"foo.vae.pt": ("foo.vae.json",)}),
        (
            ["foo.safetensors", "foo.vae.safetensors", "foo.vae.preview.png"],
            {"foo.safetensors": ("foo.vae.preview.png", "foo.vae.safetensors"), "foo.vae.safetensors": ()},
        ),
        (["a_1.safetensors", "a.safetensors", "a_1.jpg"], {"a_1.safetensors": ("a_1.jpg",), "a.safetensors": ()}),
        ([], {}),
    ],
)  # fmt: skip
def test_whose_companion_a_file_is(names: list[str], expected: dict[str, tuple[str, ...]]) -> None:
    assert companions(names) == expected


@pytest.mark.parametrize(
    ("name", "model", "behind"),
    [
        ("ca\u0301.json", "c\u00e1.pt", ".json"),
        ("c\u00e1.preview.png", "ca\u0301.pt", ".preview.png"),
        ("FOO_1.jpg", "foo.pt", "_1.jpg"),
        ("foo.v2.json", "foo.pt", ".v2.json"),
        ("strasse.json", "stra\u00dfe.pt", ".json"),
    ],
)
def test_what_stands_behind_a_stem_that_is_spelled_otherwise(name: str, model: str, behind: str) -> None:
    assert companions([name, model])[model] == (name,)
    assert behind_stem(name, model) == behind


STEMS = st.lists(st.sampled_from(["a", "a.b", "a.b.c", "b", "A", "a_1", "á", "a.vae"]), min_size=1, unique=True)
ENDINGS = st.sampled_from([".safetensors", ".ckpt", ".vae.pt", ".txt", ".preview.png", ".part", "_1.jpg", "", ".zip"])


@given(st.lists(st.tuples(STEMS, ENDINGS), max_size=8))
def test_each_file_has_one_owner_which_is_never_itself(parts: list[tuple[list[str], str]]) -> None:
    names = sorted({stem + ending for stems, ending in parts for stem in stems})
    found = companions(names)
    owned = [name for files in found.values() for name in files]
    assert len(owned) == len(set(owned))
    assert set(owned) <= set(names)
    for owner, files in found.items():
        stem = owner.rpartition(".")[0].casefold()
        assert owner not in files
        assert all(name.casefold().startswith(stem.removesuffix(".vae")) for name in files)
        if owner in owned:  # what goes along itself has none of its own
            assert files == ()
