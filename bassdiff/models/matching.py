"""The matching model: two towers that measure how well a bass fits a mix.

It is trained contrastively: each tower maps its side's frames to a unit vector, and the cosine of
the two vectors is the fit. The frames are a codec's latents, or the fixed log-magnitude features
that need no codec.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from bassdiff.diffusion.types import Array
from bassdiff.models.attention import SelfAttention
from bassdiff.models.layers import ChannelNorm, ResidualBlock

FRAME_RATE_HZ = 44100 / 2048
# Rates at which a bar, a beat and its parts recur; latent frames carry none above 10.8 Hz.
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 0.25, 8.5
MAX_LOG_SCALE = float(np.log(100.0))


class AttentionPool(nn.Module):
    """Masked attention pooling, of values and of their rhythm.

    The first part is a weighted mean of values, whose weights are a softmax over real frames, one
    set per head. It is invariant to time, so a bass half a beat late would score like one in time.
    The second part therefore correlates other values with oscillations at fixed rates,
    c_k = sum_t (v_t - mean v) e^(2 pi i f_k t) / sqrt(n) over the n real frames, as cosines and
    sines: by Parseval's theorem the inner product of two such spectra measures whether two rhythms
    coincide. The result is the sum of a linear map of each part.

    Attributes:
      num_heads: Softmax heads.
      head_width: Channels of each.
      num_rhythms: Channels that are correlated.
      num_rates: Rates, evenly spaced.
      size: Length of the result.
    """

    num_heads: int = 4
    head_width: int = 32
    num_rhythms: int = 12
    num_rates: int = 50
    size: int = 128

    @nn.compact
    def __call__(self, h: Array, mask: Array) -> Array:
        """Maps `h` `[B, T, W]` with `mask` `[B, T, 1]` to `[B, size]` float32."""
        h = h.astype(jnp.float32)
        batch, num_frames, _ = h.shape
        logits = jnp.where(mask > 0, nn.Dense(self.num_heads, name="attend")(h), -1e9)
        weights = jax.nn.softmax(logits, axis=1)  # [B, T, H]
        values = nn.Dense(self.num_heads * self.head_width, name="values")(h)
        values = values.reshape(batch, num_frames, self.num_heads, self.head_width)
        content = jnp.einsum("bth,bthw->bhw", weights, values).reshape(batch, -1)

        rates_hz = np.linspace(LOWEST_RATE_HZ, HIGHEST_RATE_HZ, self.num_rates)
        phase = 2 * np.pi * np.arange(num_frames)[:, None] * rates_hz / FRAME_RATE_HZ
        waves = jnp.asarray(np.concatenate([np.cos(phase), np.sin(phase)], 1), jnp.float32)
        rhythm = nn.Dense(self.num_rhythms, name="rhythm")(h)
        count = jnp.maximum(jnp.sum(mask, axis=1, keepdims=True), 1.0)
        # A constant value has no rhythm.
        rhythm = (rhythm - jnp.sum(rhythm * mask, axis=1, keepdims=True) / count) * mask
        spectrum = jnp.einsum("btr,tk->brk", rhythm, waves) / jnp.sqrt(count)
        return nn.Dense(self.size, use_bias=False, name="content")(content) + nn.Dense(
            self.size, use_bias=False, name="recurrence"
        )(spectrum.reshape(batch, -1))


class Tower(nn.Module):
    """One side of the matching model.

    Attributes:
      width: Channels.
      num_blocks: Residual blocks, each followed by self-attention.
      num_heads: Attention heads.
      reach_frames: Offsets that positional bias distinguishes.
      embedding_size: Length of the vector.
    """

    width: int
    num_blocks: int
    num_heads: int
    reach_frames: int
    embedding_size: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, mask: Array) -> Array:
        """Maps `x` `[B, T, C]` with `mask` `[B, T, 1]` to unit vectors `[B, embedding_size]`."""
        masked = mask.astype(self.dtype)
        h = nn.Conv(self.width, (3,), dtype=self.dtype)(x * mask)
        for _ in range(self.num_blocks):
            h = ResidualBlock(self.width, self.dtype)(h, mask=mask)
            h = SelfAttention(self.num_heads, self.reach_frames, self.dtype)(h, mask)
        h = nn.silu(ChannelNorm(self.dtype)(h)) * masked
        vector = AttentionPool(size=self.embedding_size)(h, mask)
        norm = jnp.sqrt(jnp.sum(jnp.square(vector), axis=-1, keepdims=True) + 1e-12)
        return vector / norm


class MatchingModel(nn.Module):
    """A tower for mixes, a tower for basses, and the temperature that training learns.

    Attributes:
      width: Channels of both towers.
      num_blocks: Blocks of each.
      num_heads: Attention heads.
      reach_frames: Offsets that positional bias distinguishes.
      embedding_size: Length of the vectors.
      window_frames: Latent frames of the windows it was trained on; longer stretches are
        judged window by window.
      dtype: Compute type; parameters and vectors stay float32.
    """

    width: int = 96
    num_blocks: int = 2
    num_heads: int = 4
    reach_frames: int = 128
    embedding_size: int = 128
    window_frames: int = 128
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        """Makes the towers."""
        sizes = (
            self.width,
            self.num_blocks,
            self.num_heads,
            self.reach_frames,
            self.embedding_size,
            self.dtype,
        )
        self.mix_tower = Tower(*sizes)
        self.bass_tower = Tower(*sizes)
        self.log_scale = self.param("log_scale", nn.initializers.constant(np.log(10.0)), ())

    def embed_mix(self, mix: Array, frames: Array) -> Array:
        """`[B, T, C]`, of which `frames` `[B]` int32 are real, to unit vectors `[B, E]`."""
        return self.mix_tower(mix, _mask(mix, frames))

    def embed_bass(self, bass: Array, frames: Array) -> Array:
        """As `embed_mix`, of basses."""
        return self.bass_tower(bass, _mask(bass, frames))

    def __call__(self, mix: Array, bass: Array, frames: Array) -> tuple[Array, Array, Array]:
        """Vectors of both sides, `[B, E]` each, and the scale of their cosines, 1 to 100."""
        scale = jnp.exp(jnp.clip(self.log_scale, 0.0, MAX_LOG_SCALE))
        return self.embed_mix(mix, frames), self.embed_bass(bass, frames), scale


def _mask(x: Array, frames: Array) -> Array:
    index = jnp.arange(x.shape[1], dtype=jnp.int32)
    return (index[None, :] < frames[:, None]).astype(jnp.float32)[..., None]
