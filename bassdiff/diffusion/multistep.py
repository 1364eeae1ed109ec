"""Multistep solvers: one evaluation per step, higher order from earlier evaluations.

All of them fit a polynomial to the last estimates and integrate it exactly over the step; they
differ in the variable and in the quantity that is fitted. Along lambda = -log(sigma) the ODE reads

    d(x / sigma) / d lambda = x0 / sigma,   so over a step h in lambda
    x <- e^-h x + integral_0^h e^-(h - t) x0(lambda + t) dt

and its reverse-time SDE, with a share eta of fresh noise, has (1 + eta) h in the exponents.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct

from bassdiff.diffusion.rows import row_noise
from bassdiff.diffusion.types import Array, BoundDenoise, PyTree


class History(struct.PyTreeNode):
    """The last two values, newest first, and where they were taken (NaN: not yet).

    Attributes:
      values: `[B, 2, T, C]`.
      places: `[B, 2, 1, 1]`.
    """

    values: Array
    places: Array

    @classmethod
    def empty(cls, x: Array) -> History:
        """Nothing yet, for values like `x`."""
        return cls(
            jnp.zeros((x.shape[0], 2, *x.shape[1:]), x.dtype),
            jnp.full((x.shape[0], 2, 1, 1), jnp.nan, x.dtype),
        )

    @property
    def points(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """The value `[B, T, C]` and the place `[B, 1, 1]` of the newer one and of the older."""
        (newer, older), (at_newer, at_older) = (
            (both[:, 0], both[:, 1]) for both in (self.values, self.places)
        )
        return (newer, at_newer), (older, at_older)

    def since(self, place: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """The points as seen from another place, `[B, 1, 1]`."""
        (newer, at_newer), (older, at_older) = self.points
        return (newer, at_newer - place), (older, at_older - place)

    def push(self, value: Array, place: Array) -> History:
        """Forgets the older value for a new one."""
        (newer, at_newer), _ = self.points
        return History(jnp.stack([value, newer], axis=1), jnp.stack([place, at_newer], axis=1))


def _known(value: Array, place: Array) -> Array:
    return jnp.where(jnp.isnan(place), 0.0, value)


def _integral(
    moments: tuple[Array, Array, Array],
    value: Array,
    first: tuple[Array, Array],
    second: tuple[Array, Array] | None = None,
) -> Array:
    """Integral of the polynomial through up to three values, in Newton's form.

    Args:
      moments: Integrals of 1, t and t^2 over the step, times a kernel.
      value: At t = 0.
      first: Another value and its t; a t of NaN leaves the term out.
      second: A third one.
    """
    one, t, t_squared = moments
    value_1, at_1 = first
    slope = (value_1 - value) / at_1
    total = one * value + _known(t * slope, at_1)
    if second is None:
        return total
    value_2, at_2 = second
    curvature = ((value_2 - value_1) / (at_2 - at_1) - slope) / at_2
    return total + _known((t_squared - at_1 * t) * curvature, at_2)


def _exponential_moments(h: Array, eta: Array | float) -> tuple[Array, Array, Array]:
    """Integrals over [0, h] of (1 + eta) e^(-(1 + eta) (h - t)) t^k for k = 0, 1, 2."""
    rate = 1.0 + eta
    scaled = rate * h
    one = -jnp.expm1(-scaled)
    linear = scaled - one
    return one, linear / rate, (jnp.square(scaled) - 2.0 * linear) / jnp.square(rate)


def _descend(
    x: Array, integral: Array, h: Array, eta: Array | float, sigma_next: Array, keys: Array
) -> Array:
    """The linear part, the integral of the estimates, and fresh noise."""
    fresh = sigma_next * jnp.sqrt(-jnp.expm1(-2.0 * eta * h))
    noise = fresh * row_noise(keys, x)
    return jnp.exp(-(1.0 + eta) * h) * x + integral + noise


class DPMpp2M(struct.PyTreeNode):
    """DPM-Solver++ (2M), ODE or SDE: the estimate half a step ahead, from the last two.

    With r = h_last / h:

        d = (1 + 1 / 2r) x0 - (1 / 2r) x0_last
        x <- e^-(1 + eta)h x + (1 - e^-(1 + eta)h) d + sigma_next sqrt(1 - e^(-2 eta h)) noise

    Attributes:
      eta: 0 (the ODE, of second order) to 1 (the SDE).

    Source: arXiv 2211.01095, algorithm 2 and, for the SDE, its section 4.4.

    >>> bool(jnp.isnan(DPMpp2M().init(jnp.zeros((1, 1, 1))).places).all())
    True
    """

    eta: Array | float = 0.0

    def init(self, x: Array) -> PyTree:
        """Nothing to extrapolate from yet."""
        return History.empty(x)

    def step(
        self,
        denoise: BoundDenoise,
        x: Array,
        state: PyTree,
        sigma: Array,
        sigma_next: Array,
        keys: Array,
    ) -> tuple[Array, PyTree]:
        """One evaluation of the denoiser; the first step is of first order."""
        x0, place = denoise(x, sigma), -jnp.log(sigma)
        h = -jnp.log(sigma_next) - place
        one, _, _ = _exponential_moments(h, self.eta)
        # The midpoint rule: as if the line were flat at its value half a step ahead.
        moments = one, one * h / 2.0, one
        integral = _integral(moments, x0, state.since(place)[0])
        x = _descend(x, integral, h, self.eta, sigma_next, keys)
        return x, state.push(x0, place)


class DPMpp3M(struct.PyTreeNode):
    """DPM-Solver++ (3M), ODE or SDE: the parabola through the last three estimates.

    Its integral is exact, so that the ODE's order is 3.

    Attributes:
      eta: 0 (the ODE) to 1 (the SDE).

    Source: arXiv 2211.01095, appendix B, in Newton's form for steps of any length.

    >>> bool(jnp.isnan(DPMpp3M().init(jnp.zeros((1, 1, 1))).places).all())
    True
    """

    eta: Array | float = 0.0

    def init(self, x: Array) -> PyTree:
        """Nothing to extrapolate from yet."""
        return History.empty(x)

    def step(
        self,
        denoise: BoundDenoise,
        x: Array,
        state: PyTree,
        sigma: Array,
        sigma_next: Array,
        keys: Array,
    ) -> tuple[Array, PyTree]:
        """One evaluation of the denoiser; the first two steps are of first and second order."""
        x0, place = denoise(x, sigma), -jnp.log(sigma)
        h = -jnp.log(sigma_next) - place
        moments = _exponential_moments(h, self.eta)
        integral = _integral(moments, x0, *state.since(place))
        x = _descend(x, integral, h, self.eta, sigma_next, keys)
        return x, state.push(x0, place)


class UniPCState(struct.PyTreeNode):
    """The last level's corrected `x`, and the estimates of the last two levels."""

    x: Array
    history: History


