"""Guidance: decorators of the denoiser. Each is a pytree whose numbers are leaves.

To add one, write a `PyTreeNode` whose `__call__` takes a `Denoise` and returns another, give it
a test, and put it into a `chain`. Those in this file contrast the model with and without its
mix; one that needs only these two estimates is a `Contrast` with a `combine`. Style grounding
is in `grounding.py`, edits and long form in `editing.py`. Numbers are scalars for the whole
batch, or `[B]`, one for each row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from bassdiff.diffusion.chain import Place
from bassdiff.diffusion.rows import interleave, per_row
from bassdiff.diffusion.statistics import channel_std, inner_product, sample_std
from bassdiff.diffusion.types import Array, Cond, Denoise

# The plain guidance weight that a CFG++ scale of 1 is equivalent to (arXiv 2406.08070, table 1).
CFGPP_UNIT = 12.5
# A channel that guidance flattened would else be all noise.
_MOST_GROWTH = 2.0


class Contrast(struct.PyTreeNode):
    """A guidance that is a formula of two estimates: with the mix, and without it."""

    place: ClassVar[Place] = Place.CONTRAST

    def combine(self, conditional: Array, null: Array, x: Array, sigma: Array, cond: Cond) -> Array:
        """The guided estimate `[B, T, C]` of the two at `x`."""
        raise NotImplementedError

    def __call__(self, denoise: Denoise) -> Denoise:
        """Wraps `denoise`; it is called once, on a batch of twice the rows."""

        def guided(x: Array, sigma: Array, cond: Cond) -> Array:
            pair = jax.tree.map(interleave, cond, cond.null())
            x0 = denoise(interleave(x, x), interleave(sigma, sigma), pair)
            x0 = x0.reshape(-1, 2, *x0.shape[1:])
            return self.combine(x0[:, 0], x0[:, 1], x, sigma, cond)

        return guided


def rescaled(
    estimate: Array,
    conditional: Array,
    rescale: Array | float,
    by_channel: Array | float,
    mask: Array,
) -> Array:
    """Latent rescaling: the share `rescale` of the way back to the conditional's deviation.

    Strong guidance inflates an estimate; in an unbounded latent space nothing clips it. It inflates
    some channels more than others: levels that move inside a frame, and with them attacks, more
    than the pitch. `by_channel` says how much of the deviation is taken of every channel over time,
    instead of all channels together.

    Source: arXiv 2305.08891, section 3.4, for all channels together.
    """
    whole, each = (
        std(conditional, mask) / std(estimate, mask) for std in (sample_std, channel_std)
    )
    ratio = whole + per_row(by_channel) * (jnp.minimum(each, _MOST_GROWTH) - whole)
    share = per_row(rescale)
    return estimate * (share * ratio + (1.0 - share))


class CFG(Contrast):
    """Classifier-free guidance with latent rescaling.

        x0 = x0_null + scale (x0_cond - x0_null)
        x0 <- rescale * x0 * std(x0_cond) / std(x0) + (1 - rescale) * x0

    Attributes:
      scale: Guidance weight; 1 is the conditional model, larger follows the mix more.
      rescale: 0 (none) to 1 (the conditional estimate's standard deviation exactly).
      by_channel: 0 (one deviation for all channels) to 1 (one for each); see `rescaled`.

    Source: arXiv 2207.12598 and, for the rescaling, arXiv 2305.08891 section 3.4.

    >>> CFG(scale=1.0).rescale
    0.7
    """

    scale: Array | float = 2.5
    rescale: Array | float = 0.7
    by_channel: Array | float = 0.0

    def combine(self, conditional: Array, null: Array, x: Array, sigma: Array, cond: Cond) -> Array:
        """See the formula."""
        estimate = null + per_row(self.scale) * (conditional - null)
        return rescaled(estimate, conditional, self.rescale, self.by_channel, cond.mask())


class CFGpp(Contrast):
    """CFG++: guides the clean estimate, but keeps the noise that the model sees without the mix.

    Its step x <- x0 + (sigma_next / sigma) (x - x0_null), x0 = x0_null + scale (x0_cond -
    x0_null), is Euler's on plain guidance whose weight depends on the step:

        scale / (1 - sigma_next / sigma)

    so it works with every solver, and with Euler is the published method. The sampler passes the
    size of the step in `Cond.step_ratio`; outside a step it is taken to end at level 0.

    Attributes:
      scale: 0 (the unconditional model) to 1; 0.6 is like a plain weight of 7.5.
      rescale: As in `CFG`.

    Source: arXiv 2406.08070, in the sigma parameterisation.

    >>> CFGpp().scale
    0.6
    """

    scale: Array | float = 0.6
    rescale: Array | float = 0.0

    def combine(self, conditional: Array, null: Array, x: Array, sigma: Array, cond: Cond) -> Array:
        """See the formula."""
        ratio = jnp.zeros_like(sigma) if cond.step_ratio is None else cond.step_ratio
        weight = per_row(self.scale) / (1.0 - per_row(ratio))
        estimate = null + weight * (conditional - null)
        return rescaled(estimate, conditional, self.rescale, 0.0, cond.mask())


class Interval(struct.PyTreeNode):
    """A contrast where the noise level lies in an interval, the plain model elsewhere.

    Late guidance does little, or does harm: at low levels the mix says next to nothing about a
    bass that its notes do not. The model is evaluated with the mix and then without it, and the
    second evaluation is skipped where no row of the batch is inside.

    Attributes:
      guidance: The contrast to apply inside.
      low: Lower end of the interval in sigma, inclusive.
      high: Upper end, inclusive.

    Source: arXiv 2404.07724.

    >>> Interval(CFG(3.0)).low
    1.5
    """

    place: ClassVar[Place] = Place.CONTRAST
    guidance: Contrast
    low: Array | float = 1.5
    high: Array | float = float("inf")

    def __call__(self, denoise: Denoise) -> Denoise:
        """Wraps `denoise`."""

        def guided(x: Array, sigma: Array, cond: Cond) -> Array:
            inside = (self.low <= sigma) & (sigma <= self.high)

            def ask(turn: Array, answers: Array) -> Array:
                seen = cond.replace(keep=jnp.where(turn == 0, cond.keep, cond.null().keep))
                return answers.at[turn].set(denoise(x, sigma, seen))

            turns = 1 + jnp.any(inside).astype(jnp.int32)
            empty = jnp.zeros((2, *x.shape), x.dtype)
            conditional, null = jax.lax.fori_loop(0, turns, ask, empty)
            estimate = self.guidance.combine(conditional, null, x, sigma, cond)
            return jnp.where(inside[:, None, None], estimate, conditional)

        return guided


class APG(Contrast):
    """Adaptive projected guidance: removes the part of the contrast that only inflates.

        d = x0_cond - x0_null, at most `norm` times as long as a unit latent of its size
        x0 = x0_cond + (scale - 1) (d_orthogonal + parallel * d_parallel)

    where d_parallel is the part of d along x0_cond. The published momentum over steps is left
    out: a guidance has no state here.

    Attributes:
      scale: Guidance weight; 1 is the conditional model.
      parallel: 0 (taken away) to 1 (plain guidance).
      norm: Bound on the root mean square of d, in deviations of the latents.

    Source: arXiv 2410.02416, algorithm 1 without momentum.

    >>> APG(scale=1.0).parallel
    0.0
    """

    scale: Array | float = 2.5
    parallel: Array | float = 0.0
    norm: Array | float = 1.0

    def combine(self, conditional: Array, null: Array, x: Array, sigma: Array, cond: Cond) -> Array:
        """See the formula."""
        mask = cond.mask()
        contrast = conditional - null
        length = jnp.sqrt(inner_product(contrast, contrast, mask) + 1e-12)
        size = jnp.sqrt(jnp.sum(mask, axis=(1, 2), keepdims=True) * x.shape[-1])
        contrast = contrast * jnp.minimum(1.0, per_row(self.norm) * size / length)
        square = inner_product(conditional, conditional, mask) + 1e-12
        along = inner_product(contrast, conditional, mask) / square * conditional
        update = contrast - (1.0 - per_row(self.parallel)) * along
        return conditional + (per_row(self.scale) - 1.0) * update


class CFGZeroStar(Contrast):
    """CFG-Zero*: scales the estimate without the mix to the one with it before contrasting them.

    On the velocities v of the variance-preserving path, x0 = c_skip x + c_out v:

        v = share v_null + scale (v_cond - share v_null),  share = <v_cond, v_null> / |v_null|^2

    and v = 0 above a level, where the first of few steps know too little to move.

    Attributes:
      scale: Guidance weight; 1 is the conditional model.
      zero_above: Level above which nothing moves; infinity for none.

    Source: arXiv 2503.18886, equations 7 to 9, on v instead of a flow's velocity.

    >>> CFGZeroStar().zero_above
    inf
    """

    scale: Array | float = 2.5
    zero_above: Array | float = float("inf")

    def combine(self, conditional: Array, null: Array, x: Array, sigma: Array, cond: Cond) -> Array:
        """See the formula."""
        mask, level = cond.mask(), per_row(sigma)
        skip = 1.0 / (1.0 + jnp.square(level))
        out = -level * jnp.sqrt(skip)
        conditional, null = ((x0 - skip * x) / out for x0 in (conditional, null))
        share = inner_product(conditional, null, mask)
        null = share / (inner_product(null, null, mask) + 1e-12) * null
        velocity = null + per_row(self.scale) * (conditional - null)
        return skip * x + out * jnp.where(level > per_row(self.zero_above), 0.0, velocity)


class DynamicThresholding(struct.PyTreeNode):
    """Squashes an estimate's outliers: an ablation of latent rescaling.

        s = max(floor, the `quantile` of |x0| per sample),  x0 <- clip(x0, -s, s) * floor / s

    It was made for pixels, whose range ends at 1. Latents have no such range, so `floor` is a
    guess in deviations, and the clipped values are music.

    Attributes:
      quantile: 0 to 1, over real frames and channels.
      floor: Size below which nothing is changed, in deviations of the latents.

    Source: arXiv 2205.11487, section 2.3.

    >>> DynamicThresholding().quantile
    0.995
    """

    place: ClassVar[Place] = Place.SCALE
    quantile: Array | float = 0.995
    floor: Array | float = 3.0

    def __call__(self, denoise: Denoise) -> Denoise:
        """Wraps `denoise`."""

        def thresholded(x: Array, sigma: Array, cond: Cond) -> Array:
            x0 = denoise(x, sigma, cond)
            sizes = jnp.where(cond.mask() > 0, jnp.abs(x0), jnp.nan).reshape(x.shape[0], -1)
            quantile = jnp.broadcast_to(jnp.asarray(self.quantile), sizes.shape[:1])
            found = jax.vmap(jnp.nanquantile)(sizes, quantile)
            floor = per_row(self.floor)
            bound = jnp.maximum(floor, per_row(found))
            return jnp.clip(x0, -bound, bound) * (floor / bound)

        return thresholded


def _cfg(settings: Any) -> CFG:
    return CFG(*map(np.float32, (settings.guidance, settings.rescale, settings.channel_rescale)))


# By the name that a user calls them, what makes them of settings: `settings.Sampling`.
GUIDANCES: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "none": lambda s: (),
    "cfg": lambda s: (_cfg(s),),
    "interval": lambda s: (
        Interval(_cfg(s), np.float32(s.guidance_low), np.float32(s.guidance_high)),
    ),
    "cfgpp": lambda s: (CFGpp(np.float32(s.guidance / CFGPP_UNIT), np.float32(0.0)),),
    "apg": lambda s: (
        APG(np.float32(s.guidance), np.float32(s.apg_parallel), np.float32(s.apg_norm)),
    ),
    "cfg_zero_star": lambda s: (CFGZeroStar(np.float32(s.guidance), np.float32(np.inf)),),
    "threshold": lambda s: (
        CFG(np.float32(s.guidance), np.float32(0.0)),
        DynamicThresholding(np.float32(s.threshold_quantile), np.float32(s.threshold_floor)),
    ),
}
