"""Which stems a training mix has, and how loud: what a model may expect to hear."""

from __future__ import annotations

import numpy as np

from bassdiff.audio.io import match_loudness
from bassdiff.data.stems import Stems

# Mixes and basses reach the models at these loudnesses, in training and in use.
MIX_LUFS = -16.0
BASS_LUFS = -20.0
GAIN_RANGE_DB = 3.0
ALL_STEMS_PROBABILITY = 0.5


def random_mix(stems: Stems, rng: np.random.Generator) -> np.ndarray:
    """A random non-empty subset of the other stems, each within 3 dB of its level.

    Half of the mixes keep every stem, since that is what users bring.

    Args:
      stems: One song.
      rng: Decides the subset and the gains.

    Returns:
      `[N]` float32 at `MIX_LUFS`.
    """
    names = sorted(stems.others)
    if rng.random() >= ALL_STEMS_PROBABILITY:
        chosen = rng.random(len(names)) < 0.5
        chosen[rng.integers(len(names))] = True
        names = [name for name, keep in zip(names, chosen, strict=True) if keep]
    gains_db = {name: rng.uniform(-GAIN_RANGE_DB, GAIN_RANGE_DB) for name in names}
    return match_loudness(stems.mix(names, gains_db), stems.sample_rate_hz, MIX_LUFS)


def normalised_bass(stems: Stems) -> np.ndarray:
    """The bass `[N]` float32 at `BASS_LUFS`: a model learns notes and sound, not faders."""
    return match_loudness(stems.bass, stems.sample_rate_hz, BASS_LUFS)
