"""Pedal: holds one note where the mix has no harmony, inside every step."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from flax import struct

from bassdiff.diffusion.chain import Place
from bassdiff.diffusion.types import Array, Cond, Denoise


class Pedal(struct.PyTreeNode):
    """Pulls the notes of some frames to the one note that the whole estimate is nearest to.

        p = argmin_p sum_t |n (x0_t - code_p)|^2,    x0_t <- x0_t + share_t n (code_p - x0_t)

    where n picks the channels that hold notes. The model still chooses when notes are played, how
    they sound and, by a majority of its frames, which note it is. Without a pedal a model wanders
    from key to key where only drums play, since nothing tells it which key it is in.

    Attributes:
      codes: `[P, C]`: normalised latents that hold each note.
      notes: `[C]`, 1 for channels that hold notes and 0 for others.
      share: `[B, T]`, 0 (free) to 1 (held) by frame.

    Source: none known; an addition.
    """

    place: ClassVar[Place] = Place.GROUNDING
    codes: Array
    notes: Array
    share: Array

    def __call__(self, denoise: Denoise) -> Denoise:
        """Wraps `denoise`."""

        def held(x: Array, sigma: Array, cond: Cond) -> Array:
            x0 = denoise(x, sigma, cond)
            codes = jnp.asarray(self.codes) * jnp.asarray(self.notes)[None]
            mask = cond.mask()
            # |x0 - code|^2 without the term that is the same for all codes.
            cross = jnp.einsum("btc,pc->bp", x0 * mask, codes)
            size = jnp.sum(mask, axis=(1, 2))[:, None] * jnp.sum(codes**2, axis=1)[None]
            note = codes[jnp.argmin(size - 2.0 * cross, axis=1)][:, None]
            pull = jnp.asarray(self.notes)[None, None] * (note - x0)
            return x0 + jnp.asarray(self.share)[:, :, None] * pull

        return held
