import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.models import pitch

RATE_HZ = 44100


@pytest.fixture(scope="module")
def track():
    return jax.jit(pitch.track)


def semitones(frequency_hz):
    return 12 * np.log2(frequency_hz / pitch.LOWEST_HZ)


def plucked(frequency_hz, num_samples):
    time_seconds = np.arange(num_samples) / RATE_HZ
    partials = [np.sin(2 * np.pi * frequency_hz * k * time_seconds) / k for k in range(1, 9)]
    return (0.1 * np.sum(partials, axis=0)).astype(np.float32)


@pytest.mark.parametrize("frequency_hz", [31.0, 41.2, 73.4, 110.0, 196.0, 392.0])
def test_tones_are_tracked_within_5_cents(track, frequency_hz):
    found, voiced = track(plucked(frequency_hz, 32 * 1024)[None])
    inner = slice(2, -2)
    assert np.all(np.asarray(voiced)[0, inner] == 1)
    np.testing.assert_allclose(found[0, inner], semitones(frequency_hz), atol=0.05)


def test_noise_and_silence_have_no_pitch(track, rng):
    noise = rng.normal(scale=0.1, size=32 * 1024).astype(np.float32)
    _, voiced = track(np.stack([noise, np.zeros_like(noise)]))
    assert np.mean(voiced[0]) < 0.1
    assert not np.any(voiced[1])


def test_a_lone_mistake_of_the_tracker_is_mended():
    found = jnp.asarray([[5.0, 5.0, 17.0, 5.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 30.0, 0.0]])
    voiced = (found > 0).astype(jnp.float32)
    semitones, _, sounds = pitch.settle(found, voiced)
    np.testing.assert_array_equal(semitones[0, :6], 5.0)
    np.testing.assert_array_equal(sounds[0, :6], 1.0)
    # One voiced span alone is no note.
    np.testing.assert_array_equal(sounds[0, 8:], 0.0)


def test_a_note_lends_its_pitch_to_its_attack_its_end_and_the_rest_after():
    found = jnp.zeros((1, 40)).at[0, 5:7].set(jnp.asarray([4.0, 5.0]))
    semitones, known, sounds = pitch.settle(found, (found > 0).astype(jnp.float32))
    np.testing.assert_array_equal(semitones[0, 2:9], [4, 4, 4, 4, 5, 5, 5])
    np.testing.assert_array_equal(np.flatnonzero(sounds[0]), np.arange(2, 9))
    np.testing.assert_array_equal(np.flatnonzero(known[0]), np.arange(2, 9 + pitch.KNOWN_AFTER))


@pytest.mark.parametrize(
    ("gap", "filled"), [(1, [9]), (2, [4, 9]), (3, [4, 9, 9]), (4, [4, 4, 9, 9])]
)
def test_two_notes_share_the_gap_between_them(gap, filled):
    found = jnp.asarray([[4.0, 4.0, *[0.0] * gap, 9.0, 9.0]])
    semitones, _, sounds = pitch.settle(found, (found > 0).astype(jnp.float32))
    np.testing.assert_array_equal(semitones[0], [4, 4, *filled, 9, 9])
    np.testing.assert_array_equal(sounds[0], 1.0)


def test_the_code_is_decoded_within_a_cent(rng):
    pitches = rng.uniform(0.1, pitch.RANGE_SEMITONES - 0.1, 500).astype(np.float32)
    code = pitch.encode_pitch(jnp.asarray(pitches), jnp.ones(500), jnp.ones(500))
    assert code.shape == (500, pitch.CODE_SIZE)
    assert np.asarray(code).std() == pytest.approx(1.0, abs=0.1)
    frequency, sounds = pitch.decode_pitch(code)
    np.testing.assert_allclose(semitones(np.asarray(frequency)), pitches, atol=0.01)
    np.testing.assert_array_equal(sounds, 1.0)


def test_the_code_survives_noise(rng):
    pitches = rng.integers(5, 40, 500).astype(np.float32)
    noise = jnp.asarray(rng.normal(scale=0.3, size=(500, pitch.CODE_SIZE)), jnp.float32)
    code = pitch.encode_pitch(jnp.asarray(pitches), jnp.ones(500), jnp.zeros(500))
    frequency, sounds = pitch.decode_pitch(code + noise)
    within = np.abs(semitones(np.asarray(frequency)) - pitches) < 0.25
    assert np.mean(within) > 0.98
    assert np.mean(np.asarray(sounds) < 0) > 0.98
