"""A bass put into its mix: as loud as the mix was, and with no peak over full scale."""

from __future__ import annotations

import math

import numpy as np

from bassdiff.audio.channels import channels_lufs
from bassdiff.audio.running import running_mean, running_minimum

# Just under full scale, so that a lossy file's overshoot does not clip at once.
CEILING = 10.0 ** (-0.3 / 20.0)
# The gain moves within this time on either side of a peak: slower than a bass's period.
RAMP_SECONDS = 0.05
_BLOCK_SAMPLES = 1 << 20


def mixdown(
    mix: np.ndarray, bass: np.ndarray, sample_rate_hz: int, in_place: bool = False
) -> tuple[np.ndarray, float]:
    """Adds a bass to a mix, at the loudness of the mix alone, so that both compare by ear.

    Args:
      mix: `[N, channels]`.
      bass: `[N]` at its level in the mix.
      sample_rate_hz: Rate of both.
      in_place: Whether the result takes the place of the mix, float32 then, for its memory.

    Returns:
      `[N, channels]` float32 within full scale, and by how many dB the highest peak was limited.
    """
    before = channels_lufs(mix, sample_rate_hz)
    together = np.add(mix, bass[:, None], out=mix if in_place else None, dtype=np.float32)
    after = channels_lufs(together, sample_rate_hz)
    if math.isfinite(before) and math.isfinite(after):
        # Never louder: a bass that cancels a mix is not to be raised out of noise.
        together *= np.float32(10.0 ** (min(0.0, before - after) / 20.0))
    return limit(together, sample_rate_hz)


def limit(samples: np.ndarray, sample_rate_hz: int) -> tuple[np.ndarray, float]:
    """Turns peaks down to just under full scale, looking ahead.

    Args:
      samples: `[N, channels]` float32; they are changed.
      sample_rate_hz: Their rate.

    Returns:
      `samples`, within full scale, and by how many dB the highest was limited.
    """
    highest = max(float(samples.max(initial=0.0)), -float(samples.min(initial=0.0)))
    if highest <= CEILING:
        return samples, 0.0
    reach = 2 * round(RAMP_SECONDS * sample_rate_hz) + 1
    # Stretch by stretch, with all around that counts: of an hour, everything would not fit.
    before = np.empty(0, np.float32)
    for start in range(0, len(samples), _BLOCK_SAMPLES):
        block = samples[start : start + _BLOCK_SAMPLES]
        peaks = np.abs(samples[start : start + len(block) + reach]).max(axis=1)
        needed = np.concatenate([before, np.float32(CEILING) / np.maximum(peaks, CEILING)])
        # A mean over minima that all contain a sample is not above what that sample needs.
        gain = np.minimum(running_mean(running_minimum(needed, reach), reach), needed)
        end = len(before) + len(block)
        block *= gain[len(before) : end, None].astype(np.float32)
        before = needed[max(0, end - reach) : end]
    return samples, 20.0 * math.log10(highest / CEILING)