class UniPC(struct.PyTreeNode):
    """Predictor and corrector from one evaluation: each step corrects the one before it.

    A step predicts with the line through the last two estimates, as `DPMpp3M` would with two.
    The next step evaluates there anyway, and repeats the move with the parabola through that
    estimate too; it continues from the corrected x with the same estimate. Order 3.

    Source: arXiv 2302.04867, UniPC-2; of the polynomial's integral, which its B(h) leaves
    unchanged.

    >>> UniPC().init(jnp.zeros((1, 1, 1))).x.shape
    (1, 1, 1)
    """

    def init(self, x: Array) -> PyTree:
        """Nothing to correct yet."""
        return UniPCState(x, History.empty(x))

    def step(
        self,
        denoise: BoundDenoise,
        x: Array,
        state: PyTree,
        sigma: Array,
        sigma_next: Array,
        keys: Array,
    ) -> tuple[Array, PyTree]:
        """One evaluation of the denoiser."""
        x0, place = denoise(x, sigma), -jnp.log(sigma)
        (last, at_last), (before, at_before) = state.history.points
        taken = place - at_last
        moments = _exponential_moments(taken, 0.0)
        corrected = jnp.exp(-taken) * state.x + _integral(
            moments, last, (x0, taken), (before, at_before - at_last)
        )
        x = jnp.where(jnp.isnan(taken), x, corrected)
        h = -jnp.log(sigma_next) - place
        integral = _integral(_exponential_moments(h, 0.0), x0, (last, at_last - place))
        predicted = jnp.exp(-h) * x + integral
        return predicted, UniPCState(x, state.history.push(x0, place))


class AdamsBashforth(struct.PyTreeNode):
    """The parabola through the last three slopes, along sigma: a linear multistep method.

    Order 3 (the first two steps are of first and second order).

    Source: Adams and Bashforth for steps of any length; as LMS in arXiv 2202.09778.

    >>> bool(jnp.isnan(AdamsBashforth().init(jnp.zeros((1, 1, 1))).places).all())
    True
    """

    def init(self, x: Array) -> PyTree:
        """Nothing to extrapolate from yet."""
        return History.empty(x)

    def step(
        self,
        denoise: BoundDenoise,
        x: Array,
        state: PyTree,
        sigma: Array,
        sigma_next: Array,
        keys: Array,
    ) -> tuple[Array, PyTree]:
        """One evaluation of the denoiser."""
        slope = (x - denoise(x, sigma)) / sigma
        h = sigma_next - sigma
        moments = h, h**2 / 2.0, h**3 / 3.0
        x = x + _integral(moments, slope, *state.since(sigma))
        return x, state.push(slope, sigma)
