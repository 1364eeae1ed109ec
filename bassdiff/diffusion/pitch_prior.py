"""Pitch prior: makes some notes likelier than others, inside every step."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import struct

from bassdiff.diffusion.chain import Place
from bassdiff.diffusion.rows import per_row
from bassdiff.diffusion.schedules import noise_rate
from bassdiff.diffusion.types import Array, Cond, Denoise

# The pitch of an estimate is never known better than this variance of its code: at the end the
# posterior is the nearest note, and stays finite.
_LEAST_VARIANCE = 0.02


class PitchPrior(struct.PyTreeNode):
    """Conditions the notes of an estimate on a prior over pitches, frame by frame.

        p(i) ~ exp(-|x0 - code_i|^2 / (2 v)),    q(i) ~ exp(log_prior_i) p(i)
        x0 <- x0 + sum_i (q(i) - p(i)) code_i,   v = noise_rate(sigma)^2

    in the channels of one span at a time, where v is the variance of normalised data that is left
    at a noise level. While everything is open, the estimate moves by the difference of two means;
    at the end, a note that the prior excludes moves to the nearest allowed one. A note that the
    prior allows does not move, so it keeps its vibrato, slides and detuning.

    Attributes:
      codes: `[P, C]`: normalised latents that hold each note.
      spans: `[S, C]`, 1 for the channels that hold the note of each span within a frame.
      log_prior: `[B, T, P]` in nats, 0 for notes that are as likely as without it; a frame of
        zeros is left as it is, to the bit.

    Source: Bayes' rule on the clean estimate; none known for this use of it.
    """

    place: ClassVar[Place] = Place.GROUNDING
    codes: Array
    spans: Array
    log_prior: Array

    def __call__(self, denoise: Denoise) -> Denoise:
        """Wraps `denoise`."""

        def conditioned(x: Array, sigma: Array, cond: Cond) -> Array:
            x0 = denoise(x, sigma, cond)
            prior = jnp.asarray(self.log_prior)
            # [S, P, C]: one span's part of each note's code.
            codes = jnp.asarray(self.spans)[:, None] * jnp.asarray(self.codes)[None]
            variance = jnp.square(per_row(noise_rate(sigma)))[..., None] + _LEAST_VARIANCE
            likeness = jnp.einsum("btc,spc->btsp", x0, codes)
            size = 0.5 * jnp.sum(jnp.square(codes), axis=-1)
            logits = (likeness - size[None, None]) / variance
            told = jax.nn.softmax(logits + prior[:, :, None], axis=-1)
            move = jnp.einsum("btsp,spc->btc", told - jax.nn.softmax(logits, axis=-1), codes)
            is_told = jnp.any(prior != 0.0, axis=-1, keepdims=True)
            return jnp.where(is_told, x0 + move, x0)

        return conditioned
