"""Solvers against data whose denoiser is known exactly: one Gaussian, and a mixture of two.

For data of mean m and deviation s, D(x, sigma) = (s^2 x + sigma^2 m) / (s^2 + sigma^2), and
the ODE keeps (x - m) / sqrt(s^2 + sigma^2) constant. The mixture has no such formula: there a
very fine descent is the truth.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.diffusion.chain import chain
from bassdiff.diffusion.rows import row_noise
from bassdiff.diffusion.sampler import advance, begin, sample
from bassdiff.diffusion.schedules import karras, noise_rate
from bassdiff.diffusion.solvers import SOLVERS, Churn, Euler, Exponential, Heun

ORDERS = {
    "euler": 1,
    "heun": 2,
    "exponential": 1,
    "adams_bashforth": 3,
    "dpmpp2m": 2,
    "dpmpp3m": 3,
    "unipc": 3,
}
STOCHASTIC = {"ancestral", "churn", "dpmpp2m_sde", "dpmpp3m_sde"}
MEAN, STD = 0.7, 0.5
CENTRES, SHARES, WIDTH = np.asarray([-1.0, 1.5]), np.asarray([0.3, 0.7]), 0.5


def keys(rows, seed=0):
    return jax.random.split(jax.random.key(seed), rows)


def level(sigma):
    """A noise level of one row, as solvers get it."""
    return jnp.full((1, 1, 1), sigma)


def gaussian(x, sigma, cond=None):
    del cond
    variance = jnp.square(sigma).reshape(-1, 1, 1)
    return (STD**2 * x + variance * MEAN) / (STD**2 + variance)


def mixture(x, sigma, cond=None):
    del cond
    level = jnp.square(sigma).reshape(-1, 1, 1)
    total = WIDTH**2 + level
    logits = jnp.stack(
        [jnp.log(p) - jnp.square(x - c) / (2 * total) for c, p in zip(CENTRES, SHARES, strict=True)]
    )
    weights = jax.nn.softmax(logits, axis=0)
    each = jnp.stack([(WIDTH**2 * x + level * c) / total for c in CENTRES])
    return jnp.sum(weights * each, axis=0)


@functools.partial(jax.jit, static_argnums=(0, 1))
def to_level(denoise, solver, sigmas, cond, num_steps):
    at = begin(solver, jnp.asarray([[[1.3], [-0.4], [0.2]]]), sigmas[0])
    return advance(denoise, solver, chain(), sigmas, cond, at, 0, num_steps, keys(1)).x


def descend(denoise, solver, num_steps, cond, highest):
    sigmas = np.pad(np.geomspace(highest, 0.1, num_steps + 1), (0, 640 - num_steps))
    x = to_level(denoise, solver, jnp.asarray(sigmas), cond, num_steps)
    assert x.dtype == jnp.float64
    return np.asarray(x)[0, :, 0]


@functools.cache
def truth(denoise, highest):
    start = highest * np.asarray([1.3, -0.4, 0.2])
    if denoise is gaussian:
        return MEAN + (start - MEAN) * np.sqrt((STD**2 + 0.1**2) / (STD**2 + highest**2))
    from scipy.integrate import solve_ivp

    def slope(log_sigma, x):
        sigma = np.exp(log_sigma)
        x0 = mixture(jnp.asarray(x)[None, :, None], jnp.asarray([sigma]))
        return x - np.asarray(x0)[0, :, 0]

    span = np.log(highest), np.log(0.1)
    return solve_ivp(slope, span, start, "DOP853", rtol=1e-12, atol=1e-12).y[:, -1]


def test_every_solver_declares_its_order_or_is_stochastic():
    assert ORDERS.keys() | STOCHASTIC == SOLVERS.keys()


@pytest.mark.parametrize("denoise", [gaussian, mixture])
@pytest.mark.parametrize("name", ORDERS)
def test_convergence_order(name, denoise, make_cond):
    with jax.enable_x64(True):
        cond = make_cond(1, 3, 1)
        # Multistep solvers begin with a step of first order: from high up, where an estimate
        # hardly changes, its error does not hide the order of the others.
        errors = [
            np.abs(
                descend(denoise, SOLVERS[name](), k, cond, 1000.0) - truth(denoise, 1000.0)
            ).max()
            for k in (160, 320, 640)
        ]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    np.testing.assert_allclose(orders, ORDERS[name], atol=0.25)


@pytest.mark.parametrize("name", SOLVERS)
def test_samples_have_the_moments_of_a_mixture(name, make_cond):
    cond = make_cond(16, 512, 1)
    noise = jax.random.normal(jax.random.key(0), (16, 512, 1))
    run = jax.jit(functools.partial(sample, mixture, SOLVERS[name](), chain()))
    x = np.asarray(run(karras(240), cond, noise, keys(16, 1)), np.float64)
    mean = SHARES @ CENTRES
    variance = WIDTH**2 + SHARES @ np.square(CENTRES - mean)
    third = SHARES @ ((CENTRES - mean) ** 3 + 3 * (CENTRES - mean) * WIDTH**2)
    # Three standard errors of 8192 samples, and what steps still miss.
    np.testing.assert_allclose(x.mean(), mean, atol=0.045)
    np.testing.assert_allclose(x.var(), variance, rtol=0.06)
    np.testing.assert_allclose(((x - x.mean()) ** 3).mean(), third, atol=0.2)
    np.testing.assert_allclose((x < 0.1).mean(), 0.3, atol=0.025)


@pytest.mark.parametrize("name", sorted(STOCHASTIC))
def test_fresh_noise_forgets_where_a_trajectory_began(name, make_cond):
    cond, noise = make_cond(1, 512, 1), jax.random.normal(jax.random.key(0), (1, 512, 1))
    run = jax.jit(functools.partial(sample, gaussian, SOLVERS[name](), chain()))
    first, second = (run(karras(40), cond, noise, keys(1, seed)) for seed in (1, 2))
    assert float(jnp.abs(first - second).max()) > 0.3
    again = run(karras(40), cond, noise, keys(1, 1))
    np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize("name", sorted(ORDERS))
def test_a_deterministic_solver_does_not_read_its_key(name, make_cond):
    cond, noise = make_cond(1, 16, 1), jax.random.normal(jax.random.key(0), (1, 16, 1))
    run = jax.jit(functools.partial(sample, gaussian, SOLVERS[name](), chain()))
    first, second = (run(karras(8), cond, noise, keys(1, seed)) for seed in (1, 2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", sorted(ORDERS.keys() - {"exponential"}))
def test_a_known_clean_signal_is_reached_along_a_straight_line(name):
    solver, z = SOLVERS[name](), jnp.asarray([[[2.0, -1.0]]])
    x = z + 5.0 * jnp.asarray([[[0.3, 1.0]]])
    state = solver.init(x)
    at_last = getattr(solver, "num_stages", 1)
    for sigma, sigma_next in ((5.0, 2.0), *[(2.0, 0.5)] * at_last):
        x, state = solver.step(
            lambda x, sigma: z, x, state, level(sigma), level(sigma_next), keys(1)
        )
    np.testing.assert_allclose(x, z + 0.5 * jnp.asarray([[[0.3, 1.0]]]), rtol=1e-5)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_euler_is_ddim(eta):
    sigma, sigma_next = level(3.0), level(0.8)
    x = jax.random.normal(jax.random.key(0), (2, 3, 4)) * 3.0
    stepped, _ = Euler(eta).step(gaussian, x, (), sigma, sigma_next, keys(2, 1))
    # Equations 12 and 16 of arXiv 2010.02502, in the variance-preserving scale.
    (alpha, rate), (alpha_next, rate_next) = (
        (jnp.sqrt(1 - noise_rate(s) ** 2), noise_rate(s)) for s in (sigma, sigma_next)
    )
    x0 = gaussian(x, sigma)
    noise = (alpha * x - alpha * x0) / rate
    fresh = eta * rate_next / rate * jnp.sqrt(1 - jnp.square(alpha / alpha_next))
    expected = alpha_next * x0 + jnp.sqrt(rate_next**2 - fresh**2) * noise
    expected += fresh * row_noise(keys(2, 1), x)
    np.testing.assert_allclose(alpha_next * stepped, expected, rtol=1e-4, atol=1e-5)


def test_heun_averages_the_slopes_at_both_ends():
    slopes = {2.0: 1.0, 1.0: 3.0}

    def denoise(x, sigma):
        return x - sigma * slopes[sigma.item()]

    x = jnp.zeros((1, 1, 1))
    ahead, state = Heun().step(denoise, x, Heun().init(x), level(2.0), level(1.0), keys(1))
    np.testing.assert_allclose(ahead, -1.0)
    stepped, _ = Heun().step(denoise, ahead, state, level(1.0), level(0.5), keys(1))
    np.testing.assert_allclose(stepped, -2.0)


@pytest.mark.parametrize("num_steps", [1, 3])
def test_the_exponential_solver_is_exact_for_normal_data(num_steps, make_cond):
    with jax.enable_x64(True):
        reached = descend(gaussian, Exponential(STD), num_steps, make_cond(1, 3, 1), 80.0)
        np.testing.assert_allclose(reached, truth(gaussian, 80.0), rtol=1e-10)
        euler = descend(gaussian, Euler(), num_steps, make_cond(1, 3, 1), 80.0)
    assert np.abs(euler - truth(gaussian, 80.0)).max() > 1e-2


def test_the_exponential_solver_of_data_without_spread_is_euler():
    x, sigma, sigma_next = jnp.ones((1, 2, 3)), level(3.0), level(1.0)
    steps = [
        solver.step(gaussian, x, (), sigma, sigma_next, keys(1))[0]
        for solver in (Exponential(0.0), Euler())
    ]
    np.testing.assert_allclose(*steps, rtol=1e-5)


def test_without_churn_the_inner_solver_is_left_alone():
    x, sigma, sigma_next = jnp.ones((1, 2, 3)), level(3.0), level(1.0)
    steps = [
        solver.step(gaussian, x, solver.init(x), sigma, sigma_next, keys(1))[0]
        for solver in (Churn(Heun(), 0.0), Heun())
    ]
    np.testing.assert_allclose(*steps, rtol=1e-5)


def test_noise_is_added_where_a_step_begins_and_not_where_it_is_corrected():
    solver, x, seen = Churn(Heun(), 0.5), jnp.ones((1, 2, 3)), []

    def denoise(x, sigma):
        seen.append((x, sigma.item()))
        return gaussian(x, sigma)

    state = solver.init(x)
    for sigma, sigma_next in ((3.0, 2.0), (2.0, 1.0), (2.0, 1.0)):
        before = x
        x, state = solver.step(denoise, x, state, level(sigma), level(sigma_next), keys(1))
        seen[-1] = (float(jnp.abs(seen[-1][0] - before).max()) > 0.1, seen[-1][1])
    assert seen == [(True, 4.5), (False, 2.0), (True, 3.0)]


@pytest.mark.parametrize("name", ["dpmpp2m", "dpmpp3m", "unipc"])
def test_the_first_multistep_move_is_eulers(name):
    x, solver = jnp.asarray([[[4.0, -2.0]]]), SOLVERS[name]()
    sigma, sigma_next = level(3.0), level(1.0)
    multistep, _ = solver.step(gaussian, x, solver.init(x), sigma, sigma_next, keys(1))
    single, _ = Euler().step(gaussian, x, (), sigma, sigma_next, keys(1))
    np.testing.assert_allclose(multistep, single, rtol=1e-5)


def test_the_multistep_move_is_exact_where_the_estimate_is_linear_in_log_sigma():
    # x0 = a + b lambda; the published rule takes its value half a step ahead.
    solver, x = SOLVERS["dpmpp2m"](), jnp.asarray([[[1.0]]])
    estimates = iter([jnp.full((1, 1, 1), 2.0), jnp.full((1, 1, 1), 3.0)])
    sigmas = [level(np.exp(-v)) for v in (0.0, 0.5, 1.5)]
    state = solver.init(x)
    x, state = solver.step(lambda *_: next(estimates), x, state, sigmas[0], sigmas[1], keys(1))
    before = x
    x, state = solver.step(lambda *_: next(estimates), x, state, sigmas[1], sigmas[2], keys(1))
    ahead = 3.0 + (3.0 - 2.0) / 0.5 * 0.5
    np.testing.assert_allclose(x, np.exp(-1.0) * before + (1 - np.exp(-1.0)) * ahead, rtol=1e-5)


@pytest.mark.parametrize(("name", "degree"), [("dpmpp3m", 2), ("unipc", 1)])
def test_polynomial_estimates_are_integrated_exactly(name, degree):
    """Along lambda, where they are quadratic (linear, for a predictor that sees two)."""
    with jax.enable_x64(True):
        solver, x = SOLVERS[name](), jnp.asarray([[[1.0]]])
        coefficients = np.asarray([0.7, -1.1, 0.4])[: degree + 1]

        def denoise(x, sigma):
            return jnp.full_like(x, np.polyval(coefficients[::-1], -np.log(sigma.item())))

        places = [0.0, 0.3, 1.0, 1.2]
        state = solver.init(x)
        for here, there in itertools.pairwise(places):
            if here == places[2]:
                start = x if name == "dpmpp3m" else None
            sigma, sigma_next = (level(np.exp(-p)) for p in (here, there))
            x, state = solver.step(denoise, x, state, sigma, sigma_next, keys(1))
        if start is None:
            start = state.x
        t = np.linspace(0.0, 0.2, 20001)
        kernel = np.exp(-(0.2 - t)) * np.polyval(coefficients[::-1], 1.0 + t)
        exact = np.exp(-0.2) * start + np.trapezoid(kernel, t)
        np.testing.assert_allclose(x, exact, rtol=1e-7)
