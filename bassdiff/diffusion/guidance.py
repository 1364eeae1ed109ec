"""Guidance: decorators of the denoiser. Each is a pytree whose numbers are leaves.

To add one, write a `PyTreeNode` whose `__call__` takes a `Denoise` and returns another,
give it a test, and put it into a `chain`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from bassdiff.diffusion.schedules import noise_rate
from bassdiff.types import Array, Cond, Denoise, Guidance


def frame_mean(x: Array, mask: Array) -> Array:
    """Mean over real frames: `[B, T, C]` with mask `[B, T, 1]` to `[B, 1, C]`."""
    count = jnp.maximum(jnp.sum(mask, axis=1, keepdims=True), 1.0)
    return jnp.sum(x * mask, axis=1, keepdims=True) / count


def sample_std(x: Array, mask: Array) -> Array:
    """Standard deviation of each sample over real frames and channels: `[B, 1, 1]`."""
    count = jnp.maximum(jnp.sum(mask, axis=(1, 2), keepdims=True), 1.0) * x.shape[-1]
    mean = jnp.sum(x * mask, axis=(1, 2), keepdims=True) / count
    variance = jnp.sum(jnp.square(x - mean) * mask, axis=(1, 2), keepdims=True) / count
    return jnp.sqrt(variance + 1e-12)


class CFG(struct.PyTreeNode):
    """Classifier-free guidance with latent rescaling.

        x0 = x0_null + scale (x0_cond - x0_null)
        x0 <- rescale * x0 * std(x0_cond) / std(x0) + (1 - rescale) * x0

    Strong guidance inflates an estimate; in an unbounded latent space nothing clips it, so
    its standard deviation per sample is pulled back to the conditional estimate's.

    Attributes:
      scale: Guidance weight; 1 is the conditional model, larger follows the mix more.
      rescale: 0 (none) to 1 (the conditional estimate's standard deviation exactly).

    Source: arXiv 2207.12598 and, for the rescaling, arXiv 2305.08891 section 3.4.

    >>> CFG(scale=1.0).rescale
    0.7
    """

    scale: Array | float = 2.5
    rescale: Array | float = 0.7

    def __call__(self, denoise: Denoise) -> Denoise:
        """Wraps `denoise`; it is called once, on a batch of twice the rows."""

        def guided(x: Array, sigma: Array, cond: Cond) -> Array:
            # Stacked on axis 1, the pair of a row stays on the row's own device.
            def interleave(a: Array, b: Array) -> Array:
                return jnp.stack([a, b], axis=1).reshape(-1, *a.shape[1:])

            pair = jax.tree.map(interleave, cond, cond.null())
            x0 = denoise(interleave(x, x), interleave(sigma, sigma), pair)
            x0 = x0.reshape(-1, 2, *x0.shape[1:])
            conditional, null = x0[:, 0], x0[:, 1]
            estimate = null + self.scale * (conditional - null)
            mask = cond.mask()
            ratio = sample_std(conditional, mask) / sample_std(estimate, mask)
            return estimate * (self.rescale * ratio + (1.0 - self.rescale))

        return guided


class StyleGrounding(struct.PyTreeNode):
    """Pulls the average latent towards a reference recording's, inside every step.

        x0 <- x0 + strength * channels * noise_rate(sigma) * (style - mean_frames x0)

    Weighted by the noise rate, it decides the sound while everything is still open and
    leaves the details to the model. Put it after `CFG`: rescaling would move the mean.

    Attributes:
      style: `[C]` or `[B, C]`, mean over all frames of the reference's normalised latents.
      strength: 0 (off) to 1 (the mean is the reference's at full noise); more exaggerates.
      channels: `[C]` share of the pull that each channel takes; channels that hold notes
        rather than sound should take none, or the reference's key would be imposed too.

    Source: the paper's abstract names the technique; this formula is inferred from it.
    """

    style: Array
    strength: Array | float = 1.0
    channels: Array | float = 1.0

    def __call__(self, denoise: Denoise) -> Denoise:
        """Wraps `denoise`."""

        def grounded(x: Array, sigma: Array, cond: Cond) -> Array:
            x0 = denoise(x, sigma, cond)
            style = jnp.broadcast_to(self.style, (x.shape[0], x.shape[2]))[:, None, :]
            channels = jnp.broadcast_to(self.channels, x.shape[-1:])[None, None, :]
            weight = self.strength * channels * noise_rate(sigma)[:, None, None]
            return x0 + weight * (style - frame_mean(x0, cond.mask()))

        return grounded


class StyleReplacement(struct.PyTreeNode):
    """The other reading of style grounding: replaces the mean of x, not of the estimate.

        x <- x + strength * (style - mean_frames x),  x0 = D(x, sigma)

    Attributes:
      style: `[C]` or `[B, C]`, as in `StyleGrounding`.
      strength: 0 (off) to 1 (replaced).

    Source: iterative latent variable refinement, arXiv 2108.02938, with the mean over
    frames as its low-pass filter.
    """

    style: Array
    strength: Array | float = 1.0

    def __call__(self, denoise: Denoise) -> Denoise:
        """Wraps `denoise`."""

        def replaced(x: Array, sigma: Array, cond: Cond) -> Array:
            style = jnp.broadcast_to(self.style, (x.shape[0], x.shape[2]))[:, None, :]
            return denoise(x + self.strength * (style - frame_mean(x, cond.mask())), sigma, cond)

        return replaced


class Chain(struct.PyTreeNode):
    """Several guidances as one; the left one wraps first, so the right one acts last."""

    links: tuple[Guidance, ...]

    def __call__(self, denoise: Denoise) -> Denoise:
        """Wraps `denoise` by every link."""
        for link in self.links:
            denoise = link(denoise)
        return denoise


def chain(*links: Guidance) -> Chain:
    """`Chain` of its arguments; without any it changes nothing.

    >>> chain()(max) is max
    True
    """
    return Chain(links)
