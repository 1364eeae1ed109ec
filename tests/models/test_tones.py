"""The voice, the bank and the noise that decoders sound with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.models.tones import (
    BANK_PERIOD,
    DISPERSION,
    SAMPLE_RATE_HZ,
    SPAN,
    advance_phase,
    band_power_of_tones,
    bank_cycles,
    frame_noise,
    oscillate,
    sound_bank,
)

FRAME = 2048


def test_the_oscillator_is_a_sum_of_partials_that_lead_by_their_squares():
    spans, frequency_hz = 48, 110.0
    frequency = jnp.full((1, spans), frequency_hz)
    amplitudes = np.broadcast_to(np.array([0.5, 0.0, 0.25], np.float32), (1, spans, 3))
    made = oscillate(frequency, advance_phase(frequency), jnp.asarray(amplitudes))
    angle = 2 * np.pi * frequency_hz * np.arange(spans * SPAN) / SAMPLE_RATE_HZ
    first, third = (k * angle + 2 * np.pi * DISPERSION * k**2 for k in (1, 3))
    np.testing.assert_allclose(made[0], 0.5 * np.sin(first) + 0.25 * np.sin(third), atol=2e-3)


def test_equal_partials_make_no_pulse():
    """In phase, forty of 110 Hz have a kurtosis of 28."""
    frequency = jnp.full((1, 48), 110.0)
    made = np.asarray(oscillate(frequency, advance_phase(frequency), jnp.ones((1, 48, 40))))[0]
    assert 2.0 < np.mean(made**4) / np.mean(made**2) ** 2 < 8.0


def test_the_oscillator_leaves_out_what_would_alias():
    frequency, ones = jnp.full((1, 2), 9000.0), jnp.ones((1, 2, 3))
    with_all = oscillate(frequency, jnp.zeros((1, 2)), ones)
    with_two = oscillate(frequency, jnp.zeros((1, 2)), ones.at[..., 2].set(0.0))
    np.testing.assert_array_equal(with_all, with_two)


@pytest.fixture
def voice(rng):
    """Pitches, phases and amplitudes of two voices of 96 partials; some are beyond 20 kHz."""
    frequency = jnp.asarray(rng.uniform(31.0, 400.0, (2, 6)), jnp.float32)
    phase = jnp.asarray(rng.uniform(size=(2, 6)), jnp.float32)
    return frequency, phase, jnp.asarray(rng.normal(size=(2, 6, 96)), jnp.float32)


def test_any_phase_is_that_of_each_partial(voice):
    """The recurrence agrees with sines of every partial, amplitudes joined by lines."""
    frequency, phase, amplitudes = (np.asarray(x, np.float64) for x in voice)
    time = np.arange(SPAN) / SAMPLE_RATE_HZ
    number = np.arange(1, 97)[:, None]
    middles, samples = (np.arange(6) + 0.5) * SPAN, np.arange(6 * SPAN) + 0.5
    for row in range(2):
        cycles = (phase[row][:, None] + frequency[row][:, None] * time).reshape(1, -1)
        heard = np.repeat(number * frequency[row][None] < 20000.0, SPAN, axis=1)
        level = np.stack([np.interp(samples, middles, line) for line in amplitudes[row].T])
        waves = np.sin(2 * np.pi * (number * cycles + DISPERSION * number**2))
        expected = np.sum(level * waves * heard, axis=0)
        np.testing.assert_allclose(oscillate(*voice)[row], expected, atol=2e-3)


def test_the_slope_of_the_oscillator_is_its_transpose(voice, rng):
    """It is linear in the amplitudes: <c, f(a)> is <f'(c), a>, also in every single place."""
    frequency, phase, amplitudes = voice
    cotangent = jnp.asarray(rng.normal(size=(2, 6 * SPAN)), jnp.float32)
    sound, pull_back = jax.vjp(lambda a: oscillate(frequency, phase, a), amplitudes)
    (slope,) = pull_back(cotangent)
    assert slope.shape == amplitudes.shape
    scale = np.linalg.norm(cotangent) * np.linalg.norm(sound)
    assert abs(jnp.vdot(cotangent, sound) - jnp.vdot(slope, amplitudes)) < 1e-5 * scale
    run = jax.jit(oscillate)
    # The ends are their own neighbours.
    for row, span, partial in ((0, 0, 0), (1, 5, 40), (0, 2, 95), (1, 1, 7), (1, 4, 60)):
        one = jnp.zeros_like(amplitudes).at[row, span, partial].set(1.0)
        expected = float(jnp.vdot(cotangent, run(frequency, phase, one)))
        assert float(slope[row, span, partial]) == pytest.approx(expected, abs=2e-3)


