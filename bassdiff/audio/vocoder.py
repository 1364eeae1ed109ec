"""Recordings at another tempo and pitch, by a phase vocoder."""

from __future__ import annotations

import numpy as np

from bassdiff.audio.compiled_librosa import librosa
from bassdiff.audio.io import resample

# Long enough to tell the partials of low notes apart.
WINDOW_SAMPLES = 4096


def stretched_and_shifted(
    samples: np.ndarray, sample_rate_hz: int, tempo: float = 1.0, semitones: int = 0
) -> np.ndarray:
    """Plays a recording faster or slower, and independently of that higher or lower.

    The vocoder runs once for both, since every pass smears attacks: it stretches by what
    resampling, which makes notes higher and shorter, leaves to be done. What happened at time
    t comes at t / tempo, whatever the pitch, so stems stay together.

    Args:
      samples: `[N]` float32.
      sample_rate_hz: samples per second.
      tempo: above 0; 1.1 is 10 % faster, and shorter.
      semitones: how much higher; below 0, lower.

    Returns:
      `[round(N / tempo)]` float32; `samples` themselves where nothing changes.
    """
    if tempo == 1.0 and semitones == 0:
        return samples
    ratio = 2.0 ** (semitones / 12.0)
    stretched = samples
    if tempo != ratio:
        stretched = librosa.effects.time_stretch(samples, rate=tempo / ratio, n_fft=WINDOW_SAMPLES)
    # Rounding the rate is 0.02 cents.
    from_hz = round(sample_rate_hz * ratio)
    return resample(stretched, from_hz, sample_rate_hz, round(len(samples) / tempo))
