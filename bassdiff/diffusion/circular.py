"""Loops: a decorator of the denoiser for which the beginning of a song follows its end."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from flax import struct

from bassdiff.diffusion.guidance import Place
from bassdiff.diffusion.types import Array, Cond, Denoise


class Circular(struct.PyTreeNode):
    """Lets a denoiser see a loop as it is heard: again and again.

    x and the mix are repeated on both sides, denoised, and cut to one turn. The estimate of the
    first frame therefore has the last one as its neighbour, at every noise level.

    Attributes:
      margin: Frames that are added on each side. Rows must have twice as many frames of padding.
    """

    place: ClassVar[Place] = Place.MODEL
    margin: int = struct.field(pytree_node=False, default=128)

    def __call__(self, denoise: Denoise) -> Denoise:
        """Wraps `denoise`."""

        def looped(x: Array, sigma: Array, cond: Cond) -> Array:
            places = jnp.arange(x.shape[1])
            turned = (places - self.margin)[None] % cond.frames[:, None]  # [B, T]

            def on_and_on(rows: Array) -> Array:
                return jnp.take_along_axis(rows, turned[..., None], axis=1)

            longer = cond.replace(mix=on_and_on(cond.mix), frames=cond.frames + 2 * self.margin)
            x0 = denoise(on_and_on(x), sigma, longer)
            return jnp.roll(x0, -self.margin, axis=1) * cond.mask()

        return looped
