import numpy as np
import pytest

from bassdiff.audio.channels import channels_lufs
from bassdiff.audio.mixdown import CEILING, limit, mixdown

RATE = 8000


def sine(hz, level, seconds=2.0):
    return (level * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)).astype(
        np.float32
    )


def test_a_mixdown_is_as_loud_as_its_mix():
    mix = np.stack([sine(440, 0.2), sine(660, 0.2)], axis=1)
    together, limited_db = mixdown(mix, sine(110, 0.3), RATE)
    assert limited_db == 0.0
    levels = [channels_lufs(x, RATE) for x in (mix, together)]
    assert levels[0] == pytest.approx(levels[1], abs=0.02)


def test_in_place_of_the_mix_it_is_the_same():
    mix, bass = np.stack([sine(440, 0.6), sine(660, 0.5)], axis=1), sine(110, 0.8)
    bass[400:] = 0.0
    together, limited_db = mixdown(mix, bass, RATE)
    assert not np.shares_memory(together, mix) and limited_db > 0.0
    used_up, again_db = mixdown(mix, bass, RATE, in_place=True)
    assert used_up is mix and again_db == limited_db
    np.testing.assert_array_equal(used_up, together)


def test_nothing_is_raised_and_a_silent_mix_is_left_alone():
    bass = sine(110, 0.3)
    together, _ = mixdown(np.zeros((len(bass), 2), np.float32), bass, RATE)
    np.testing.assert_array_equal(together[:, 1], bass)
    cancelled, _ = mixdown(bass[:, None], -0.999 * bass, RATE)
    assert np.abs(cancelled).max() < 1e-3


def test_peaks_are_turned_down_smoothly_and_the_rest_is_not_touched():
    samples = np.stack([sine(100, 0.5), sine(100, 0.1)], axis=1)
    samples[RATE : RATE + 400] *= 4.0
    limited, limited_db = limit(samples.copy(), RATE)
    assert np.abs(limited).max() <= CEILING * (1 + 1e-6)
    assert limited_db == pytest.approx(20 * np.log10(2.0 / CEILING), abs=0.1)
    np.testing.assert_array_equal(limited[: RATE - 1000], samples[: RATE - 1000])
    gain = limited[:, 0] / np.where(np.abs(samples[:, 0]) > 0.05, samples[:, 0], np.nan)
    steps = np.abs(np.diff(gain[np.isfinite(gain)]))
    assert steps.max() < 0.01
    # Both channels by the same gain: the image stays where it is.
    np.testing.assert_allclose(limited[:, 1] * 5, limited[:, 0], rtol=1e-3, atol=1e-4)


def test_a_long_song_is_limited_as_a_short_one(monkeypatch):
    """Stretch by stretch, and no stretch's end is heard."""
    samples = np.stack([sine(100, 0.5, 5.0), sine(90, 0.9, 5.0)], axis=1)
    samples[RATE - 100 : RATE + 900] *= 4.0
    samples[-500:] *= 3.0
    whole, whole_db = limit(samples.copy(), RATE)
    monkeypatch.setattr("bassdiff.audio.mixdown._BLOCK_SAMPLES", 1000)
    parts, parts_db = limit(samples.copy(), RATE)
    assert whole_db == parts_db > 3.0
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_what_fits_is_returned_as_it_is():
    samples = sine(100, 0.5)[:, None]
    limited, limited_db = limit(samples, RATE)
    assert limited is samples and limited_db == 0.0
