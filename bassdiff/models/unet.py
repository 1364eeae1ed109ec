"""The latent diffusion U-Net: 1-D over latent frames, conditioned by concatenation."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from bassdiff.diffusion.types import Array, Cond
from bassdiff.models.attention import SelfAttention
from bassdiff.models.layers import ChannelNorm, Downsample, NoiseEmbedding, ResidualBlock, Upsample
from bassdiff.models.stationary import StationaryDenoiser


class UNet(nn.Module):
    """F(x, sigma, cond): the network inside the preconditioned denoiser.

    The noisy latents and the mix's latents are concatenated along channels at the input. The best
    linear denoiser (`stationary.py`) is added to the network's output. Every level has a length
    mask, so a padded row gets the result that it would get alone.

    Attributes:
      num_channels: Channels of the bass latents, in and out.
      widths: Channels of each level; the frame rate halves from one to the next.
      num_blocks: Residual blocks per level on the way down, and again on the way up.
      attention_levels: Levels (0 is the full rate) that have self-attention.
      num_heads: Attention heads.
      reach_frames: The reach of attention on either side, in latent frames.
      dtype: Compute type; parameters and output stay float32.
      remat: Recompute blocks in the backward pass instead of keeping their activations.
      keep_products: With `remat`, keep the results of matrix products and convolutions, and
        recompute only what is cheap.
    """

    num_channels: int
    widths: tuple[int, ...]
    num_blocks: int = 2
    attention_levels: tuple[int, ...] = (2, 3)
    num_heads: int = 4
    reach_frames: int = 256
    dtype: jnp.dtype = jnp.float32
    remat: bool = False
    keep_products: bool = False

    @property
    def stride(self) -> int:
        """T must be a multiple of this."""
        return 2 ** (len(self.widths) - 1)

    @nn.compact
    def __call__(self, x: Array, sigma: Array, cond: Cond) -> Array:
        """Maps `x` `[B, T, C]` at `sigma` `[B]` to `[B, T, C]` float32.

        Raises:
          ValueError: If T is not a multiple of `stride`.
        """
        if x.shape[1] % self.stride:
            raise ValueError(f"{x.shape[1]} frames are not a multiple of {self.stride}")
        masks = [cond.mask()]
        for _ in self.widths[1:]:
            # A coarse frame is real if any of its fine frames is.
            masks.append(jnp.maximum(masks[-1][:, 0::2], masks[-1][:, 1::2]))
        embedding = NoiseEmbedding(2 * self.widths[0], self.dtype)(sigma)
        embedding = embedding + self._about(x.shape[0], cond)

        policy = is_kept if self.keep_products else None
        again = functools.partial(nn.remat, policy=policy) if self.remat else lambda kind: kind
        numbers, attention_numbers = itertools.count(), itertools.count()

        def block(h: Array, level: int) -> Array:
            # Named here: flax names a rematerialised block differently, and would miss its weights.
            name, width = f"ResidualBlock_{next(numbers)}", self.widths[level]
            h = again(ResidualBlock)(width, self.dtype, name=name)(h, embedding, masks[level])
            if level not in self.attention_levels:
                return h
            reach = max(1, self.reach_frames >> level)
            name = f"SelfAttention_{next(attention_numbers)}"
            attention = again(SelfAttention)(self.num_heads, reach, self.dtype, name=name)
            return attention(h, masks[level])

        mix = cond.mix * cond.keep[:, None, None]
        h = jnp.concatenate([x, mix], axis=-1) * masks[0]
        h = nn.Conv(self.widths[0], (3,), dtype=self.dtype)(h)
        skips = []
        for level in range(len(self.widths)):
            for _ in range(self.num_blocks):
                h = block(h, level)
                skips.append(h)
            if level + 1 < len(self.widths):
                h = Downsample(self.widths[level + 1], self.dtype)(
                    h * masks[level].astype(self.dtype)
                )
        for level in reversed(range(len(self.widths))):
            for _ in range(self.num_blocks):
                h = jnp.concatenate([h, skips.pop()], axis=-1)
                h = block(h, level)
            if level:
                h = Upsample(self.widths[level - 1], self.dtype)(h)
        h = nn.silu(ChannelNorm(self.dtype)(h)) * masks[0].astype(self.dtype)
        out = nn.Conv(self.num_channels, (3,), kernel_init=nn.initializers.zeros_init())(
            h.astype(jnp.float32)
        )
        out = out + StationaryDenoiser(self.num_channels, name="stationary")(x * masks[0], sigma)
        return out * masks[0]

    def _about(self, batch: int, cond: Cond) -> Array:
        """Embeds the condition apart from the mix, `[B, 2 W]`, to be added to the noise level's."""
        style = jnp.zeros((batch, self.num_channels)) if cond.style is None else cond.style
        keep = jnp.zeros(batch) if cond.keep_style is None else cond.keep_style
        noise = jnp.zeros(batch) if cond.mix_noise is None else cond.mix_noise
        # Without a mix, its noise level is ignored.
        known = [style * keep[:, None], keep[:, None], (noise * cond.keep)[:, None]]
        return nn.Dense(2 * self.widths[0], dtype=self.dtype, name="about")(
            jnp.concatenate(known, axis=-1)
        )


def is_kept(primitive: Any, *_: Any, **__: Any) -> bool:
    """A policy of rematerialisation: keeps results of products, and the scales of norms."""
    return primitive.name in ("dot_general", "conv_general_dilated", "name")
