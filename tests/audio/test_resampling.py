import numpy as np
import pytest

from bassdiff.audio.resampling import resample


def sine(num_samples, rate_hz=44100, f_hz=997.0):
    return np.sin(2 * np.pi * f_hz * np.arange(num_samples) / rate_hz).astype(np.float32)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(44100, 22050), (48000, 44100), (8000, 44100)])
@pytest.mark.parametrize("num_samples", [None, 1, 999, 100_000])
def test_resampling_gives_the_exact_length(from_hz, to_hz, num_samples):
    samples = 0.5 * sine(10_001, from_hz, f_hz=300)
    out = resample(samples, from_hz, to_hz, num_samples)
    assert out.dtype == np.float32
    assert len(out) == (int(10_001 * to_hz / from_hz + 0.5) if num_samples is None else num_samples)
    same = min(len(out), int(10_000 * to_hz / from_hz))
    np.testing.assert_allclose(
        out[100 : same - 100], 0.5 * sine(same, to_hz, 300)[100 : same - 100], atol=2e-3
    )


def test_resampling_nothing_gives_nothing():
    assert len(resample(np.zeros(0, np.float32), 48000, 44100)) == 0
