"""Style grounding: pulls a sample towards the sound of a reference, inside every step.

A reference is given by the mean, and perhaps the spread, of its latents over the frames that sound.
These are decorators of the denoiser, like those of `guidance.py`; put them after contrasts and
rescaling, which would move the mean that they have set.
"""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import struct

from bassdiff.diffusion.chain import Place
from bassdiff.diffusion.guidance import rescaled
from bassdiff.diffusion.rows import interleave, per_row
from bassdiff.diffusion.schedules import noise_rate
from bassdiff.diffusion.statistics import Sounding, frame_mean
from bassdiff.diffusion.types import Array, Cond, Denoise


class StyleGrounding(struct.PyTreeNode):
    """Pulls the average latent towards a reference recording's, inside every step.

        w = strength * channels * noise_rate(sigma)
        x0 <- x0 + w (style - mean_frames x0)

    Means are weighted by how much of each frame of x0 sounds. The noise rate makes the pull
    strong while everything is still open, and leaves the details to the model. With a `spread`
    each channel's deviation is matched too:

        x0 <- x0 + w (style - mean + match_spread (spread / std_frames x0 - 1) (x0 - mean))

    Several references may take turns: `sections` says how much of each frame belongs to which,
    and means are taken by section.

    Attributes:
      style: `[C]`, `[S, C]` or `[B, S, C]`: mean over sounding frames of the references'
        normalised latents. Blend references by averaging these.
      strength: 0 (off) to 1 (the mean is the reference's at full noise); more exaggerates.
      channels: `[C]` share of the pull that each channel takes; channels that hold notes
        rather than sound should take none, or the reference's key would be imposed too.
      sounding: How much of a frame sounds; None if all do.
      sections: `[T, S]` or `[B, T, S]` shares, each frame's of sum 1; None is a single section.
      spread: Standard deviation over sounding frames of the references, shaped like `style`.
      match_spread: 0 (the mean only) to 1.

    Source: the paper's abstract names the technique; the formula of the mean is inferred from
    it, the rest is an addition.
    """

    place: ClassVar[Place] = Place.GROUNDING
    style: Array
    strength: Array | float = 1.0
    channels: Array | float = 1.0
    sounding: Sounding | None = None
    sections: Array | None = None
    spread: Array | None = None
    match_spread: Array | float = 1.0

    def __call__(self, denoise: Denoise) -> Denoise:
        """Wraps `denoise`."""

        def grounded(x: Array, sigma: Array, cond: Cond) -> Array:
            x0 = denoise(x, sigma, cond)
            share = cond.mask()  # [B, T, S]
            if self.sections is not None:
                share = share * _rank_three(self.sections)
            weight = share if self.sounding is None else share * (self.sounding(x0) + 1e-4)
            count = jnp.maximum(jnp.sum(weight, axis=1), 1e-6)[..., None]

            def by_section(values: Array) -> Array:
                return jnp.einsum("bts,btc->bsc", weight, values) / count

            def by_frame(values: Array) -> Array:
                shape = (share.shape[0], share.shape[2], values.shape[2])
                return jnp.einsum("bts,bsc->btc", share, jnp.broadcast_to(values, shape))

            mean = by_section(x0)
            centred = x0 - by_frame(mean)
            pull = by_frame(_rank_three(self.style)) - by_frame(mean)
            if self.spread is not None:
                std = jnp.sqrt(by_section(jnp.square(centred)) + 1e-6)
                ratio = _rank_three(self.spread) / std
                pull = pull + per_row(self.match_spread) * by_frame(ratio - 1.0) * centred
            channels = jnp.broadcast_to(self.channels, x.shape[-1:])[None, None, :]
            strength = per_row(self.strength) * per_row(noise_rate(sigma))
            return x0 + strength * channels * pull

        return grounded


def _rank_three(values: Array) -> Array:
    values = jnp.asarray(values)
    return values.reshape((1,) * (3 - values.ndim) + values.shape)


class StyleReplacement(struct.PyTreeNode):
    """The other reading of style grounding: replaces the mean of x, not that of the estimate.

        x <- x + strength * channels * (style - mean_frames x),  x0 = D(x, sigma)

    Attributes:
      style: `[C]` or `[B, 1, C]`, as in `StyleGrounding`.
      strength: 0 (off) to 1 (replaced).
      channels: As in `StyleGrounding`.

    Source: iterative latent variable refinement, arXiv 2108.02938, with the mean over
    frames as its low-pass filter.
    """

    place: ClassVar[Place] = Place.GROUNDING
    style: Array
    strength: Array | float = 1.0
    channels: Array | float = 1.0

    def __call__(self, denoise: Denoise) -> Denoise:
        """Wraps `denoise`."""

        def replaced(x: Array, sigma: Array, cond: Cond) -> Array:
            moved = per_row(self.strength) * _shift(self.style, self.channels, x, cond)
            return denoise(x + moved, sigma, cond)

        return replaced


class MixAndStyle(struct.PyTreeNode):
    """Classifier-free guidance with a scale of its own for the mix and for the style.

        x0 = x0_null + scale (x0_mix - x0_null) + style_scale (x0_both - x0_mix)

    x0_mix is conditioned on the mix, and x0_both on the style too. All three come from one call
    on three times the rows.

    Attributes:
      scale: Guidance weight of the mix; 1 is the conditional model.
      style_scale: Weight of the style; 0 is off.
      rescale: As in `CFG`.

    Source: the two scales of arXiv 2211.09800, section 3.2, with style as the second.
    """

    place: ClassVar[Place] = Place.CONTRAST
    scale: Array | float = 2.5
    style_scale: Array | float = 1.0
    rescale: Array | float = 0.7

    def __call__(self, denoise: Denoise) -> Denoise:
        """Wraps `denoise`."""

        def guided(x: Array, sigma: Array, cond: Cond) -> Array:
            plain = cond.unstyled()
            triple = jax.tree.map(interleave, plain.null(), plain, cond)
            x0 = denoise(interleave(x, x, x), interleave(sigma, sigma, sigma), triple)
            null, mix, both = jnp.moveaxis(x0.reshape(-1, 3, *x0.shape[1:]), 1, 0)
            estimate = null + per_row(self.scale) * (mix - null)
            estimate = estimate + per_row(self.style_scale) * (both - mix)
            return rescaled(estimate, mix, self.rescale, 0.0, cond.mask())

        return guided


def _shift(style: Array, channels: Array | float, x: Array, cond: Cond) -> Array:
    channels = jnp.broadcast_to(channels, x.shape[-1:])[None, None, :]
    return channels * (_rank_three(style) - frame_mean(x, cond.mask()))
