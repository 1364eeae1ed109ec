import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.diffusion.noise_range import SIGMA_MAX, SIGMA_MIN
from bassdiff.diffusion.schedules import (
    LEVELS,
    SCHEDULES,
    cosine,
    cosine_levels,
    karras,
    log_normal_levels,
    noise_rate,
)
from bassdiff.runtime.errors import InputError


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("num_steps", [2, 3, 30, 256])
def test_levels_descend_strictly_between_the_end_points(name, num_steps):
    sigmas = SCHEDULES[name](num_steps)
    assert sigmas.shape == (num_steps,)
    assert sigmas.dtype == np.float32
    assert np.all(np.diff(sigmas) < 0)
    assert sigmas[-1] > 0
    np.testing.assert_allclose(sigmas[[0, -1]], [SIGMA_MAX, SIGMA_MIN], rtol=1e-4)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_single_step_starts_from_pure_noise(name):
    np.testing.assert_allclose(SCHEDULES[name](1), [SIGMA_MAX], rtol=1e-4)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(
    ("num_steps", "low", "high"),
    [(0, 0.1, 1.0), (3, 0.0, 1.0), (3, 1.0, 1.0), (3, 0.1, np.inf), (3, np.nan, 1.0)],
)
def test_impossible_schedules_are_refused(name, num_steps, low, high):
    with pytest.raises(InputError, match="0 < sigma_min < sigma_max"):
        SCHEDULES[name](num_steps, low, high)


def test_cosine_levels_have_evenly_spaced_angles():
    angles = np.arcsin(noise_rate(cosine(7, 0.1, 10.0).astype(np.float64)))
    np.testing.assert_allclose(np.diff(angles), np.diff(angles)[0], rtol=1e-4)


def test_karras_levels_have_evenly_spaced_roots():
    roots = karras(7, 0.1, 10.0, rho=5.0).astype(np.float64) ** 0.2
    np.testing.assert_allclose(np.diff(roots), np.diff(roots)[0], rtol=1e-4)


def test_noise_rate_and_signal_share_are_sine_and_cosine():
    theta = jnp.linspace(0.0, 1.5, 20)
    np.testing.assert_allclose(noise_rate(jnp.tan(theta)), jnp.sin(theta), atol=1e-6)


@pytest.mark.parametrize("name", LEVELS)
def test_training_levels_are_positive_and_bounded(name):
    sigma = LEVELS[name](jax.random.key(3), 20_000)
    assert sigma.shape == (20_000,)
    assert float(sigma.min()) > 0
    assert float(sigma.max()) <= SIGMA_MAX


def test_cosine_training_levels_have_one_angle_in_each_stratum():
    theta = np.arctan(np.asarray(cosine_levels(jax.random.key(0), 64))) / (np.pi / 2)
    # The clip moves only the first and the last.
    np.testing.assert_array_equal(np.floor(theta[1:-1] * 64), np.arange(1, 63))


def test_log_normal_training_levels_have_their_moments():
    logs = np.log(log_normal_levels(jax.random.key(1), 50_000, mean=-0.4, std=0.5))
    np.testing.assert_allclose([logs.mean(), logs.std()], [-0.4, 0.5], atol=0.01)
