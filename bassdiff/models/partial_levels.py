"""Levels of a bass's partials: the bands that hold them, and how they move within a latent frame.

The 36 levels are those of partials 1 to 16 and of 20 bands, a third of an octave each. A level of
a band is the power that each of its partials would have.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from bassdiff.diffusion.types import Array
from bassdiff.models.features import LATENT_HOP

LEVEL_HOP = 512
LEVELS_PER_FRAME = LATENT_HOP // LEVEL_HOP
NUM_SINGLE_PARTIALS = 16
# A third of an octave each: from partial 17 of the lowest notes upwards, partials share a band.
BAND_EDGES_HZ = np.geomspace(160.0, 14000.0, 21)
BAND_CENTRES_HZ = np.sqrt(BAND_EDGES_HZ[1:] * BAND_EDGES_HZ[:-1])
NUM_BANDS = len(BAND_CENTRES_HZ)
NUM_LEVELS = NUM_SINGLE_PARTIALS + NUM_BANDS

_GROUP_EDGES_HZ = (500.0, 2000.0)
# Groups of levels that move together within a latent frame: partials 1 to 3; 4 to 8; 9 to 16 with
# the bands around them; and the bands above 2 kHz.
_GROUPS = np.concatenate(
    [
        np.repeat([0, 1, 2], [3, 5, NUM_SINGLE_PARTIALS - 8]),
        1 + np.searchsorted(_GROUP_EDGES_HZ, BAND_CENTRES_HZ),
    ]
)
NUM_GROUPS = int(_GROUPS.max()) + 1
NUM_DYNAMICS = LEVELS_PER_FRAME * NUM_GROUPS


def split_time(levels: Array) -> tuple[Array, Array]:
    """Splits levels into a spectrum per latent frame and dynamics inside it.

    Spectra are interpolated linearly, which is enough for a sound that changes slowly. Only the
    beginnings and ends of notes leave a difference, which a few groups of levels describe.

    Args:
      levels: `[B, 4 T, 36]`.

    Returns:
      Spectrum `[B, T, 36]`; dynamics `[B, T, 16]`, four moments of four groups.
    """
    batch, count, size = levels.shape
    spectrum = jnp.mean(levels.reshape(batch, -1, LEVELS_PER_FRAME, size), axis=2)
    rest = (levels - _joined(spectrum)) @ _group_means()
    return spectrum, rest.reshape(batch, count // LEVELS_PER_FRAME, -1)


def join_time(spectrum: Array, dynamics: Array) -> Array:
    """Inverts `split_time`, except for differences within a group."""
    batch = spectrum.shape[0]
    rest = dynamics.reshape(batch, -1, NUM_GROUPS)
    return _joined(spectrum) + rest @ (_group_means() > 0).T.astype(np.float32)


def at_partials(levels: Array, f0_hz: Array, num_partials: int) -> Array:
    """Power of every partial.

    Args:
      levels: `[B, M, 36]` as in `Analysis`.
      f0_hz: `[B, M]`.
      num_partials: K, more than 16.

    Returns:
      `[B, M, K]` natural logarithms.
    """
    beyond = jnp.arange(NUM_SINGLE_PARTIALS + 1, num_partials + 1, dtype=jnp.float32)
    partials_hz = f0_hz[..., None] * beyond[None, None]
    bands = interpolate(levels[..., NUM_SINGLE_PARTIALS:], BAND_CENTRES_HZ, partials_hz)
    return jnp.concatenate([levels[..., :NUM_SINGLE_PARTIALS], bands], axis=-1)


def interpolate(values: Array, centres_hz: np.ndarray, frequency_hz: Array) -> Array:
    """Interpolates values `[B, M, bands]` linearly in log-frequency, at `[B, M, K]`.

    Bands are evenly spaced in log-frequency; beyond the outer ones values are constant.
    """
    step = np.log(centres_hz[1] / centres_hz[0])
    position = (jnp.log(frequency_hz) - np.log(centres_hz[0])) / step
    position = jnp.clip(position, 0.0, len(centres_hz) - 1.0)
    lower = jnp.minimum(position.astype(jnp.int32), len(centres_hz) - 2)
    below = jnp.take_along_axis(values, lower, axis=-1)
    above = jnp.take_along_axis(values, lower + 1, axis=-1)
    return below + (position - lower) * (above - below)


def _joined(spectrum: Array) -> Array:
    """Interpolates `[B, T, D]` to `[B, 4 T, D]`; a frame's value belongs to its middle."""
    edges = jnp.pad(spectrum, ((0, 0), (1, 1), (0, 0)), mode="edge")
    moments = []
    for moment in range(LEVELS_PER_FRAME):
        place = (moment + 0.5) / LEVELS_PER_FRAME - 0.5
        other = edges[:, :-2] if place < 0 else edges[:, 2:]
        moments.append(spectrum * (1.0 - abs(place)) + other * abs(place))
    batch, count, size = spectrum.shape
    return jnp.stack(moments, axis=2).reshape(batch, count * LEVELS_PER_FRAME, size)


def _group_means() -> np.ndarray:
    """`[36, 4]`: the mean of each group."""
    members = (_GROUPS[:, None] == np.arange(NUM_GROUPS)[None]).astype(np.float32)
    return members / members.sum(axis=0, keepdims=True)
