"""Solvers against the Gaussian, whose denoiser and whose trajectories are known exactly.

For data of mean m and deviation s, D(x, sigma) = (s^2 x + sigma^2 m) / (s^2 + sigma^2), and
the ODE keeps (x - m) / sqrt(s^2 + sigma^2) constant.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.diffusion.guidance import chain
from bassdiff.diffusion.sampler import advance, begin
from bassdiff.diffusion.schedules import noise_rate
from bassdiff.diffusion.solvers import SOLVERS, DPMpp2M, Euler, Heun

ORDERS = {"euler": 1, "heun": 2, "dpmpp2m": 2}
MEAN, STD = 0.7, 0.5


def gaussian(x, sigma, cond=None):
    del cond
    variance = jnp.square(sigma).reshape(-1, 1, 1)
    return (STD**2 * x + variance * MEAN) / (STD**2 + variance)


def error(solver, num_steps, cond):
    """Distance from the exact trajectory after descending from 10 to 0.1."""
    sigmas = jnp.asarray(np.geomspace(10.0, 0.1, num_steps + 1))
    assert sigmas.dtype == jnp.float64
    noise = jnp.asarray([[[1.3]]])
    at = advance(
        gaussian, solver, chain(), sigmas, cond, begin(solver, noise, sigmas[0]), 0, num_steps,
        jax.random.key(0),
    )  # fmt: skip
    shrunk = np.sqrt((STD**2 + 0.1**2) / (STD**2 + 10.0**2))
    return float(jnp.abs(at.x - (MEAN + (13.0 - MEAN) * shrunk))[0, 0, 0])


def test_every_solver_declares_its_order():
    assert set(ORDERS) == set(SOLVERS)


@pytest.mark.parametrize("name", SOLVERS)
def test_convergence_order(name, make_cond):
    with jax.enable_x64(True):
        cond = make_cond(1, 1, 1)
        errors = [error(SOLVERS[name](), k, cond) for k in (40, 80, 160)]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    np.testing.assert_allclose(orders, ORDERS[name], atol=0.2)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_known_clean_signal_is_reached_along_a_straight_line(name):
    solver, z = SOLVERS[name](), jnp.asarray([[[2.0, -1.0]]])
    x, state = z + 5.0 * jnp.asarray([[[0.3, 1.0]]]), None
    state = solver.init(x)
    for sigma, sigma_next in ((5.0, 2.0), (2.0, 0.5)):
        x, state = solver.step(
            lambda x, sigma: z, x, state, jnp.asarray(sigma), jnp.asarray(sigma_next), None
        )
    np.testing.assert_allclose(x, z + 0.5 * jnp.asarray([[[0.3, 1.0]]]), rtol=1e-5)


def test_euler_is_ddim():
    sigma, sigma_next = jnp.asarray(3.0), jnp.asarray(0.8)
    x = jax.random.normal(jax.random.key(0), (2, 3, 4)) * 3.0
    stepped, _ = Euler().step(gaussian, x, (), sigma, sigma_next, None)
    # Equation 12 of arXiv 2010.02502 with eta = 0, in the variance-preserving scale.
    (alpha, rate), (alpha_next, rate_next) = (
        (jnp.sqrt(1 - noise_rate(s) ** 2), noise_rate(s)) for s in (sigma, sigma_next)
    )
    x0 = gaussian(x, sigma)
    noise = (alpha * x - alpha * x0) / rate
    np.testing.assert_allclose(alpha_next * stepped, alpha_next * x0 + rate_next * noise, rtol=1e-5)


def test_heun_averages_the_slopes_at_both_ends():
    slopes = {2.0: 1.0, 1.0: 3.0}

    def denoise(x, sigma):
        return x - sigma * slopes[float(sigma)]

    stepped, _ = Heun().step(
        denoise, jnp.zeros((1, 1, 1)), (), jnp.asarray(2.0), jnp.asarray(1.0), None
    )
    np.testing.assert_allclose(stepped, -2.0)


def test_the_first_multistep_move_is_eulers():
    x, solver = jnp.asarray([[[4.0, -2.0]]]), DPMpp2M()
    sigma, sigma_next = jnp.asarray(3.0), jnp.asarray(1.0)
    multistep, state = solver.step(gaussian, x, solver.init(x), sigma, sigma_next, None)
    single, _ = Euler().step(gaussian, x, (), sigma, sigma_next, None)
    np.testing.assert_allclose(multistep, single, rtol=1e-5)
    np.testing.assert_array_equal(state.x0, gaussian(x, sigma))


def test_the_multistep_move_is_exact_where_the_estimate_is_linear_in_log_sigma():
    # x0 = a + b lambda has an elementary solution; extrapolation meets it but for the part
    # of the line inside the step: d is the estimate half a step ahead.
    solver, x = DPMpp2M(), jnp.asarray([[[1.0]]])
    estimates = iter([jnp.full((1, 1, 1), 2.0), jnp.full((1, 1, 1), 3.0)])
    sigmas = [jnp.exp(-jnp.asarray(v)) for v in (0.0, 0.5, 1.5)]
    state = solver.init(x)
    x, state = solver.step(lambda *_: next(estimates), x, state, sigmas[0], sigmas[1], None)
    before = x
    x, state = solver.step(lambda *_: next(estimates), x, state, sigmas[1], sigmas[2], None)
    ahead = 3.0 + (3.0 - 2.0) / 0.5 * 0.5
    np.testing.assert_allclose(x, np.exp(-1.0) * before + (1 - np.exp(-1.0)) * ahead, rtol=1e-5)
