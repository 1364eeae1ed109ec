"""The tuning of a mix relative to A = 440 Hz, and changes of speed that correct it."""

from __future__ import annotations

import numpy as np
import soxr

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.pitchedness import MIN_HZ, PLACES_PER_SEMITONE, RATE_HZ, in_tune, partials
from bassdiff.audio.resampling import fitted

_WINDOW = 4096
# Two cents each.
_PLACES_PER_SEMITONE = 50
# Below this, partials do not agree on a scale: see `in_tune`.
_LEAST_IN_TUNE = 8.0
# The error of the estimate; songs within it are left unchanged.
_LEAST_CENTS = 4.0


def tuning_cents(mix: np.ndarray) -> float:
    """Estimates how far the scale of a mix is from A = 440 Hz.

    The mean direction of all steady partials on the circle of a semitone. A mix that is off by half
    a semitone has two answers; this gives one.

    Args:
      mix: `[N]` float at 44.1 kHz, of any level.

    Returns:
      Cents, -50 to 50, positive where it is sharp; 0 where it is nearly in tune or has no scale.
    """
    low = soxr.resample(np.asarray(mix, np.float32), SAMPLE_RATE_HZ, RATE_HZ)
    places = partials(low, _WINDOW, _PLACES_PER_SEMITONE)[0].sum(axis=0, dtype=np.float64)
    # `in_tune` is calibrated for ten places per semitone.
    wide = _PLACES_PER_SEMITONE // PLACES_PER_SEMITONE
    coarse = np.bincount((np.arange(len(places)) + wide // 2) // wide, places)
    if in_tune(coarse) < _LEAST_IN_TUNE:
        return 0.0
    turns = np.exp(2j * np.pi * np.arange(len(places)) / _PLACES_PER_SEMITONE)
    # Square roots, so that one long note does not outweigh all others. The fifth and seventh
    # partials of a note are 14 and 31 cents flat of the scale, so low partials count more.
    weights = np.sqrt(places) * 2.0 ** (-np.arange(len(places)) / (12.0 * _PLACES_PER_SEMITONE))
    above_lowest = np.angle(weights @ turns) / (2.0 * np.pi)
    semitones = above_lowest + 12.0 * np.log2(MIN_HZ / 440.0)
    cents = 100.0 * (semitones - np.round(semitones))
    return float(cents) if abs(cents) >= _LEAST_CENTS else 0.0


def speed_of(cents: float) -> float:
    """The factor by which slowing a signal down by `cents` makes it longer."""
    return float(2.0 ** (cents / 1200.0))


def at_speed(samples: np.ndarray, factor: float, num_samples: int | None = None) -> np.ndarray:
    """Plays a signal slower, and lower, by a factor; the first sample stays the first.

    Args:
      samples: `[N]` float.
      factor: Above 1 for slower; near 1.
      num_samples: Length of the result, cut or padded with zeros; by default N · factor, rounded.

    Returns:
      `[num_samples]` float32.
    """
    samples = np.asarray(samples, np.float32)
    wanted = round(len(samples) * factor) if num_samples is None else num_samples
    if factor != 1.0 and len(samples):
        samples = soxr.resample(samples, 1.0, factor)
    return fitted(samples, wanted)
