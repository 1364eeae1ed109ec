import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.diffusion.denoiser import precondition
from bassdiff.models.stationary import PERIOD_FRAMES, StationaryDenoiser, stationary_init

CHANNELS = 3
MIXING = np.asarray([[1.0, 0.5, 0.0], [0.0, 1.0, -0.5], [0.3, 0.0, 1.0]])


def wandering(rng, rows, frames, memory=0.9):
    """Channels that wander slowly, mixed."""
    steps = rng.normal(size=(rows, frames + 100, CHANNELS)) * np.sqrt(1 - memory**2)
    values = np.zeros_like(steps)
    for t in range(1, frames + 100):
        values[:, t] = memory * values[:, t - 1] + steps[:, t]
    return (values[:, 100:] @ MIXING).astype(np.float32)


def denoiser(params):
    model = StationaryDenoiser(CHANNELS)
    return precondition(lambda x, sigma, cond: model.apply({"params": params}, x, sigma))


@pytest.fixture(scope="module")
def fitted():
    return stationary_init(wandering(np.random.default_rng(0), 256, 128))


def test_fresh_parameters_take_latents_for_white(rng):
    x = jnp.asarray(rng.normal(size=(2, 40, CHANNELS)), jnp.float32)
    model = StationaryDenoiser(CHANNELS)
    made, _ = model.init_with_output(jax.random.key(0), x, jnp.asarray([0.3, 20.0]))
    np.testing.assert_allclose(made, 0.0, atol=2e-4)


def test_the_basis_is_orthonormal(fitted):
    np.testing.assert_allclose(fitted["basis"].T @ fitted["basis"], np.eye(CHANNELS), atol=1e-5)
    assert fitted["log_spectrum"].shape == (PERIOD_FRAMES // 2 + 1, CHANNELS)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_it_denoises_as_well_as_any_linear_filter(rng, fitted, sigma):
    """The error of the Wiener filter follows from spectra: S sigma^2 / (S + sigma^2)."""
    clean = wandering(rng, 64, 200)
    noisy = clean + sigma * rng.normal(size=clean.shape)
    found = denoiser(fitted)(jnp.asarray(noisy, jnp.float32), jnp.full(64, sigma), None)
    error = np.sqrt(np.mean(np.square(found - clean)[:, 40:-40]))
    spectrum = np.exp(fitted["log_spectrum"].astype(float))
    weights = np.r_[1.0, np.full(PERIOD_FRAMES // 2 - 1, 2.0), 1.0] / PERIOD_FRAMES
    power = (weights[:, None] * spectrum * sigma**2 / (spectrum + sigma**2)).sum(axis=0)
    assert error == pytest.approx(np.sqrt(power.mean()), rel=0.06)
    plain = noisy / (1.0 + sigma**2)
    assert error < 0.97 * np.sqrt(np.mean(np.square(plain - clean)))


def test_later_latents_are_denoised_alike(rng, fitted):
    x = jnp.asarray(rng.normal(size=(1, 120, CHANNELS)), jnp.float32)
    here = denoiser(fitted)(x, jnp.ones(1), None)
    there = denoiser(fitted)(jnp.roll(x, 5, axis=1), jnp.ones(1), None)
    np.testing.assert_allclose(there[:, 45:80], here[:, 40:75], atol=1e-5)