def test_the_oscillator_has_no_slope_in_its_pitch(voice):
    frequency, phase, amplitudes = voice
    loss = jax.grad(lambda *pitch: jnp.sum(oscillate(*pitch, amplitudes) ** 2), argnums=(0, 1))
    for slope in loss(frequency, phase):
        np.testing.assert_array_equal(slope, 0.0)


def test_phase_is_exact_after_ten_minutes():
    spans = 104_000
    expected = (55.0 * SPAN / SAMPLE_RATE_HZ * np.arange(spans)) % 1.0
    distance = np.abs(np.asarray(advance_phase(jnp.full((1, spans), 55.0)))[0] - expected)
    # A float32 of the step per span, times the number of spans.
    assert np.minimum(distance, 1.0 - distance).max() < 1e-7 * 0.32 * spans


def test_noise_is_white_and_never_the_same():
    noise = np.asarray(
        frame_noise(jnp.asarray([[-16, 0, 1, 2], [1, 2, 3, 70000]], jnp.int32), FRAME)
    )
    assert noise.shape == (2, 4, FRAME)
    np.testing.assert_array_equal(noise[0, 2:], noise[1, :2])
    frames = np.concatenate([noise[0], noise[1, 2:]])
    correlation = np.corrcoef(frames)
    assert np.abs(correlation - np.eye(6)).max() < 0.1
    assert frames.std() == pytest.approx(1.0, abs=0.03)


def test_a_bank_is_a_sum_of_steady_tones():
    wanted_hz = np.array([110.0, 1234.5])
    heard_hz = bank_cycles(wanted_hz) * SAMPLE_RATE_HZ / (SPAN * BANK_PERIOD)
    assert np.abs(heard_hz - wanted_hz).max() < 0.1
    levels = jnp.broadcast_to(jnp.asarray([0.5, 0.25]), (1, 172, 2))
    made = np.asarray(sound_bank(wanted_hz, levels, jnp.zeros(1, jnp.int32)))[0]
    time = np.arange(len(made)) / SAMPLE_RATE_HZ
    basis = np.exp(2j * np.pi * np.outer(heard_hz, time))
    np.testing.assert_allclose(2 * np.abs(basis @ made) / len(made), [0.5, 0.25], rtol=0.01)


@pytest.mark.parametrize("first", [-128, 0, 1000, 700_000])
def test_a_bank_is_a_function_of_absolute_time(rng, first):
    """Pieces join, also hours into a song."""
    frequencies = np.geomspace(40.0, 3520.0, 9)
    levels = jnp.asarray(rng.uniform(size=(1, 40, 9)), jnp.float32)
    whole = sound_bank(frequencies, levels, jnp.asarray([first], jnp.int32))
    part = sound_bank(frequencies, levels[:, 15:], jnp.asarray([first + 15], jnp.int32))
    # The first span of a piece does not know the level before it.
    np.testing.assert_allclose(whole[:, 16 * SPAN :], part[:, SPAN:], atol=2e-5)
    again = sound_bank(frequencies, levels, jnp.asarray([first + BANK_PERIOD], jnp.int32))
    np.testing.assert_allclose(again, whole, atol=2e-5)


def test_levels_of_tones_in_their_own_bands():
    power = band_power_of_tones(8192, 24, 40.0, 3520.0)
    assert power.shape == (24,)
    # A narrow band collects the window's main lobe; a wide one averages it with emptiness.
    assert np.all(np.diff(power[-8:]) < 0)
    assert power.max() < 2 * np.log(8192 / 4)
