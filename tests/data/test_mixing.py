import numpy as np
import pytest

from bassdiff.data.mixing import normalised_bass, random_mix
from bassdiff.synthesis.stems import Stems

RATE_HZ = 44100
NAMES = ("drums", "other", "vocals")


@pytest.fixture(scope="module")
def stems():
    """Stems that are orthogonal tones, so that the bass would be found in a mix."""
    time_seconds = np.arange(RATE_HZ) / RATE_HZ
    tones = {
        name: (0.1 * np.sin(2 * np.pi * hz * time_seconds)).astype(np.float32)
        for name, hz in zip((*NAMES, "bass"), (200, 400, 800, 50), strict=True)
    }
    return Stems("song", tones.pop("bass"), tones, RATE_HZ)


@pytest.fixture(scope="module")
def mixes(stems):
    return [random_mix(stems, np.random.default_rng(seed)) for seed in range(60)]


def test_no_mix_holds_the_bass(stems, mixes):
    for mix in mixes:
        leak = np.dot(mix, stems.bass) / np.dot(stems.bass, stems.bass)
        assert abs(leak) < 1e-3


def test_the_generator_decides_everything(stems, mixes):
    np.testing.assert_array_equal(random_mix(stems, np.random.default_rng(7)), mixes[7])


def test_silence_stays_silent(stems):
    silent = np.zeros_like(stems.bass)
    song = Stems("song", silent, {"drums": silent}, RATE_HZ)
    np.testing.assert_array_equal(normalised_bass(song), silent)
    np.testing.assert_array_equal(random_mix(song, np.random.default_rng(0)), silent)
