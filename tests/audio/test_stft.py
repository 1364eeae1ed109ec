import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.audio.filters import band_filters, hann
from bassdiff.audio.stft import frames, istft, log_magnitude, overlap_add, stft


def signal(rng, num_samples, batch=2):
    return jnp.asarray(rng.normal(size=(batch, num_samples)), jnp.float32)


@pytest.mark.parametrize(("frame_length", "hop"), [(8, 2), (8, 4), (6, 2), (4, 4)])
def test_frames_are_centred_windows_of_the_padded_signal(rng, frame_length, hop):
    x = np.asarray(signal(rng, 10 * hop, batch=1))[0]
    half = (frame_length - hop) // 2
    padded = np.pad(x, half)
    expected = [padded[m * hop : m * hop + frame_length] for m in range(10)]
    np.testing.assert_array_equal(frames(jnp.asarray(x), frame_length, hop), expected)


@pytest.mark.parametrize(("frame_length", "hop"), [(8, 2), (8, 4), (6, 2), (4, 4)])
def test_overlap_add_is_the_transpose_of_frames(rng, frame_length, hop):
    x = signal(rng, 10 * hop)
    y = jnp.asarray(rng.normal(size=(2, 10, frame_length)), jnp.float32)
    left = jnp.vdot(frames(x, frame_length, hop), y)
    np.testing.assert_allclose(left, jnp.vdot(x, overlap_add(y, hop)), rtol=1e-4)


@pytest.mark.parametrize(
    ("num_samples", "frame_length", "hop"), [(15, 8, 4), (16, 10, 4), (15, 6, 3)]
)
def test_lengths_that_do_not_fit_are_refused(num_samples, frame_length, hop):
    with pytest.raises(ValueError, match="must be multiples of hop"):
        frames(jnp.zeros(num_samples), frame_length, hop)


@pytest.mark.parametrize(("frame_length", "hop"), [(64, 16), (128, 16), (1024, 256)])
def test_istft_inverts_stft_away_from_the_ends(rng, frame_length, hop):
    x = signal(rng, 16 * hop)
    restored = istft(stft(x, frame_length, hop), frame_length, hop)
    assert restored.shape == x.shape
    edge = frame_length - hop
    np.testing.assert_allclose(restored[:, edge:-edge], x[:, edge:-edge], atol=1e-5)


def test_a_samples_value_does_not_depend_on_where_the_signal_ends(rng):
    spectrum = stft(signal(rng, 32 * 16), 64, 16)
    whole = istft(spectrum, 64, 16)
    part = istft(spectrum[:, 8:24], 64, 16)
    np.testing.assert_allclose(part[:, 48:-48], whole[:, 8 * 16 + 48 : 24 * 16 - 48], atol=1e-6)


def test_stft_agrees_with_its_definition(rng):
    x = np.asarray(signal(rng, 64, batch=1))
    padded, n = np.pad(x[0], 12), np.arange(32)
    kernel = np.exp(-2j * np.pi * np.outer(n, np.arange(17)) / 32) * hann(32)[:, None]
    expected = [padded[8 * m : 8 * m + 32] @ kernel for m in range(8)]
    spectrum = stft(x, 32, 8)
    assert spectrum.dtype == jnp.complex64
    np.testing.assert_allclose(spectrum[0], expected, atol=1e-4)


def test_squared_windows_overlap_to_a_constant():
    squares = overlap_add(jnp.tile(hann(64) ** 2, (12, 1)), 16)
    np.testing.assert_allclose(squares[48:-48], np.sum(hann(64) ** 2) / 16, rtol=1e-5)


def test_log_magnitude_runs_from_silence_to_full_scale():
    spectrum = jnp.asarray([0.0, 1e-6, 1.0, 1j, 10.0, 3.0 + 4.0j], jnp.complex64)
    expected = [-1.0, -1.0, 1 / 3, 1 / 3, 0.6, (10 * np.log10(25.0) + 25) / 75]
    np.testing.assert_allclose(log_magnitude(spectrum), expected, rtol=1e-5)


def test_log_magnitude_of_silence_has_a_finite_gradient():
    gradient = jax.grad(lambda x: log_magnitude(stft(x, 64, 16)).sum())(jnp.zeros(128))
    assert bool(jnp.all(jnp.isfinite(gradient)))


def test_bands_average_white_power_and_find_a_sine():
    filters = band_filters(8192, 44100, 48, 40.0, 3520.0)
    assert filters.shape == (4097, 48)
    np.testing.assert_allclose(filters.sum(axis=0), 1.0, rtol=1e-5)
    assert filters.min() >= 0
    # Two bins at least, so that no partial can fall between the lowest bands.
    assert np.count_nonzero(filters, axis=0).min() >= 2
    centres = np.geomspace(40.0, 3520.0, 50)[1:-1]
    time_seconds = np.arange(8192) / 44100
    for band in (0, 12, 47):
        tone = np.sin(2 * np.pi * centres[band] * time_seconds) * hann(8192)
        power = np.abs(np.fft.rfft(tone)) ** 2
        assert np.argmax(power @ filters) == band
