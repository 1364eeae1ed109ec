"""Layers that the networks share. None of them normalises over time."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

from bassdiff.diffusion.types import Array


class ChannelNorm(nn.Module):
    """RMS normalisation of each frame over its channels, with a learned gain.

    Statistics over time would couple distant frames, and neither chunked coding nor padded
    batches could equal the whole; here each frame is normalised on its own.
    """

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps `[..., W]` to the same shape."""
        gain = self.param("gain", nn.initializers.ones_init(), (x.shape[-1],))
        x32 = x.astype(jnp.float32)
        scale = jnp.reciprocal(jnp.sqrt(jnp.mean(jnp.square(x32), -1, keepdims=True) + 1e-6))
        # Small, and costly to compute again in a backward pass.
        scale = checkpoint_name(scale, "scale")
        shaped_gain = gain.reshape((1,) * (x.ndim - 1) + gain.shape)
        return (x32 * scale * shaped_gain).astype(self.dtype)


class ResidualBlock(nn.Module):
    """Norm, SiLU, convolution, (+ embedding), norm, SiLU, zero-initialised convolution.

    Attributes:
      width: Output channels.
      dtype: Compute type; parameters stay float32.
    """

    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Array, embedding: Array | None = None, mask: Array | None = None
    ) -> Array:
        """Maps `x` `[B, T, W]` to `[B, T, width]`; masked frames act as the zeros past an end."""
        masked = (lambda y: y) if mask is None else (lambda y: y * mask.astype(self.dtype))
        y = masked(nn.silu(ChannelNorm(self.dtype)(x)))
        y = nn.Conv(self.width, (3,), dtype=self.dtype)(y)
        if embedding is not None:
            y = y + nn.Dense(self.width, dtype=self.dtype)(embedding)[:, None, :]
        y = masked(nn.silu(ChannelNorm(self.dtype)(y)))
        y = nn.Conv(self.width, (3,), dtype=self.dtype, kernel_init=nn.initializers.zeros_init())(y)
        if x.shape[-1] != self.width:
            x = nn.Dense(self.width, use_bias=False, dtype=self.dtype)(x)
        return x + y


class Downsample(nn.Module):
    """Halves the frame rate: `[B, T, W]` to `[B, T / 2, width]`."""

    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Joins pairs of frames."""
        batch, num_frames, channels = x.shape
        return nn.Dense(self.width, dtype=self.dtype)(
            x.reshape(batch, num_frames // 2, 2 * channels)
        )


class Upsample(nn.Module):
    """Doubles the frame rate: `[B, T, W]` to `[B, 2 T, width]`."""

    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Makes two frames of each."""
        batch, num_frames, _ = x.shape
        return nn.Dense(2 * self.width, dtype=self.dtype)(x).reshape(
            batch, 2 * num_frames, self.width
        )


class NoiseEmbedding(nn.Module):
    """Fourier features of log(sigma) / 4 through two dense layers: `[B]` to `[B, width]`."""

    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, sigma: Array) -> Array:
        """Embeds noise levels."""
        frequencies = jnp.asarray(np.geomspace(0.25, 64.0, 32), jnp.float32)
        phase = 2 * jnp.pi * (jnp.log(sigma)[:, None] / 4.0) * frequencies[None, :]
        features = jnp.concatenate([jnp.sin(phase), jnp.cos(phase)], axis=-1)
        hidden = nn.silu(nn.Dense(self.width, dtype=self.dtype)(features))
        return nn.silu(nn.Dense(self.width, dtype=self.dtype)(hidden))
