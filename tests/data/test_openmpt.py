"""Modules are played by instrument; needs libopenmpt, as Debian's package libopenmpt0."""

import ctypes.util

import numpy as np
import pytest

from bassdiff.audio.pitch import track_pitch
from bassdiff.data import openmpt
from bassdiff.data.openmpt import Module
from bassdiff.runtime.errors import InputError


@pytest.fixture
def path(tmp_path, tracker_module):
    (tmp_path / "a.mod").write_bytes(tracker_module())
    return tmp_path / "a.mod"


@pytest.mark.openmpt
def test_instruments_add_up_to_the_song(path):
    song = Module(path)
    assert song.names[:3] == ["thanks to all"] * 3
    together = song.play(range(len(song.names)), 60.0)
    assert len(together) == pytest.approx(4 * 7.68 * 44100, abs=0.2 * 44100)
    alone = [song.play([number], 60.0) for number in range(3)]
    np.testing.assert_allclose(sum(alone), together, atol=1e-5)
    assert all(np.abs(part).max() > 0.05 for part in alone)


@pytest.mark.openmpt
def test_an_instrument_plays_its_own_notes(path):
    track = track_pitch(Module(path).play([0], 60.0))
    heard = np.unique(
        np.rint(69 + 12 * np.log2(track.f0_hz[track.voiced] / 440)), return_counts=True
    )
    notes = {int(note) for note, count in zip(*heard, strict=True) if count > 50}
    assert notes == {36, 38, 41, 43}


@pytest.mark.openmpt
def test_nothing_is_played_after_the_longest_duration(path):
    assert len(Module(path).play([0], 1.5)) == round(1.5 * 44100)


@pytest.mark.openmpt
def test_what_is_no_module_is_refused(tmp_path):
    (tmp_path / "a.mod").write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a tracker module"):
        Module(tmp_path / "a.mod")


def test_a_missing_library_is_named_with_where_to_get_it(path, monkeypatch):
    openmpt._library.cache_clear()
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    with pytest.raises(InputError, match="libopenmpt, which is not installed; install it"):
        Module(path)
    openmpt._library.cache_clear()


def test_a_missing_module_is_named(tmp_path):
    with pytest.raises(InputError, match=r"b\.xm: cannot be read"):
        Module(tmp_path / "b.xm")
