import numpy as np
import pytest

from bassdiff.audio.io import loudness_lufs
from bassdiff.data.mixing import (
    BASS_LUFS,
    GAIN_RANGE_DB,
    MIX_LUFS,
    normalised_bass,
    random_mix,
)
from bassdiff.data.stems import Stems

RATE_HZ = 44100
NAMES = ("drums", "other", "vocals")


@pytest.fixture(scope="module")
def stems():
    """Stems that are orthogonal tones, so that each one's share of a mix can be read off."""
    time_seconds = np.arange(RATE_HZ) / RATE_HZ
    tones = {
        name: (0.1 * np.sin(2 * np.pi * hz * time_seconds)).astype(np.float32)
        for name, hz in zip((*NAMES, "bass"), (200, 400, 800, 50), strict=True)
    }
    return Stems("song", tones.pop("bass"), tones, RATE_HZ)


def shares(stems, mix):
    """How loud each stem is in the mix, relative to its own loudness."""
    return {n: float(np.dot(mix, s) / np.dot(s, s)) for n, s in stems.others.items()}


@pytest.fixture(scope="module")
def mixes(stems):
    return [random_mix(stems, np.random.default_rng(seed)) for seed in range(60)]


def test_mixes_are_equally_loud(mixes):
    for mix in mixes[:10]:
        assert mix.dtype == np.float32
        assert loudness_lufs(mix, RATE_HZ) == pytest.approx(MIX_LUFS, abs=0.1)


def test_no_mix_holds_the_bass(stems, mixes):
    for mix in mixes:
        leak = np.dot(mix, stems.bass) / np.dot(stems.bass, stems.bass)
        assert abs(leak) < 1e-3


def test_subsets_are_random_never_empty_and_often_everything(stems, mixes):
    subsets = [frozenset(n for n, v in shares(stems, m).items() if abs(v) > 0.01) for m in mixes]
    assert frozenset() not in subsets
    assert len(set(subsets)) == 7
    everything = np.mean([len(subset) == len(NAMES) for subset in subsets])
    assert 0.4 < everything < 0.8


def test_gains_stay_within_their_range(stems, mixes):
    spreads = []
    for mix in mixes:
        heard = [20 * np.log10(v) for v in shares(stems, mix).values() if v > 0.01]
        spreads.append(max(heard) - min(heard))
    assert max(spreads) <= 2 * GAIN_RANGE_DB + 0.01
    assert max(spreads) > GAIN_RANGE_DB


def test_the_generator_decides_everything(stems, mixes):
    np.testing.assert_array_equal(random_mix(stems, np.random.default_rng(7)), mixes[7])


def test_basses_reach_models_at_one_loudness(stems):
    for gain in (0.01, 1.0, 5.0):
        louder = Stems("song", stems.bass * np.float32(gain), stems.others, RATE_HZ)
        bass = normalised_bass(louder)
        assert loudness_lufs(bass, RATE_HZ) == pytest.approx(BASS_LUFS, abs=0.1)
        np.testing.assert_allclose(bass, normalised_bass(stems), rtol=1e-3, atol=1e-5)


def test_silence_stays_silent(stems):
    silent = np.zeros_like(stems.bass)
    song = Stems("song", silent, {"drums": silent}, RATE_HZ)
    np.testing.assert_array_equal(normalised_bass(song), silent)
    np.testing.assert_array_equal(random_mix(song, np.random.default_rng(0)), silent)
