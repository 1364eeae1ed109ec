"""Draws training mixes: which stems they contain, and how loud."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bassdiff.audio.loudness import match_loudness
from bassdiff.synthesis.stems import Stems

# Mixes and basses reach the models at these loudnesses, in training and in use.
MIX_LUFS = -16.0
BASS_LUFS = -20.0
GAIN_RANGE_DB = 3.0
ALL_STEMS_PROBABILITY = 0.5
# -70 dB of full scale, where BS.1770's gate closes.
SILENT_PEAK = 10.0 ** (-70.0 / 20.0)


def random_mix(stems: Stems, rng: np.random.Generator) -> np.ndarray:
    """A random non-empty subset of the other stems, each within 3 dB of its level.

    Silent stems, such as the vocals of an instrumental, are skipped: alone they would make a silent
    mix.

    Args:
      stems: The song.
      rng: Draws the subset and the gains.

    Returns:
      `[N]` float32 at `MIX_LUFS`; silence if nothing sounds.
    """
    sounding = [name for name, s in stems.others.items() if np.abs(s).max(initial=0) > SILENT_PEAK]
    gains_db = random_gains_db(sounding or list(stems.others), rng)
    return match_loudness(stems.mix(gains_db.keys(), gains_db), stems.sample_rate_hz, MIX_LUFS)


def random_gains_db(names: Sequence[str], rng: np.random.Generator) -> dict[str, float]:
    """Draws the stems of a mix and their gains.

    Half of the mixes have every stem, as mixes of users do. Each of the others has one stem drawn
    first and every further one with probability 1/2, so that a subset of k of n stems has
    probability k / (n 2^(n-1)) among these.

    Args:
      names: One or more stems, in any order.
      rng: Source of randomness.

    Returns:
      Gain in decibels, uniform in ±`GAIN_RANGE_DB`, by name; never empty.
    """
    names = sorted(names)
    if rng.random() >= ALL_STEMS_PROBABILITY:
        chosen = rng.random(len(names)) < 0.5
        chosen[rng.integers(len(names))] = True
        names = [name for name, keep in zip(names, chosen, strict=True) if keep]
    return {name: rng.uniform(-GAIN_RANGE_DB, GAIN_RANGE_DB) for name in names}


def normalised_bass(stems: Stems) -> np.ndarray:
    """The bass `[N]` float32 at `BASS_LUFS`, so that models need not learn levels."""
    return match_loudness(stems.bass, stems.sample_rate_hz, BASS_LUFS)
