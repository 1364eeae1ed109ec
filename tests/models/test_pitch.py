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


def test_the_code_is_decoded_to_a_grid_of_5_cents(rng):
    pitches = rng.uniform(0, pitch.RANGE_SEMITONES - 0.1, 500).astype(np.float32)
    code = pitch.encode_pitch(jnp.asarray(pitches), jnp.ones(500))
    assert np.asarray(code).std() == pytest.approx(1.0, abs=0.05)
    frequency, match = pitch.decode_pitch(code)
    np.testing.assert_allclose(semitones(np.asarray(frequency)), pitches, atol=0.026)
    np.testing.assert_allclose(match, 1.0, atol=1e-2)


def test_the_code_survives_noise_and_says_when_there_is_none(rng):
    pitches = rng.integers(5, 40, 500).astype(np.float32)
    noise = jnp.asarray(rng.normal(scale=0.3, size=(500, pitch.CODE_SIZE)), jnp.float32)
    code = pitch.encode_pitch(jnp.asarray(pitches), jnp.ones(500))
    frequency, match = pitch.decode_pitch(code + noise)
    within = np.abs(semitones(np.asarray(frequency)) - pitches) < 0.25
    assert np.mean(within) > 0.98
    _, no_match = pitch.decode_pitch(noise)
    assert np.median(no_match) < 0.3 < 0.8 < np.median(match)


def test_a_note_lends_its_pitch_to_its_attack_and_its_end():
    match = jnp.asarray([[0.0, 0.1, 0.1, 0.2, 0.9, 0.8, 0.1, 0.0, 0.0]])
    frequency, held = pitch.hold(jnp.arange(9.0)[None], match)
    np.testing.assert_array_equal(frequency[0], [0, 4, 4, 4, 4, 5, 5, 5, 8])
    np.testing.assert_allclose(held[0], [0.0, 0.9, 0.9, 0.9, 0.9, 0.8, 0.8, 0.8, 0.0])
