"""Tells whether a bass plays in a mix already."""

from __future__ import annotations

import numpy as np
import soxr

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.pitch import HOP_SECONDS, track_pitch

# Only a bass has its fundamentals below; the rest is filtered out.
_LOW_RATE_HZ = 300.0
_MIN_HZ, _MAX_HZ, _MAX_TRACKED_HZ = 30.0, 105.0, 220.0
# A kick drum's pitch falls, and is over sooner.
_LEAST_SECONDS, _STEADY_CENTS = 0.06, 40.0
# A note of a bass is not this much softer than the mix.
_LEAST_DB = -10.0
_WINDOW_SECONDS = 0.1
# Long songs are heard in pieces from all over them.
_NUM_PIECES, _PIECE_SECONDS = 6, 10.0
# One that is heard once is a drum's, or an error.
_LEAST_TIMES = 2
# Chosen on 87 rendered songs, for 5 % of them without their bass. See the page on control.
NOTICED = 1.1


def low_line(mix: np.ndarray) -> float:
    """How much of a bass line is heard: the share of the time it holds notes, times their number.

    Kick drums, toms and hum also hold low notes, but few different ones.

    Args:
      mix: `[N]` float at 44.1 kHz, of any level.

    Returns:
      0 to 12: the share of the time in which a low voice holds notes, of that in which the mix
      sounds, times the number of pitch classes that it plays twice or more.
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
    times = np.zeros(12, int)
    for begin, end in zip([0, *edges], [*edges, len(cents)], strict=True):
        note = cents[begin + 1 : end]
        if end - begin > least and np.ptp(note) < 2.0 * _STEADY_CENTS:
            held[begin + 1 : end] = True
            times[round(float(np.median(note)) / 100.0 - 12.0 * np.log2(440.0)) % 12] += 1
    share = (held & sounds).sum() / max(sounds.sum(), 1)
    return float(share * (times >= _LEAST_TIMES).sum())


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
