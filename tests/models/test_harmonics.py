"""Strings of known partials: saws, squares and decays, in phase and out, down to a low B."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.models import harmonics, partial_levels
from bassdiff.models.features import LATENT_HOP
from bassdiff.models.partial_levels import LEVEL_HOP, LEVELS_PER_FRAME, NUM_SINGLE_PARTIALS
from bassdiff.models.pitch import LOWEST_HZ

FRAMES = 24
NUM_SAMPLES = FRAMES * LATENT_HOP
TIME = np.arange(NUM_SAMPLES) / SAMPLE_RATE_HZ
PITCHES_HZ = [31.0, 41.2, 55.0, 62.0, 82.4, 110.0, 200.0]
HIGHEST_HZ = 10_000.0
AMPLITUDE = 0.2
# In latent frames and in levels: what is far from the signal's ends.
INNER = slice(6, -6)
INNER_LEVELS = slice(6 * LEVELS_PER_FRAME, -6 * LEVELS_PER_FRAME)
SINGLE = np.arange(1, NUM_SINGLE_PARTIALS + 1)


@pytest.fixture(scope="module")
def analyse():
    run = jax.jit(harmonics.analyse)

    def analyse(*waves):
        """Four waves at once, so that it is compiled for one shape alone."""
        rows = np.zeros((4, NUM_SAMPLES), np.float32)
        rows[: len(waves)] = waves
        return harmonics.Analysis(*(np.asarray(values) for values in run(rows)))

    return analyse


def string(hz, seed=None, decay=0.0, step=1, later_samples=0):
    """Partials of amplitude 0.2 / k, every `step`th; in phase, or with a seed out of it."""
    number = np.arange(1, int(HIGHEST_HZ / hz) + 1, step)[:, None]
    starts = np.zeros(number.shape)
    if seed is not None:
        starts = np.random.default_rng(seed).uniform(0, 2 * np.pi, number.shape)
    time = TIME[None] + later_samples / SAMPLE_RATE_HZ
    waves = np.sin(2 * np.pi * hz * number * time + starts) / number
    return AMPLITUDE * np.sum(waves, axis=0) * np.exp(-decay * TIME)


def true_level(number):
    return np.log((AMPLITUDE / number) ** 2 / 2)


def wide(hz):
    """Numbers of the levels that hold a partial for sure, also where every other is missing."""
    is_wide = np.diff(partial_levels.BAND_EDGES_HZ) > 2.5 * hz
    is_full = partial_levels.BAND_EDGES_HZ[1:] < HIGHEST_HZ
    return NUM_SINGLE_PARTIALS + np.flatnonzero(is_wide & is_full)


@pytest.mark.parametrize("hz", PITCHES_HZ)
def test_levels_are_those_of_the_partials_whatever_their_phases(analyse, hz):
    found = analyse(string(hz), string(hz, 1), string(hz, step=2), string(hz, 2, step=2))
    np.testing.assert_array_equal(found.sounds, 1.0)
    np.testing.assert_allclose(found.semitones[:, 8:-8], 12 * np.log2(hz / LOWEST_HZ), atol=0.02)
    levels = found.levels[:, INNER_LEVELS, :NUM_SINGLE_PARTIALS]
    expected = np.broadcast_to(true_level(SINGLE), levels.shape)
    np.testing.assert_allclose(levels[:2], expected[:2], atol=0.05)
    np.testing.assert_allclose(levels[2:, :, ::2], expected[2:, :, ::2], atol=0.05)
    # A square has no even partials: 65 dB below full scale at most, on a floor at 80.
    assert levels[2:, :, 1::2].max() < -15.0


@pytest.mark.parametrize("hz", PITCHES_HZ)
def test_upper_partials_are_read_off_their_bands(analyse, hz):
    levels = jnp.asarray(analyse(string(hz), string(hz, 1)).levels[:2, INNER_LEVELS])
    number = np.arange(1, 97)
    found = partial_levels.at_partials(levels, jnp.full(levels.shape[:2], hz), len(number))
    there = hz * number < 0.8 * HIGHEST_HZ
    mean = np.asarray(found).mean(axis=1)[:, there]
    np.testing.assert_allclose(mean, np.tile(true_level(number)[there], (2, 1)), atol=0.1)


@pytest.mark.parametrize("hz", PITCHES_HZ)
def test_a_held_tone_stands_still(analyse, hz):
    found = analyse(string(hz), string(hz, 1), string(hz, step=2), string(hz, 2, step=2))
    spectrum, dynamics = partial_levels.split_time(jnp.asarray(found.levels))
    # Every level of a saw; of a square, those that hold a partial.
    changes = np.abs(np.diff(np.asarray(spectrum)[:, INNER], axis=1))
    held = changes[:2][..., : wide(hz)[-1] + 1]
    assert held.max() < 0.05
    assert np.sqrt(np.mean(held**2)) < 0.01
    of_square = changes[2:][..., [*range(0, NUM_SINGLE_PARTIALS, 2), *wide(hz)]]
    assert of_square.max() < 0.02
    assert np.abs(np.asarray(dynamics)[:2, INNER]).max() < 0.05
    # It is clean, as a period resembles the next: noise is 30 dB below it at least.
    assert found.noise[:, INNER, :4].max() < np.log(10 ** (-30 / 20))


@pytest.mark.parametrize("hz", PITCHES_HZ)
def test_where_in_a_period_a_frame_begins_is_unseen(analyse, rng, hz):
    """A held note a random number of samples later, once in phase and once out."""
    later = rng.integers(1, LATENT_HOP, 2)
    waves = [string(hz, seed, later_samples=n) for seed in (None, 1) for n in (0, later[0])]
    levels = analyse(*waves).levels[:, INNER_LEVELS][..., [*range(16), *wide(hz)]]
    for before, after in (levels[:2], levels[2:]):
        np.testing.assert_allclose(after, before, atol=0.05)
    np.testing.assert_allclose(levels[0], levels[2], atol=0.1)


@pytest.mark.parametrize("hz", PITCHES_HZ)
@pytest.mark.parametrize("decay", [2.0, 6.0])
def test_levels_of_a_decaying_string_fall_in_lines(analyse, hz, decay):
    """17 and 52 dB a second: they follow, and leave next to nothing to the dynamics."""
    found = analyse(string(hz, decay=decay), string(hz, 1, decay=decay))
    middles = (np.arange(NUM_SAMPLES // LEVEL_HOP) + 0.5) * LEVEL_HOP / SAMPLE_RATE_HZ
    expected = true_level(SINGLE)[None] - 2 * decay * middles[:, None]
    audible = expected[INNER_LEVELS] > np.log(30 * harmonics.FLOOR_POWER)
    for levels in found.levels[:2, INNER_LEVELS, :NUM_SINGLE_PARTIALS]:
        np.testing.assert_allclose(levels[audible], expected[INNER_LEVELS][audible], atol=0.1)
    _, dynamics = partial_levels.split_time(jnp.asarray(found.levels))
    # Where a level sinks into the floor, it bends.
    assert np.abs(np.asarray(dynamics)[:2, INNER]).max() < 0.1


def test_twice_as_loud_is_so_in_every_level(analyse):
    wave = string(55.0, 1)
    levels = analyse(wave, 2 * wave).levels[:, INNER_LEVELS, : wide(55.0)[-1]]
    np.testing.assert_allclose(levels[1] - levels[0], 2 * np.log(2.0), atol=0.02)


def coloured(rng):
    """Noise whose amplitudes fall with frequency as those of a saw's partials do."""
    spectrum = np.fft.rfft(rng.normal(size=NUM_SAMPLES))
    hz = np.fft.rfftfreq(NUM_SAMPLES, 1 / SAMPLE_RATE_HZ)
    noise = np.fft.irfft(spectrum / np.maximum(hz, 40.0))
    return noise / noise.std()


