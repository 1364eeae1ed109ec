"""Edits and long form: decorators of the denoiser that keep given parts, or work by windows."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import struct

from bassdiff.diffusion.chain import Place
from bassdiff.diffusion.types import Array, Cond, Denoise


class Keep(struct.PyTreeNode):
    """Keeps given latents: where `keep` is 1, they come out as they went in.

        x0 <- keep * known + (1 - keep) * x0

    Every solver then moves x there along known + sigma * noise, so the model sees the kept part
    at the right noise level at every step and fits the rest to it. Keeping a range of frames is
    inpainting, keeping the leading frames is continuation, and keeping the channels that hold
    notes is a change of sound.

    Attributes:
      known: `[B, T, C]` normalised latents.
      keep: `[B, T, C]` or anything that broadcasts to it by rank 3: 1 keeps, 0 is free.

    Source: the masked update of arXiv 2201.09865, on the clean estimate instead of on x.
    """

    place: ClassVar[Place] = Place.EDIT
    known: Array
    keep: Array

    def __call__(self, denoise: Denoise) -> Denoise:
        """Wraps `denoise`."""

        def edited(x: Array, sigma: Array, cond: Cond) -> Array:
            x0 = denoise(x, sigma, cond)
            return x0 + self.keep * (self.known - x0)

        return edited


class Windowed(struct.PyTreeNode):
    """Denoises a long song in overlapping windows, blended inside every step.

    Activations take the memory of one window, and time is proportional to the real frames: the
    number of windows is traced, so one program serves every length up to T. All windows share x
    and are blended at every noise level, so neighbours agree before details appear, and no
    border is decided by one window alone. A batch no longer than a window is denoised whole.

    Attributes:
      window: Frames of a window, in (hop, T].
      hop: Frames from one window to the next.

    Source: the joint denoising of arXiv 2302.08113, along time.
    """

    place: ClassVar[Place] = Place.MODEL
    window: int = struct.field(pytree_node=False, default=1536)
    hop: int = struct.field(pytree_node=False, default=1024)

    def __call__(self, denoise: Denoise) -> Denoise:
        """Wraps `denoise`."""

        def windowed(x: Array, sigma: Array, cond: Cond) -> Array:
            if x.shape[1] <= self.window:
                return denoise(x, sigma, cond)
            overlap = self.window - self.hop
            to_edge = jnp.minimum(jnp.arange(self.window), jnp.arange(self.window)[::-1]) + 1
            weight = jnp.minimum(1.0, to_edge / (overlap + 1))[:, None]  # [W, 1]
            # The last window ends with the song: a shorter one would lack context.
            final = jnp.maximum(cond.frames - self.window, 0)
            counts = 1 + -(-final // self.hop)  # [B]

            def cut(rows: Array, starts: Array) -> Array:
                return jax.vmap(
                    lambda row, start: jax.lax.dynamic_slice_in_dim(row, start, self.window)
                )(rows, starts)

            def add(rows: Array, values: Array, starts: Array) -> Array:
                return jax.vmap(
                    lambda row, value, start: jax.lax.dynamic_update_slice_in_dim(
                        row, value, start, 0
                    )
                )(rows, cut(rows, starts) + values, starts)

            def look(i: Array, sums: tuple[Array, Array]) -> tuple[Array, Array]:
                starts = jnp.minimum(i * self.hop, final)
                part = cond.replace(
                    mix=cut(cond.mix, starts), frames=jnp.minimum(cond.frames, self.window)
                )
                # A row that needs fewer windows than its neighbours has no more of them.
                share = (i < counts)[:, None, None] * weight[None]  # [B, W, 1]
                x0 = denoise(cut(x, starts), sigma, part) * share
                total, weights = sums
                return add(total, x0, starts), add(weights, share, starts)

            empty = jnp.zeros_like(x), jnp.zeros((*x.shape[:2], 1), x.dtype)
            total, weights = jax.lax.fori_loop(0, jnp.max(counts), look, empty)
            return total / jnp.maximum(weights, 1e-6)

        return windowed
