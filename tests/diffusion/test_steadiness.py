"""Held notes stand still, and nothing else changes."""

import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.diffusion.statistics import Sounding
from bassdiff.diffusion.steadiness import Steadiness
from bassdiff.diffusion.types import Cond

# One channel of notes, four of spectrum, one of dynamics.
SOUND = np.asarray([0, 1, 1, 1, 1, 1], np.float32)
DYNAMICS = np.asarray([0, 0, 0, 0, 0, 1], np.float32)
SPECTRUM = slice(1, 5)
NOISE = 0.3


@pytest.fixture
def line(rng):
    """Two held notes of 32 frames each, then a rest; and the same with errors."""
    clean = np.zeros((1, 80, 6), np.float32)
    clean[:, :32, 0], clean[:, 32:64, 0] = 4.0, -4.0
    clean[:, :32, SPECTRUM], clean[:, 32:64, SPECTRUM] = 1.0, -0.5
    clean[:, [0, 32], 5] = 3.0
    return clean, clean + NOISE * rng.normal(size=clean.shape).astype(np.float32)


def steadied(x0, sigma=0.3, strength=1.0, frames=None, loops=False):
    """What an estimate becomes; a note sounds where its channel is not near 0."""
    rows, length = x0.shape[:2]
    cond = Cond(
        mix=jnp.zeros((rows, length, 1)),
        keep=jnp.ones(rows),
        frames=jnp.full(rows, frames or length, jnp.int32),
    )
    link = Steadiness(SOUND, DYNAMICS, Sounding(np.zeros(6, np.float32), 1.0), strength, loops)
    denoise = link(lambda x, sigma, cond: x * cond.mask())
    return np.asarray(denoise(jnp.asarray(x0), jnp.full(rows, sigma), cond))


def error(x0, clean):
    return float(np.sqrt(np.mean(np.square(x0 - clean))))


def test_errors_inside_held_notes_are_averaged_out(line):
    clean, noisy = line
    held = np.r_[4:28, 36:60]
    found = steadied(noisy)[:, held, SPECTRUM]
    # Ten frames count; the mean of so many has a third of the error.
    assert error(found, clean[:, held, SPECTRUM]) < 0.45 * NOISE
    assert np.abs(np.diff(found, axis=1)).mean() < 0.3 * np.abs(np.diff(noisy, axis=1)).mean()


def test_a_change_of_note_or_sound_stays_where_it_is(line):
    clean, _ = line
    assert np.abs(steadied(clean) - clean)[..., :5].max() < 1e-3
    same_note = clean.copy()
    same_note[:, :64, 0] = 4.0
    same_note[:, 32:64, SPECTRUM] = 9.0
    assert np.abs(steadied(same_note) - same_note)[..., :5].max() < 1e-3


def test_notes_are_left_to_the_bit(line):
    _, noisy = line
    assert np.array_equal(steadied(noisy)[..., 0], noisy[..., 0])


def test_small_moves_are_dropped_and_attacks_are_not(line):
    clean, noisy = line
    moves = steadied(noisy)[..., 5]
    assert (moves == 0.0).mean() > 0.3
    attacks = clean[..., 5] > 0.0
    assert np.abs(moves - noisy[..., 5])[attacks].max() == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize("change", [{"strength": 0.0}, {"sigma": 0.8}])
def test_it_can_be_off(line, change):
    _, noisy = line
    assert np.array_equal(steadied(noisy, **change), noisy)


def test_rests_are_left(line):
    _, noisy = line
    never = Steadiness(SOUND, DYNAMICS, Sounding(np.zeros(6, np.float32), 0.0))
    cond = Cond(jnp.zeros((1, 80, 1)), jnp.ones(1), jnp.full(1, 80, jnp.int32))
    found = never(lambda x, sigma, cond: x)(jnp.asarray(noisy), jnp.full(1, 0.3), cond)
    assert np.array_equal(np.asarray(found), noisy)


def test_padding_has_no_say(line):
    _, noisy = line
    padded = np.pad(noisy[:, :20], ((0, 0), (0, 30), (0, 0)), constant_values=7.0)
    found = steadied(padded, frames=20)[:, :20]
    assert np.allclose(found, steadied(noisy[:, :20]), atol=1e-6)


@pytest.mark.parametrize("frames", [5, 60])
def test_a_loop_is_the_same_wherever_it_begins(line, frames):
    """Also one that is shorter than the filter's reach; padding has no say."""
    _, noisy = line
    # It begins in the middle of a note.
    loop = np.roll(noisy[:, :frames], frames // 4, axis=1)

    def padded(rows):
        return np.pad(rows, ((0, 0), (0, 20), (0, 0)), constant_values=7.0)

    found = steadied(padded(loop), frames=frames, loops=True)[:, :frames]
    for turn in (1, frames // 2, frames - 2):
        turned = steadied(padded(np.roll(loop, turn, axis=1)), frames=frames, loops=True)
        np.testing.assert_allclose(turned[:, :frames], np.roll(found, turn, axis=1), atol=1e-6)
    assert not np.allclose(found, steadied(loop), atol=1e-3)


def test_a_note_that_is_played_again_sounds_alike(line, rng):
    """Four seconds later, at a level that differs by less than notes of two kinds do."""
    clean, _ = line
    song = np.concatenate([clean, clean], axis=1)
    song[:, 80:112, SPECTRUM] += 0.4
    found = steadied(song)
    apart = np.abs(found[:, 80:112, SPECTRUM] - found[:, :32, SPECTRUM]).mean()
    assert apart < 0.2
    # The other note, whose levels are those of before, is as it was.
    np.testing.assert_allclose(found[:, 32:64, SPECTRUM], song[:, 32:64, SPECTRUM], atol=1e-3)


@pytest.mark.parametrize("length", [30, 256, 300, 700])
def test_blocks_give_the_mean_over_all_frames_within_reach(rng, length):
    x0 = rng.normal(size=(2, length, 6)).astype(np.float32)
    frames = length - 7
    features = x0 * np.asarray([1, 0.5, 0.5, 0.5, 0.5, 0], np.float32)
    distance = np.sum(np.square(features[:, :, None] - features[:, None]), axis=-1)
    offset = np.arange(length)[:, None] - np.arange(length)
    near = 0.3 + np.exp(-np.square(offset) / 18.0) * (np.abs(offset) <= 9)
    near = near * (np.abs(offset) <= 256) * (np.arange(length) < frames)
    weight = np.exp(-0.5 * distance) * near
    wanted = np.einsum("bts,bsc->btc", weight / weight.sum(axis=-1, keepdims=True), x0)
    found = steadied(x0, frames=frames)[:, :frames, SPECTRUM]
    np.testing.assert_allclose(found, wanted[:, :frames, SPECTRUM], atol=2e-5)
