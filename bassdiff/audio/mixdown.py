"""A bass put into its mix: as loud as the mix was, and with no peak over full scale."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import minimum_filter1d, uniform_filter1d

from bassdiff.audio.channels import channels_lufs

# Just under full scale, so that a lossy file's overshoot does not clip at once.
CEILING = 10.0 ** (-0.3 / 20.0)
# The gain moves within this time on either side of a peak: slower than a bass's period.
RAMP_SECONDS = 0.05


def mixdown(mix: np.ndarray, bass: np.ndarray, sample_rate_hz: int) -> tuple[np.ndarray, float]:
    """Adds a bass to a mix, at the loudness of the mix alone, so that both compare by ear.

    Args:
      mix: `[N, channels]`.
      bass: `[N]` at its level in the mix.
      sample_rate_hz: Rate of both.

    Returns:
      `[N, channels]` float32 within full scale, and by how many dB the highest peak was limited.
    """
    together = np.asarray(mix + bass[:, None], np.float32)
    before, after = (channels_lufs(x, sample_rate_hz) for x in (mix, together))
    if math.isfinite(before) and math.isfinite(after):
        # Never louder: a bass that cancels a mix is not to be raised out of noise.
        together *= np.float32(10.0 ** (min(0.0, before - after) / 20.0))
    return limit(together, sample_rate_hz)


def limit(samples: np.ndarray, sample_rate_hz: int) -> tuple[np.ndarray, float]:
    """Turns peaks down to just under full scale, looking ahead.

    Args:
      samples: `[N, channels]`.
      sample_rate_hz: Their rate.

    Returns:
      `[N, channels]` of samples within full scale, and by how many dB the highest was limited.
    """
    peaks = np.abs(samples).max(axis=1)
    highest = float(peaks.max(initial=0.0))
    if highest <= CEILING:
        return samples, 0.0
    needed = np.minimum(1.0, CEILING / np.maximum(peaks, 1e-9))
    reach = 2 * round(RAMP_SECONDS * sample_rate_hz) + 1
    # A mean over minima that all contain a sample is not above what that sample needs.
    gain = uniform_filter1d(minimum_filter1d(needed, reach, mode="nearest"), reach, mode="nearest")
    limited = samples * np.minimum(gain, needed)[:, None].astype(np.float32)
    return limited, 20.0 * math.log10(highest / CEILING)
