"""Every set provides any of its stems as the target; the rest, and with it the bass, is the mix."""

import numpy as np
import pytest

from bassdiff.data.datasets.preparing import prepare
from bassdiff.data.sources import open_source
from bassdiff.data.target import BASS, aimed
from bassdiff.runtime.errors import InputError, UnusableSong


@pytest.fixture
def prepared(tmp_path, request):
    """The specification of a prepared set."""
    name, fixture, collection = request.param
    options = {"max_seconds": 4.0}
    if fixture == "composed":
        prepare(name, tmp_path / "data", num_songs=2, **options)
    elif fixture == "midi":
        write_midi, band = (request.getfixturevalue(one) for one in ("write_midi", "band"))
        (tmp_path / "midi").mkdir()
        write_midi(tmp_path / "midi" / "a.mid", band)
        prepare(name, tmp_path / "data", tmp_path / "midi", collection="band", **options)
    elif fixture == "module":
        (tmp_path / "songs").mkdir()
        (tmp_path / "songs" / "a.mod").write_bytes(request.getfixturevalue("tracker_module")())
        prepare(name, tmp_path / "data", tmp_path / "songs")
    else:
        prepare(name, tmp_path / "data", request.getfixturevalue(fixture))
    return f"tfds:{name}{collection}@{tmp_path / 'data'}"


MODULE = pytest.param(
    ("tracker_modules", "module", "/songs"), "drums", ["drums"], marks=pytest.mark.openmpt
)


@pytest.mark.parametrize(
    ("prepared", "target", "chosen"),
    [
        (("musdb18_hq", "musdb", ""), "drums", ["drums"]),
        (("musdb18_hq", "musdb", ""), "vocals", ["vocals"]),
        (("musdb18_hq", "musdb", ""), "other", ["other"]),
        (("moisesdb", "moises", ""), "guitar", ["guitar"]),
        (("moisesdb", "moises", ""), "drums+vocals", ["drums", "vocals"]),
        (("slakh2100", "slakh", ""), "guitar", ["guitar"]),
        (("stem_folders", "stem_folder", "/my_songs"), "keys", ["keys"]),
        (("midi_folder", "midi", ""), "drums", ["drums"]),
        (("composed_songs", "composed", ""), "arpeggio", ["arpeggio"]),
        MODULE,
    ],
    indirect=["prepared"],
)
def test_a_set_gives_any_of_its_stems(prepared, target, chosen):
    source = open_source(prepared, "all")
    songs = aimed(source, target)
    assert list(songs.names) == list(source.names)
    given, song = source[0], songs[0]
    stems = {BASS: given.bass, **given.others}
    assert any(np.any(stems[name]) for name in chosen)
    expected = np.stack([stems[name] for name in chosen]).sum(axis=0)
    np.testing.assert_array_equal(song.bass, expected)
    rest = {name: audio for name, audio in stems.items() if name not in chosen}
    assert song.others.keys() == rest.keys() and BASS in rest
    for name, audio in rest.items():
        np.testing.assert_array_equal(song.others[name], audio)
    whole = given.bass + given.mix()
    np.testing.assert_allclose(song.bass + song.mix(), whole, atol=1e-6)


@pytest.mark.parametrize(
    "prepared", [("musdb18_hq", "musdb", ""), ("slakh2100", "slakh", "")], indirect=True
)
def test_a_target_that_a_set_lacks_is_named_with_what_it_has(prepared):
    songs = aimed(open_source(prepared, "all"), "strings")
    with pytest.raises((InputError, UnusableSong), match="has no strings; its stems are bass, dr"):
        songs[0]
