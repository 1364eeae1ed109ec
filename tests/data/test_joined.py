import numpy as np
import pytest

from bassdiff.audio.pitch import pitch_agreement
from bassdiff.data.joined import revoiced
from bassdiff.data.sources import open_source
from bassdiff.metrics.timbre import timbre, timbre_distance
from bassdiff.synthesis.stems import StemFolder


def test_plus_joins_in_order(midi_folder):
    joined = open_source(f"midi:{midi_folder}+composed:2", max_seconds=3.0)
    assert joined.names == ["song1", "song2", "song3", "song4", "song6", "composed-0", "composed-1"]
    assert len(joined) == 7
    assert joined[4].name == "song6"
    assert joined[5].name == joined[-2].name == "composed-0"
    with pytest.raises(IndexError):
        joined[7]


def test_a_line_in_the_sound_of_another_song():
    source = open_source("composed:3+composed:1", max_seconds=12.0)
    own, line = source[0].bass, revoiced(source, 0, 0)
    np.testing.assert_allclose(line / np.abs(line).max(), own / np.abs(own).max(), atol=1e-3)
    other = revoiced(source, 0, 2)[: len(own)]
    assert pitch_agreement(own[: len(other)], other).within_25_cents > 0.8
    assert timbre_distance(timbre(other), timbre(own)) > 0.5
    assert revoiced(source, 0, 3) is None


def test_recorded_basses_cannot_be_played_anew(tmp_path):
    assert revoiced(StemFolder(str(tmp_path), [tmp_path, tmp_path]), 0, 1) is None
