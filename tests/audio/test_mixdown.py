import numpy as np
import pytest

from bassdiff.audio.channels import channels_lufs
from bassdiff.audio.mixdown import CEILING, limited, mixdown, mixdown_blocks

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


def test_blocks_of_any_length_make_the_same_mixdown():
    """Limited stretch by stretch, and no stretch's end is heard."""
    mix = np.stack([sine(440, 0.6, 5.0), sine(660, 0.9, 5.0)], axis=1)
    mix[RATE - 100 : RATE + 900] *= 4.0
    mix[-500:] *= 3.0
    bass = sine(110, 0.8, 5.0)
    given = mix.copy()
    whole, whole_db = mixdown(mix, bass, RATE)
    np.testing.assert_array_equal(mix, given)
    assert np.abs(whole).max() <= CEILING * (1 + 1e-6) and whole_db > 3.0
    for edges in ([1, 2, 5], range(100, len(mix), 100), [RATE, 2 * RATE], []):
        blocks, limited_db = mixdown_blocks(lambda at=edges: np.split(mix, at), bass, RATE)
        assert limited_db == pytest.approx(whole_db, abs=1e-4)
        np.testing.assert_allclose(np.concatenate([*blocks]), whole, atol=1e-5)


def test_nothing_is_raised_and_a_silent_mix_is_left_alone():
    bass = sine(110, 0.3)
    together, _ = mixdown(np.zeros((len(bass), 2), np.float32), bass, RATE)
    np.testing.assert_array_equal(together[:, 1], bass)
    cancelled, _ = mixdown(bass[:, None], -0.999 * bass, RATE)
    assert np.abs(cancelled).max() < 1e-3


def test_peaks_are_turned_down_smoothly_and_the_rest_is_not_touched():
    samples = np.stack([sine(100, 0.5), sine(100, 0.1)], axis=1)
    samples[RATE : RATE + 400] *= 4.0
    turned = np.concatenate([*limited(np.split(samples, 20), RATE)])
    assert turned.shape == samples.shape
    assert np.abs(turned).max() <= CEILING * (1 + 1e-6)
    np.testing.assert_array_equal(turned[: RATE - 1000], samples[: RATE - 1000])
    gain = turned[:, 0] / np.where(np.abs(samples[:, 0]) > 0.05, samples[:, 0], np.nan)
    steps = np.abs(np.diff(gain[np.isfinite(gain)]))
    assert steps.max() < 0.01
    # Both channels by the same gain: the image stays where it is.
    np.testing.assert_allclose(turned[:, 1] * 5, turned[:, 0], rtol=1e-3, atol=1e-4)


def test_what_fits_is_only_added():
    mix, bass = sine(100, 0.3)[:, None], np.zeros(2 * RATE, np.float32)
    together, limited_db = mixdown(mix, bass, RATE)
    np.testing.assert_array_equal(together, mix)
    assert limited_db == 0.0
