import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.models.features import LATENT_HOP
from bassdiff.training.codec_losses import (
    hinge_discriminator_loss,
    in_step_distance,
    log_magnitude_distance,
    multi_scale_distance,
)

CROP_SAMPLES = 8 * LATENT_HOP


@pytest.fixture
def wave(rng):
    return jnp.asarray(0.1 * rng.normal(size=(2, CROP_SAMPLES)), jnp.float32)


@pytest.mark.parametrize("distance", [log_magnitude_distance, multi_scale_distance])
def test_distances_are_zero_for_equal_magnitudes_alone(distance, wave, rng):
    distance = jax.jit(distance)
    assert float(distance(wave, wave)) == 0.0
    np.testing.assert_allclose(distance(wave, -wave), 0.0, atol=1e-6)
    other = jnp.asarray(0.1 * rng.normal(size=wave.shape), jnp.float32)
    assert float(distance(wave, other)) > 0.05


def test_a_gain_costs_its_decibels(wave):
    loud = 10.0 * wave
    np.testing.assert_allclose(log_magnitude_distance(loud, 10.0 * loud), 20 / 75, rtol=1e-3)


def test_a_gain_costs_its_convergence_and_its_logarithm(wave):
    distance, loud = jax.jit(multi_scale_distance), 100.0 * wave
    for gain in (0.5, 3.0):
        expected = abs(1 - gain) + abs(np.log(gain))
        np.testing.assert_allclose(distance(loud, gain * loud), expected, rtol=1e-3)


@pytest.mark.parametrize("distance", [log_magnitude_distance, multi_scale_distance])
def test_what_is_inaudible_costs_next_to_nothing(distance):
    silence = jnp.zeros((2, CROP_SAMPLES))
    hiss = 1e-6 * jax.random.normal(jax.random.key(0), silence.shape)
    assert float(jax.jit(distance)(silence, hiss)) < 1e-3


def test_only_errors_that_come_back_with_every_frame_are_in_step(rng):
    distance = jax.jit(in_step_distance)
    # Long, since the errors of one place are averaged over frames.
    wave = jnp.asarray(rng.normal(size=(1, 64 * LATENT_HOP)), jnp.float32)
    assert float(distance(wave, 0.5 * wave)) < 1e-4
    places = np.arange(64 * LATENT_HOP) * 2 * np.pi / LATENT_HOP
    buzz = jnp.asarray(1.0 + 0.3 * np.sin(places), jnp.float32)[None]
    drift = jnp.asarray(1.0 + 0.3 * np.sin(places * 2 / 3), jnp.float32)[None]
    # A sine of 30 % is 1.8 dB of root mean square.
    in_step = float(distance(wave, buzz * wave))
    assert in_step * 75 == pytest.approx(1.8, rel=0.2)
    assert float(distance(wave, drift * wave)) < 0.1 * in_step


def test_hinge_loss_of_certain_undecided_and_mistaken_judges():
    ones = [jnp.ones((2, 3)), jnp.ones((4, 5))]

    def loss(real, fake):
        scaled = ([value * one for one in ones] for value in (real, fake))
        return float(hinge_discriminator_loss(*scaled))

    assert loss(1.0, -1.0) == loss(7.0, -9.0) == 0.0
    assert loss(0.0, 0.0) == 2.0
    assert loss(-1.0, 1.0) == 4.0
    assert loss(0.5, -1.0) == 0.5
