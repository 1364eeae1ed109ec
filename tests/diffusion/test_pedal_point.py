"""One note where nothing tells of another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.diffusion.pedal_point import Pedal

FRAMES, CHANNELS, NOTES = 12, 6, 5
IS_NOTE = np.array([1, 1, 1, 0, 0, 0], np.float32)


@pytest.fixture
def codes(rng):
    return rng.normal(size=(NOTES, CHANNELS)).astype(np.float32)


@pytest.fixture
def estimate(rng, codes):
    """Seven frames near note 3, five near note 1."""
    played = np.where(np.arange(FRAMES) < 7, 3, 1)
    noise = 0.05 * rng.normal(size=(FRAMES, CHANNELS))
    return jnp.asarray(codes[played] + noise, jnp.float32)[None]


def held(codes, share, estimate, make_cond, frames=FRAMES):
    pedal = Pedal(codes, IS_NOTE, np.full((1, FRAMES), share, np.float32))
    cond = make_cond(1, FRAMES, CHANNELS, frames=[frames])
    wrapped = pedal(lambda x, sigma, cond: x)
    return np.asarray(jax.jit(wrapped)(estimate, jnp.ones(1), cond))[0]


def test_all_frames_take_the_note_of_most(codes, estimate, make_cond):
    out = held(codes, 1.0, estimate, make_cond)
    np.testing.assert_allclose(out[:, :3], np.tile(codes[3, :3], (FRAMES, 1)), atol=1e-5)
    np.testing.assert_array_equal(out[:, 3:], estimate[0, :, 3:])


def test_padding_does_not_vote(codes, estimate, make_cond):
    turned = estimate[:, ::-1]
    out = held(codes, 1.0, turned, make_cond, frames=8)
    np.testing.assert_allclose(out[0, :3], codes[1, :3], atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_share_is_part_of_the_way(codes, estimate, make_cond, share):
    out = held(codes, share, estimate, make_cond)
    free = np.asarray(estimate)[0, :, :3]
    expected = free + share * (codes[3, :3] - free)
    np.testing.assert_allclose(out[:, :3], expected, atol=1e-5)


def test_each_frame_has_its_own_share(codes, estimate, make_cond):
    share = (np.arange(FRAMES) >= 9).astype(np.float32)[None]
    pedal = Pedal(codes, IS_NOTE, share)(lambda x, sigma, cond: x)
    out = np.asarray(pedal(estimate, jnp.ones(1), make_cond(1, FRAMES, CHANNELS)))[0]
    np.testing.assert_array_equal(out[:9], estimate[0, :9])
    np.testing.assert_allclose(out[9:, :3], np.tile(codes[3, :3], (3, 1)), atol=1e-5)
