"""Notes that are wanted are played; those that are fine already stay as they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.diffusion.pitch_prior import PitchPrior
from bassdiff.diffusion.schedules import noise_rate

FRAMES, NOTES = 6, 5
# Two spans of three channels, and one that holds no note.
SPANS = np.array([[1, 1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 0]], np.float32)
CHANNELS = SPANS.shape[1]
NEVER = -1e4


@pytest.fixture
def codes(rng):
    half = 2.0 * rng.normal(size=(NOTES, 3))
    return np.concatenate([half, half, np.zeros((NOTES, 1))], axis=1).astype(np.float32)


def told(codes, log_prior, estimate, make_cond, sigma=0.01):
    prior = PitchPrior(codes, SPANS, np.asarray(log_prior, np.float32)[None])
    cond = make_cond(1, FRAMES, CHANNELS)
    wrapped = jax.jit(prior(lambda x, sigma, cond: x))
    return np.asarray(wrapped(jnp.asarray(estimate)[None], jnp.full(1, sigma), cond))[0]


@pytest.fixture
def estimate(rng, codes):
    """Notes 0 to 4 and 0, in the second span of frame 1 note 3; each a little out of tune."""
    notes = codes[[0, 1, 2, 3, 4, 0]]
    notes[1, 3:6] = codes[3, 3:6]
    return notes + 0.05 * rng.normal(size=notes.shape).astype(np.float32)


def nearest(codes, rows):
    away = np.square(rows[:, None, :3] - codes[None, :, :3]).sum(axis=2)
    return away.argmin(axis=1)


def test_what_is_excluded_moves_to_the_nearest_that_is_not(codes, estimate, make_cond):
    log_prior = np.zeros((FRAMES, NOTES))
    log_prior[:, [0, 3]] = NEVER
    out = told(codes, log_prior, estimate, make_cond)
    allowed = np.asarray([1, 2, 4])
    expected = allowed[nearest(codes[allowed], estimate)]
    np.testing.assert_array_equal(nearest(codes, out), expected)
    # A note moves as a whole, with what it is out of tune.
    moved = nearest(codes, estimate)
    np.testing.assert_allclose(
        out[[0, 3, 5], :3] - codes[expected[[0, 3, 5]], :3],
        (estimate - codes[moved])[[0, 3, 5], :3],
        atol=1e-4,
    )


def test_what_is_wanted_stays_as_it_is(codes, estimate, make_cond):
    log_prior = np.zeros((FRAMES, NOTES))
    log_prior[:, [0, 3]] = NEVER
    out = told(codes, log_prior, estimate, make_cond)
    np.testing.assert_allclose(out[[1, 2, 4], :3], estimate[[1, 2, 4], :3], atol=1e-4)
    np.testing.assert_array_equal(out[:, 6], estimate[:, 6])


def test_spans_of_a_frame_have_their_own_notes(codes, estimate, make_cond):
    log_prior = np.zeros((FRAMES, NOTES))
    log_prior[1, 3] = NEVER
    out = told(codes, log_prior, estimate, make_cond)
    np.testing.assert_allclose(out[1, :3], estimate[1, :3], atol=1e-4)
    assert np.abs(out[1, 3:6] - estimate[1, 3:6]).max() > 0.5


def test_frames_without_a_prior_are_untouched(codes, estimate, make_cond):
    log_prior = np.zeros((FRAMES, NOTES))
    log_prior[3:, 1:] = NEVER
    out = told(codes, log_prior, estimate, make_cond, sigma=20.0)
    np.testing.assert_array_equal(out[:3], estimate[:3])
    assert np.abs(out[3:] - estimate[3:]).max() > 0.1


def test_the_pull_is_the_difference_of_two_posterior_means(codes, estimate, make_cond):
    log_prior = np.zeros((FRAMES, NOTES))
    log_prior[:, 2] = -1.5
    sigma = 1.3
    out = told(codes, log_prior, estimate, make_cond, sigma)
    away = np.square(estimate[:, None, :3] - codes[None, :, :3]).sum(axis=2)
    free = np.exp(-away / (2 * (float(noise_rate(jnp.asarray(sigma))) ** 2 + 0.02)))
    weighted = free * np.exp(log_prior)
    means = [w / w.sum(axis=1, keepdims=True) @ codes[:, :3] for w in (weighted, free)]
    np.testing.assert_allclose(out[:, :3], estimate[:, :3] + means[0] - means[1], atol=1e-4)


def test_a_mild_prior_decides_early_and_not_late(codes, make_cond):
    """Where the note is settled, a preference of two nats does not overrule it."""
    between = np.tile(0.5 * (codes[0] + codes[1]), (FRAMES, 1)) + 0.02 * (codes[0] - codes[1])
    log_prior = np.zeros((FRAMES, NOTES))
    log_prior[:, 0] = -2.0
    early = told(codes, log_prior, between, make_cond, sigma=40.0)
    assert np.all((early - between)[:, :6] @ (codes[1] - codes[0])[:6] > 0.1)
    late = told(codes, log_prior, np.tile(codes[0], (FRAMES, 1)), make_cond, sigma=0.01)
    np.testing.assert_allclose(late, np.tile(codes[0], (FRAMES, 1)), atol=1e-3)
