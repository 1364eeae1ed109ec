"""Self-attention with Dynamic Positional Bias: positions enter only as offsets."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from bassdiff.diffusion.types import Array
from bassdiff.models.layers import ChannelNorm

# Finite, so that a block without any real frame does not give NaN.
_UNSEEN = -1e9


class DynamicPositionalBias(nn.Module):
    """B_h[i, j] = MLP(i - j)_h, evaluated once per offset.

    Source: CrossFormer (arXiv 2108.00154); that the paper's network uses it is stated
    by its authors, the shape of the MLP is not.

    Attributes:
      num_heads: Attention heads.
      reach: Largest offset, in frames of this resolution.
      width: Hidden channels of the MLP.
    """

    num_heads: int
    reach: int
    width: int = 64

    @nn.compact
    def __call__(self, offsets: np.ndarray) -> Array:
        """Returns the bias of offsets `[n]`, query - key in frames, `[n, num_heads]` float32."""
        hidden = jnp.asarray(offsets, jnp.float32)[:, None] / self.reach
        for _ in range(2):
            hidden = nn.silu(nn.Dense(self.width)(hidden))
        return nn.Dense(self.num_heads)(hidden)


class SelfAttention(nn.Module):
    """A = softmax(Q K^T / sqrt(d) + B) V within a fixed reach; residual, zero-initialised output.

    Songs are longer than training crops. With an unlimited reach, the many distant frames of a
    long song would dilute the attention that was learned on crops. Frames are split into blocks
    as long as the reach, each of which attends to itself and its two neighbours, so the cost grows
    with the length of a song and not with its square.

    Attributes:
      num_heads: Heads; must divide the channel count.
      reach: Frames of this resolution that a frame attends to on either side.
      dtype: Compute type; the softmax runs in float32.
    """

    num_heads: int
    reach: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, mask: Array) -> Array:
        """Maps `x` `[B, T, W]` to the same shape; frames with `mask` `[B, T, 1]` 0 are unseen."""
        batch, num_frames, width = x.shape
        # A block of a short input need not be longer than that.
        size, head_width = min(self.reach, num_frames), width // self.num_heads
        num_blocks = -(-num_frames // size)
        qkv = nn.Dense(3 * width, use_bias=False, dtype=self.dtype)(ChannelNorm(self.dtype)(x))
        padding = ((0, 0), (0, num_blocks * size - num_frames), (0, 0))
        heads = (batch, num_blocks, size, self.num_heads, head_width)
        query, key, value = (
            jnp.pad(part, padding).reshape(heads) for part in jnp.split(qkv, 3, axis=-1)
        )
        seen = jnp.pad(mask, padding).reshape(batch, num_blocks, size)

        # A single block, as of a training crop, has no neighbours.
        around = _with_neighbours if num_blocks > 1 else lambda blocks: blocks
        # Offsets from the last query to the first of the keys, descending.
        before = size if num_blocks > 1 else 0
        offsets = np.arange(size - 1 + before, -size - before, -1)
        near = _toeplitz(np.abs(offsets) <= self.reach, size)
        bias = DynamicPositionalBias(self.num_heads, self.reach)(offsets)
        bias = _toeplitz(bias.T, size)  # [H, R, K]
        visible = near[None, None] & (around(seen) > 0)[:, :, None, :]
        logits = jnp.einsum("bnqhd,bnkhd->bnhqk", query / np.sqrt(head_width), around(key))
        logits = logits.astype(jnp.float32) + bias[None, None]
        weights = nn.softmax(jnp.where(visible[:, :, None], logits, _UNSEEN))
        attended = jnp.einsum("bnhqk,bnkhd->bnqhd", weights.astype(self.dtype), around(value))
        attended = attended.reshape(batch, num_blocks * size, width)[:, :num_frames]
        out = nn.Dense(width, dtype=self.dtype, kernel_init=nn.initializers.zeros_init())(attended)
        return x + out


def _toeplitz(values: Array | np.ndarray, size: int) -> Array:
    """Values `[..., size + K - 1]` of falling offsets as the block `[..., size, K]` of them.

    Each row is the one above, shifted by one: a reshape of copies that lack one element. A gather
    would become a scatter in the backward pass, which accelerators are slow at.
    """
    rest, count = values.shape[:-1], values.shape[-1]
    padded = jnp.pad(values, [(0, 0)] * len(rest) + [(0, 1)])
    copies = jnp.broadcast_to(padded[..., None, :], (*rest, size, count + 1))
    moved = copies.reshape(*rest, -1)[..., : size * count]
    return moved.reshape(*rest, size, count)[..., size - 1 :]


def _with_neighbours(blocks: Array) -> Array:
    """Each block between its neighbours: `[B, n, R, ...]` to `[B, n, 3 R, ...]`."""
    rest = [(0, 0)] * (blocks.ndim - 2)
    padded = jnp.pad(blocks, [(0, 0), (1, 1), *rest])
    return jnp.concatenate([padded[:, :-2], blocks, padded[:, 2:]], axis=2)
