import numpy as np
import pytest

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.synthesis import effects


def sine(frequency_hz, seconds=1.0):
    time = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return np.sin(2.0 * np.pi * frequency_hz * time).astype(np.float32)


def gain_db(frequency_hz, bands):
    half = SAMPLE_RATE_HZ // 2
    before = sine(frequency_hz)
    return 20.0 * np.log10(np.std(effects.equalise(before, bands)[half:]) / np.std(before[half:]))


@pytest.mark.parametrize("change_db", [-6.0, 4.0])
def test_equaliser_moves_its_band_and_no_other(change_db):
    assert gain_db(1000.0, [("peak", 1000.0, change_db)]) == pytest.approx(change_db, abs=0.05)
    assert gain_db(40.0, [("peak", 1000.0, change_db)]) == pytest.approx(0.0, abs=0.1)
    assert gain_db(30.0, [("low", 300.0, change_db)]) == pytest.approx(change_db, abs=0.2)
    assert gain_db(9000.0, [("low", 300.0, change_db)]) == pytest.approx(0.0, abs=0.1)
    assert gain_db(15000.0, [("high", 3000.0, change_db)]) == pytest.approx(change_db, abs=0.2)
    assert gain_db(100.0, [("high", 3000.0, change_db)]) == pytest.approx(0.0, abs=0.1)


def test_drive_keeps_the_peak_and_adds_odd_harmonics():
    clean = 0.4 * sine(100.0)
    driven = effects.drive(clean, 3.0)
    assert np.abs(driven).max() == pytest.approx(0.4, rel=1e-3)
    spectrum = np.abs(np.fft.rfft(driven))
    assert spectrum[300] > 0.05 * spectrum[100]
    assert spectrum[200] < 1e-3 * spectrum[100]
    assert not np.any(effects.drive(np.zeros(10, np.float32), 3.0))


def test_compressor_narrows_the_range_and_leaves_quiet_sound_alone():
    loud, quiet = sine(200.0), 0.05 * sine(200.0)
    samples = np.concatenate([quiet, loud, quiet])
    out = effects.compress(samples, ratio=4.0, threshold_db=-12.0)
    assert out.shape == samples.shape
    assert np.all(np.abs(out) <= np.abs(samples) + 1e-6)
    n = SAMPLE_RATE_HZ
    held = 20.0 * np.log10(np.std(out[n + n // 2 : 2 * n]) / np.std(loud))
    # 12 dB above the threshold come out as 3 dB.
    assert held == pytest.approx(-9.0, abs=0.5)
    before = n - effects.LEVEL_BLOCK_SAMPLES
    np.testing.assert_allclose(out[:before], quiet[:before], atol=1e-6)
    np.testing.assert_allclose(out[-n // 4 :], quiet[-n // 4 :], rtol=0.02, atol=1e-4)


def test_reverb_leaves_the_onset_and_rings_for_its_time():
    click = np.zeros(2 * SAMPLE_RATE_HZ, np.float32)
    click[100] = 1.0
    out = effects.reverb(click, 0.5, 0.2, np.random.default_rng(0))
    assert out.shape == click.shape
    assert out.dtype == np.float32
    assert out[100] == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_allclose(out[:100], 0.0, atol=1e-6)
    energy = np.add.reduceat(out[101:] ** 2, [0, 4410, 13230, 30000])
    assert energy[1] > 10.0 * energy[2] > 0.0
    assert energy[3] < 1e-8
    assert np.sqrt(np.sum(out[101:] ** 2)) == pytest.approx(0.2, rel=1e-3)


def test_convolution_in_blocks_is_convolution():
    rng = np.random.default_rng(1)
    samples = rng.standard_normal(5000).astype(np.float32)
    response = rng.standard_normal(300).astype(np.float32)
    np.testing.assert_allclose(
        effects._convolved(samples, response), np.convolve(samples, response)[:5000], atol=1e-3
    )
