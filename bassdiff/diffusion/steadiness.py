"""Steadiness: keeps the sound of equal notes equal, inside the last steps."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from bassdiff.diffusion.guidance import Place
from bassdiff.diffusion.rows import per_row
from bassdiff.diffusion.statistics import Sounding
from bassdiff.diffusion.types import Array, Cond, Denoise

# Levels above this one still decide what is played, and their estimates are smooth anyway.
_BELOW = 0.7
# The filter reaches 256 latent frames (12 s) to either side. Frames within 9 (0.4 s) count by a
# Gaussian with a deviation of 3 frames, which is a frame's own note; all others count by a share of
# it, which is the same note played again.
_REACH_FRAMES, _OWN_FRAMES, _SPAN_FRAMES, _ELSEWHERE = 256, 9, 3.0, 0.3
# How different two frames may be and still share their sound, in units of normalised latents.
_SOUND_DISTANCE, _NOTE_DISTANCE = 2.0, 1.0
# Moves inside a frame that are smaller than this are taken for errors.
_DEAD_ZONE = 0.2


class Steadiness(struct.PyTreeNode):
    """Averages the sound of each frame over similar frames, near and far, and drops small moves.

    The sound of a held note hardly changes from frame to frame, nor from one playing of a note to
    the next, but an estimate's errors do: they modulate the partials, so that the decoded note is
    noisy, and they make equal notes unequally loud. A non-local mean over time averages them out
    and keeps edges, since frames of another note or another sound get no weight:

        w(t, s) ~ (0.3 + exp(-(t - s)^2 / (2 * 3^2))) exp(-d(t, s)^2 / 2)
        x0_t <- x0_t + share_t (sum_s w(t, s) x0_s - x0_t)      in channels of the spectrum
        x0_t <- sign(x0_t) max(|x0_t| - 0.2, 0)                in channels of the dynamics

    d is the distance of two estimates, in units of 2 for sound and of 1 for notes, dynamics left
    out; `share` is how much of a frame sounds. Channels that hold notes stay as they are. It acts
    at noise levels of 0.7 and less, so that the network sees, and corrects, what it does. Frames
    are compared in blocks, one after the other: time grows with the length of a song, and memory
    hardly does.

    Attributes:
      sound: `[C]`, 1 for channels that hold sound and 0 for those that hold notes.
      dynamics: `[C]`, 1 for channels of sound that tell how it moves inside a frame, which are 0
        where it does not.
      sounding: How much of a frame sounds.
      strength: 0 (off) to 1; or `[B]`.
      loops: Whether the last frame of every row comes before its first one.

    Source: the non-local means of Buades, Coll and Morel, CVPR 2005, and the soft threshold of
    Donoho, IEEE Trans. Inf. Theory 41, 1995; their use inside a sampler is ours.
    """

    place: ClassVar[Place] = Place.GROUNDING
    sound: Array
    dynamics: Array
    sounding: Sounding
    strength: Array | float = 1.0
    loops: bool = struct.field(pytree_node=False, default=False)

    def __call__(self, denoise: Denoise) -> Denoise:
        """Wraps `denoise`."""

        def steadied(x: Array, sigma: Array, cond: Cond) -> Array:
            x0 = denoise(x, sigma, cond)
            dynamics = jnp.asarray(self.dynamics)[None, None]
            spectrum = jnp.asarray(self.sound)[None, None] * (1.0 - dynamics)
            notes = 1.0 - jnp.asarray(self.sound)[None, None]
            scale = spectrum / _SOUND_DISTANCE + notes / _NOTE_DISTANCE
            around = _wrapped if self.loops else _padded
            near = around(x0, cond), around(scale * x0, cond), around(cond.mask(), cond)
            move = spectrum * (_similar_mean(scale * x0, *near) - x0)
            move = move - dynamics * jnp.clip(x0, -_DEAD_ZONE, _DEAD_ZONE)
            strength = per_row(jnp.where(sigma <= _BELOW, self.strength, 0.0))
            return x0 + strength * self.sounding(x0) * move

        return steadied


def _padded(rows: Array, cond: Cond) -> Array:
    """Rows `[B, T, ...]` with zeros on either side, as far as the filter reaches."""
    return jnp.pad(rows, ((0, 0), (_REACH_FRAMES, _REACH_FRAMES), (0, 0)))


def _wrapped(rows: Array, cond: Cond) -> Array:
    """Rows `[B, T, ...]` with what a loop has on either side, as far as the filter reaches."""
    places = jnp.arange(-_REACH_FRAMES, rows.shape[1] + _REACH_FRAMES)
    turned = places[None] % cond.frames[:, None]
    return jnp.take_along_axis(rows, turned[..., None], axis=1)


def _similar_mean(features: Array, others: Array, other_features: Array, real: Array) -> Array:
    """Means over frames within reach that have like features.

    Args:
      features: `[B, T, C]`.
      others: `[B, T + 2 reach, C]` what is averaged.
      other_features: `[B, T + 2 reach, C]` its features.
      real: `[B, T + 2 reach, 1]`, 0 for frames without a say.

    Returns:
      `[B, T, C]`.
    """
    batch, num_frames, channels = features.shape
    size = min(_REACH_FRAMES, num_frames)
    num_blocks = -(-num_frames // size)
    # Every block is whole: those that start too late start earlier, and overlap.
    starts = np.minimum(np.arange(num_blocks) * size, num_frames - size)
    offsets = np.arange(size)[:, None] + _REACH_FRAMES - np.arange(size + 2 * _REACH_FRAMES)[None]
    own = np.exp(-0.5 * np.square(offsets / _SPAN_FRAMES)) * (np.abs(offsets) <= _OWN_FRAMES)
    near = (own + _ELSEWHERE) * (np.abs(offsets) <= _REACH_FRAMES)

    def block(start: Array) -> Array:
        def cut(rows: Array, length: int) -> Array:
            return jax.lax.dynamic_slice_in_dim(rows, start, length, axis=1)

        mine = cut(features, size)
        theirs, values, seen = (
            cut(rows, size + 2 * _REACH_FRAMES) for rows in (other_features, others, real)
        )
        distance = (
            jnp.sum(jnp.square(mine), axis=-1)[:, :, None]
            + jnp.sum(jnp.square(theirs), axis=-1)[:, None]
            - 2.0 * jnp.einsum("bqc,bkc->bqk", mine, theirs, precision="highest")
        )
        weight = jnp.exp(-0.5 * distance) * jnp.asarray(near, features.dtype)[None]
        weight = weight * seen[:, None, :, 0]
        total = jnp.einsum("bqk,bkc->bqc", weight, values, precision="highest")
        return total / jnp.maximum(jnp.sum(weight, axis=-1, keepdims=True), 1e-6)

    blocks = jax.lax.map(block, jnp.asarray(starts))  # [n, B, size, C]
    whole = jnp.moveaxis(blocks[:-1], 0, 1).reshape(batch, -1, channels)
    rest = blocks[-1][:, num_blocks * size - num_frames :]
    return jnp.concatenate([whole, rest], axis=1)
