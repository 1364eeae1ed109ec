"""Latents that a decoder learns from, as a diffusion model samples them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.training.sampled_latents import SampledLatents

MEAN, STD = np.asarray([0.5, -1.0, 2.0], np.float32), 0.8


def knows_nothing(x, sigma, cond):
    """The network whose D(x) is x / (1 + sigma^2): right about white data, frame by frame."""
    return jnp.zeros_like(x)


def sampled(clean, share=1.0, level=1.0, num_steps=1):
    source = SampledLatents(
        knows_nothing,
        *(MEAN, STD),
        sound_channels=np.asarray([0.0, 1.0, 1.0], np.float32),
        num_mix_channels=2,
        share=share,
        levels=(level, level * 1.001),
        num_steps=num_steps,
    )
    latents = jnp.asarray(clean * STD + MEAN, jnp.float32)
    return (np.asarray(source(latents, jax.random.key(0))) - MEAN) / STD


@pytest.fixture
def clean(rng):
    return rng.normal(size=(64, 16, 3))


@pytest.mark.parametrize("num_steps", [1, 5])
def test_notes_stay(clean, num_steps):
    np.testing.assert_allclose(
        sampled(clean, num_steps=num_steps)[..., 0], clean[..., 0], atol=1e-5
    )


def test_a_share_of_none_changes_nothing(clean):
    np.testing.assert_allclose(sampled(clean, share=0.0), clean, atol=1e-5)


def test_one_step_is_an_estimate(clean):
    """At sigma = 1 half of unit data and half of unit noise, which is smoother than the data."""
    sound = sampled(clean)[..., 1:]
    assert sound.std() == pytest.approx(np.sqrt(0.5), abs=0.03)
    assert np.corrcoef(sound.ravel(), clean[..., 1:].ravel())[0, 1] == pytest.approx(
        np.sqrt(0.5), abs=0.03
    )


def test_several_steps_are_as_rough_as_the_data(clean):
    """The ODE of white data only scales: from variance 1 + 1 to 1 + .3^2, then the last estimate
    shrinks by 1 / (1 + .3^2)."""
    sound = sampled(clean, num_steps=24)[..., 1:]
    assert sound.std() == pytest.approx(1.0 / np.sqrt(1.09), abs=0.03)
    assert np.corrcoef(sound.ravel(), clean[..., 1:].ravel())[0, 1] == pytest.approx(
        np.sqrt(0.5), abs=0.03
    )