def band_powers(wave):
    hz, power = scipy.signal.welch(wave, SAMPLE_RATE_HZ, nperseg=8192)
    edges = harmonics.NOISE_EDGES_HZ
    inside = (hz >= edges[:-1, None]) & (hz < edges[1:, None])
    return inside @ power


@pytest.mark.parametrize("hz", [41.2, 55.0, 82.4, 110.0])
@pytest.mark.parametrize("ratio_db", [10.0, 15.0, 20.0])
def test_the_amplitude_of_noise_is_that_which_was_mixed_in(analyse, rng, hz, ratio_db):
    tones = [string(hz, seed) for seed in range(4)]
    noises = [coloured(rng) * tone.std() * 10 ** (-ratio_db / 20) for tone in tones]
    found = analyse(*(tone + noise for tone, noise in zip(tones, noises, strict=True)))
    np.testing.assert_array_equal(found.known, 1.0)
    tone, noise = (np.mean([band_powers(w) for w in waves], axis=0) for waves in (tones, noises))
    # The lowest band may hold one partial or none.
    expected = 0.5 * np.log(noise / (noise + tone))[1:6]
    np.testing.assert_allclose(found.noise[:, INNER, 1:6].mean(axis=(0, 1)), expected, atol=0.25)


def test_of_noise_alone_nearly_all_is_noise(analyse, rng):
    found = analyse(0.1 * rng.normal(size=NUM_SAMPLES))
    assert np.all(np.exp(found.noise[0, INNER]).mean(axis=0) > 0.75)


@pytest.mark.parametrize("amplitude", [1.0, 4.0])
def test_bands_beside_a_loud_tone_are_finite(analyse, amplitude):
    """They hold next to nothing, as differences of sums that rounding can make negative."""
    for begin in range(0, 12, 4):
        tones = [
            amplitude * np.sin(2 * np.pi * hz * TIME) * (TIME > 0.2)
            for hz in np.geomspace(30.0, 300.0, 12)[begin : begin + 4]
        ]
        assert all(np.all(np.isfinite(values)) for values in analyse(*tones))


def test_silence_lies_on_the_floor(analyse):
    found = analyse(np.zeros(NUM_SAMPLES))
    np.testing.assert_array_equal(found.known, 0.0)
    np.testing.assert_allclose(found.levels, np.log(harmonics.FLOOR_POWER), atol=1e-5)
