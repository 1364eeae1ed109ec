import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.models.discriminator import Discriminator

LENGTHS = (64, 128)


@pytest.fixture(scope="module")
def judge(randomised):
    model = Discriminator(frame_lengths=LENGTHS, width=2)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 1024)))
    return jax.jit(functools.partial(model.apply, randomised(shapes)))


def test_every_resolution_scores_patches(judge, rng):
    audio = jnp.asarray(rng.normal(size=(3, 1024)), jnp.float32)
    outputs = judge(audio)
    assert len(outputs) == len(LENGTHS)
    for length, (scores, features) in zip(LENGTHS, outputs, strict=True):
        # The first of four layers keeps the frame rate, the others halve it.
        assert scores.shape[:2] == (3, 1024 // (length // 4) // 8)
        assert scores.ndim == 3
        assert scores.dtype == jnp.float32
        assert len(features) == 4
        assert np.std(scores) > 0


def test_rows_are_judged_alone(judge, rng):
    audio = jnp.asarray(rng.normal(size=(3, 1024)), jnp.float32)
    other = audio.at[1:].set(0.0)
    for (together, _), (alone, _) in zip(judge(audio), judge(other), strict=True):
        np.testing.assert_allclose(together[0], alone[0], rtol=1e-4, atol=1e-5)


def test_silence_has_finite_scores_and_gradients(judge):
    def total(audio):
        return sum(jnp.sum(scores) for scores, _ in judge(audio))

    value, gradient = jax.value_and_grad(total)(jnp.zeros((1, 1024)))
    assert bool(jnp.isfinite(value))
    assert bool(jnp.all(jnp.isfinite(gradient)))


def test_phase_is_heard(judge, rng):
    """A magnitude-only judge could not punish inconsistent phase."""
    audio = jnp.asarray(rng.normal(size=(1, 1024)), jnp.float32)
    for (scores, _), (flipped, _) in zip(judge(audio), judge(-audio), strict=True):
        assert np.abs(scores - flipped).max() > 1e-3
