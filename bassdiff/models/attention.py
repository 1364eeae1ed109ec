"""Self-attention with Dynamic Positional Bias: positions enter only as offsets."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from bassdiff.models.layers import ChannelNorm
from bassdiff.types import Array


class DynamicPositionalBias(nn.Module):
    """B_h[i, j] = MLP(i - j)_h, evaluated once per offset and gathered.

    Offsets beyond `reach` frames share the bias of `reach`: an MLP is only trustworthy
    on offsets it was trained on, and songs are longer than training crops.

    Source: CrossFormer (arXiv 2108.00154); that the paper's network uses it is stated
    by its authors, the shape of the MLP is not.

    Attributes:
      num_heads: Attention heads.
      reach: Largest offset, in frames of this resolution, that gets a bias of its own.
      width: Hidden channels of the MLP.
    """

    num_heads: int
    reach: int
    width: int = 64

    @nn.compact
    def __call__(self, num_frames: int) -> Array:
        """Returns the bias `[num_heads, num_frames, num_frames]` float32."""
        offsets = jnp.arange(-self.reach, self.reach + 1, dtype=jnp.float32)[:, None]
        hidden = offsets / self.reach
        for _ in range(2):
            hidden = nn.silu(nn.Dense(self.width)(hidden))
        table = nn.Dense(self.num_heads)(hidden)  # [2 reach + 1, H]
        index = jnp.arange(num_frames)
        offset = jnp.clip(index[:, None] - index[None, :], -self.reach, self.reach)
        return jnp.moveaxis(table[offset + self.reach], -1, 0)


class SelfAttention(nn.Module):
    """A = softmax(Q K^T / sqrt(d) + B) V, with a zero-initialised output, residual.

    Attributes:
      num_heads: Heads; must divide the channel count.
      reach: Offsets the positional bias distinguishes, in frames of this resolution.
      dtype: Compute type; the softmax runs in float32.
    """

    num_heads: int
    reach: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, mask: Array) -> Array:
        """Maps `x` `[B, T, W]` to the same shape; frames with `mask` `[B, T, 1]` 0 are unseen."""
        batch, num_frames, width = x.shape
        heads = (batch, num_frames, self.num_heads, width // self.num_heads)
        qkv = nn.Dense(3 * width, use_bias=False, dtype=self.dtype)(ChannelNorm(self.dtype)(x))
        query, key, value = (part.reshape(heads) for part in jnp.split(qkv, 3, axis=-1))
        bias = DynamicPositionalBias(self.num_heads, self.reach)(num_frames)
        visible = mask[:, None, None, :, 0] > 0  # [B, 1, 1, T]
        attended = jax.nn.dot_product_attention(
            query, key, value, bias=bias[None].astype(query.dtype), mask=visible
        )
        out = nn.Dense(width, dtype=self.dtype, kernel_init=nn.initializers.zeros_init())(
            attended.reshape(batch, num_frames, width)
        )
        return x + out
