"""Statistics of latents over their real frames, without padding."""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct

from bassdiff.diffusion.types import Array


class Sounding(struct.PyTreeNode):
    """How much of a latent frame sounds, read off the latents themselves.

    A mean over all frames of a bass mixes its timbre with silence; one weighted by this does not.

    Attributes:
      weights: `[C]`; all zero where latents do not say, which makes every frame sound.
      offset: A scalar.
    """

    weights: Array
    offset: Array | float

    def __call__(self, x: Array) -> Array:
        """Latents `[B, T, C]` to shares `[B, T, 1]`, 0 to 1."""
        share = jnp.sum(x * jnp.asarray(self.weights)[None, None], axis=-1, keepdims=True)
        return jnp.clip(share + self.offset, 0.0, 1.0)


def frame_mean(x: Array, mask: Array) -> Array:
    """Mean over real frames: `[B, T, C]` with mask `[B, T, 1]` to `[B, 1, C]`."""
    count = jnp.maximum(jnp.sum(mask, axis=1, keepdims=True), 1.0)
    return jnp.sum(x * mask, axis=1, keepdims=True) / count


def sounding_mean(x: Array, sounding: Sounding, mask: Array) -> Array:
    """Mean over real frames that sound, `[B, 1, C]`; over all real ones where none does."""
    share = sounding(x) * mask + 1e-4 * mask
    return jnp.sum(x * share, axis=1, keepdims=True) / jnp.maximum(
        jnp.sum(share, axis=1, keepdims=True), 1e-6
    )


def inner_product(x: Array, y: Array, mask: Array) -> Array:
    """Sum over real frames and channels of x * y, per sample: `[B, 1, 1]`."""
    return jnp.sum(x * y * mask, axis=(1, 2), keepdims=True)


def channel_std(x: Array, mask: Array) -> Array:
    """Standard deviation of each channel over a sample's real frames: `[B, 1, C]`."""
    variance = frame_mean(jnp.square(x - frame_mean(x, mask)), mask)
    return jnp.sqrt(variance + 1e-12)


def sample_std(x: Array, mask: Array) -> Array:
    """Standard deviation of each sample over real frames and channels: `[B, 1, 1]`."""
    count = jnp.maximum(jnp.sum(mask, axis=(1, 2), keepdims=True), 1.0) * x.shape[-1]
    mean = jnp.sum(x * mask, axis=(1, 2), keepdims=True) / count
    variance = jnp.sum(jnp.square(x - mean) * mask, axis=(1, 2), keepdims=True) / count
    return jnp.sqrt(variance + 1e-12)
