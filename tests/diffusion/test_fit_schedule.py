import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.diffusion.chain import chain
from bassdiff.diffusion.fit_schedule import fit_levels, step_errors
from bassdiff.diffusion.rows import row_keys
from bassdiff.diffusion.sampler import sample
from bassdiff.diffusion.schedules import cosine, log_linear, through
from bassdiff.diffusion.solvers import Euler
from bassdiff.runtime.errors import InputError


def two_points(x, sigma, cond):
    """Data near +1 or -1 in each place: all is decided around sigma = 1."""
    level = jnp.square(sigma)[:, None, None]
    total = level + 0.2**2
    return (0.2**2 * x + level * jnp.tanh(x / total)) / total


@pytest.fixture
def fine():
    return log_linear(120, 0.01, 80.0)


@pytest.fixture
def errors(fine, make_cond):
    noise = jax.random.normal(jax.random.key(0), (4, 16, 2))
    return step_errors(two_points, chain(), fine, make_cond(4, 16, 2), noise)


def test_the_dynamic_program_finds_the_best_of_all_choices():
    rng = np.random.default_rng(0)
    errors = np.where(np.tri(7, 8, dtype=bool), np.inf, rng.uniform(0.1, 1.0, (7, 8)))
    levels = np.arange(7, 0, -1.0)
    missed = np.sqrt(errors)
    best = min(
        ((0, *chosen) for chosen in itertools.combinations(range(1, 7), 3)),
        key=lambda path: sum(missed[a, b] for a, b in itertools.pairwise((*path, 7))),
    )
    np.testing.assert_array_equal(fit_levels(errors, levels, 4), levels[list(best)])


def test_neighbouring_levels_are_reached_exactly(errors):
    np.testing.assert_allclose(np.diag(errors[:, 1:]), 0.0, atol=1e-10)


def test_a_fitted_schedule_ends_nearer_than_the_others(errors, fine, make_cond):
    cond = make_cond(8, 64, 2)
    noise = jax.random.normal(jax.random.key(9), (8, 64, 2))

    def play(sigmas):
        return sample(two_points, Euler(), chain(), sigmas, cond, noise, row_keys(jnp.zeros(8)))

    exact = play(log_linear(2000, 0.001, 80.0))

    def miss(sigmas):
        return float(jnp.mean(jnp.square(play(sigmas) - exact)))

    fitted = miss(fit_levels(errors, fine, 8))
    assert fitted < 0.9 * min(miss(cosine(8)), miss(log_linear(8)))
    # And the ladder may be descended with another number of steps.
    levels = fit_levels(errors, fine, 8)
    assert miss(through(levels)(12, levels[-1], 80.0)) < min(fitted, miss(log_linear(12)))


def test_padding_does_not_count(fine, make_cond):
    noise = jax.random.normal(jax.random.key(0), (2, 16, 2))
    cond = make_cond(2, 16, 2, frames=[8, 8])
    padded = step_errors(two_points, chain(), fine[::10], cond, noise)
    short = cond.replace(mix=cond.mix[:, :8])
    alone = step_errors(two_points, chain(), fine[::10], short, noise[:, :8])
    np.testing.assert_allclose(padded, alone, rtol=1e-4)


def test_more_steps_than_levels_are_refused(errors, fine):
    with pytest.raises(InputError, match="121 steps cannot be chosen from 120 levels"):
        fit_levels(errors, fine, 121)
