import numpy as np
import pytest

from bassdiff.data.datasets.song import FEATURES, to_example, to_stems
from bassdiff.synthesis.annotation import Annotation
from bassdiff.synthesis.score import Chord
from bassdiff.synthesis.stems import Stems


@pytest.mark.parametrize("bits", [16, 24])
def test_a_song_comes_back_exactly_at_any_level(bits, rng):
    full_scale = 2 ** (bits - 1)
    bass = np.r_[-full_scale, full_scale - 1, rng.integers(-full_scale, full_scale, 5000)]
    audio = {"bass": bass, "clef \u00e9": bass[::-1]}
    audio = {name: (samples / full_scale).astype(np.float32) for name, samples in audio.items()}
    known = Annotation((0.5, 1.0), (Chord(0.0, 1.0, 4, "min", 7),))
    song = Stems(
        "S\u00f6ng / 1", audio["bass"], {"clef \u00e9": audio["clef \u00e9"]}, 44100, known
    )
    encoded = FEATURES.serialize_example(FEATURES.encode_example(to_example(song, bits)))
    read = to_stems(FEATURES.deserialize_example_np(encoded))
    assert (read.name, read.annotation, read.sample_rate_hz) == (song.name, known, 44100)
    np.testing.assert_array_equal(read.bass, song.bass)
    np.testing.assert_array_equal(read.others["clef \u00e9"], song.others["clef \u00e9"])
