"""Statistics of latents over their real frames; padding counts for nothing."""

from __future__ import annotations

import jax.numpy as jnp

from bassdiff.types import Array


def frame_mean(x: Array, mask: Array) -> Array:
    """Mean over real frames: `[B, T, C]` with mask `[B, T, 1]` to `[B, 1, C]`."""
    count = jnp.maximum(jnp.sum(mask, axis=1, keepdims=True), 1.0)
    return jnp.sum(x * mask, axis=1, keepdims=True) / count


def inner_product(x: Array, y: Array, mask: Array) -> Array:
    """Sum over real frames and channels of x * y, per sample: `[B, 1, 1]`."""
    return jnp.sum(x * y * mask, axis=(1, 2), keepdims=True)


def sample_std(x: Array, mask: Array) -> Array:
    """Standard deviation of each sample over real frames and channels: `[B, 1, 1]`."""
    count = jnp.maximum(jnp.sum(mask, axis=(1, 2), keepdims=True), 1.0) * x.shape[-1]
    mean = jnp.sum(x * mask, axis=(1, 2), keepdims=True) / count
    variance = jnp.sum(jnp.square(x - mean) * mask, axis=(1, 2), keepdims=True) / count
    return jnp.sqrt(variance + 1e-12)
