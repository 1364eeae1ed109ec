"""Tells whether a bass plays in a mix already."""

from __future__ import annotations

import numpy as np
import soxr

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.pitch import HOP_SECONDS, track_pitch

# Only a bass has its fundamentals below; the rest is filtered out.
_LOW_RATE_HZ = 300.0
_MIN_HZ, _MAX_HZ, _MAX_TRACKED_HZ = 30.0, 90.0, 220.0
# A kick drum's pitch falls, and is over sooner.
_LEAST_SECONDS, _STEADY_CENTS = 0.1, 40.0
# A note of a bass is not this much softer than the mix.
_LEAST_DB = -10.0
_WINDOW_SECONDS = 0.1
# Long songs are heard in pieces from all over them.
_NUM_PIECES, _PIECE_SECONDS = 6, 10.0
# Chosen on 40 rendered songs, one of which has a larger share without its bass; of 28 others two
# do, and 16 with it.
NOTICED_SHARE = 0.22


def low_voice_share(mix: np.ndarray) -> float:
    """The share of the time in which a low voice holds notes, 0 to 1.

    Args:
      mix: `[N]` float at 44.1 kHz, of any level.

    Returns:
      The share of the time in which the mix sounds; 0 if it never does.
    """
    mix = _pieces(np.asarray(mix, np.float32))
    if not len(mix):
        return 0.0
    low = soxr.resample(mix, SAMPLE_RATE_HZ, _LOW_RATE_HZ)
    low = soxr.resample(low, _LOW_RATE_HZ, SAMPLE_RATE_HZ / 4)[: len(mix) // 4]
    track = track_pitch(low, SAMPLE_RATE_HZ // 4, fmin_hz=_MIN_HZ, fmax_hz=_MAX_TRACKED_HZ)
    whole, low_level = _levels_db(mix, len(track.f0_hz), 4), _levels_db(low, len(track.f0_hz), 1)
    sounds = whole > whole.max() - 40.0
    cents = 1200.0 * np.log2(np.where(track.voiced, track.f0_hz, 1.0))
    is_low = track.voiced & (track.f0_hz < _MAX_HZ) & (low_level > whole + _LEAST_DB)
    steps = np.abs(np.diff(cents, prepend=cents[:1]))
    edges = np.flatnonzero(~is_low | (steps > _STEADY_CENTS))
    held: np.ndarray = np.zeros(len(cents), bool)
    least = round(_LEAST_SECONDS / HOP_SECONDS)
    for begin, end in zip([0, *edges], [*edges, len(cents)], strict=True):
        if end - begin > least and np.ptp(cents[begin + 1 : end]) < 2.0 * _STEADY_CENTS:
            held[begin + 1 : end] = True
    return float((held & sounds).sum() / max(sounds.sum(), 1))


def _pieces(mix: np.ndarray) -> np.ndarray:
    length = round(_PIECE_SECONDS * SAMPLE_RATE_HZ)
    if len(mix) <= _NUM_PIECES * length:
        return mix
    starts = np.linspace(0, len(mix) - length, _NUM_PIECES).astype(int)
    return np.concatenate([mix[start : start + length] for start in starts])


def _levels_db(samples: np.ndarray, num_frames: int, factor: int) -> np.ndarray:
    """Level around each frame of a pitch track, `[num_frames]`; the rate is `factor` quarters."""
    hop = HOP_SECONDS * SAMPLE_RATE_HZ / 4 * factor
    sums = np.cumsum(np.pad(np.square(samples, dtype=np.float64), (1, 0)))
    half = _WINDOW_SECONDS * SAMPLE_RATE_HZ / 8 * factor
    middles = np.arange(num_frames) * hop
    first, last = (np.clip(middles + side * half, 0, len(samples)).astype(int) for side in (-1, 1))
    power = (sums[last] - sums[first]) / np.maximum(last - first, 1)
    return 10.0 * np.log10(power + 1e-10)
