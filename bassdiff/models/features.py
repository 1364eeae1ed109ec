"""The features of a latent frame, and levels of tones and noise from them.

A latent frame covers 2048 samples. Eight short windows follow its attacks and decays in broad
bands, and one long window, which reaches into the neighbours, resolves pitches in narrow ones.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from bassdiff.audio.filters import band_filters, hann
from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.stft import stft
from bassdiff.diffusion.types import Array
from bassdiff.models.tones import band_power_of_tones

LATENT_HOP = 2048
STFT_LENGTH = 1024
STFT_HOP = 256
LONG_LENGTH = 8192
SUBFRAMES = LATENT_HOP // STFT_HOP  # STFT frames per latent frame: three stride-2 stages
NUM_BANDS = 24
BAND_FMIN_HZ, BAND_FMAX_HZ = 60.0, 14000.0
LONG_FMIN_HZ, LONG_FMAX_HZ = 40.0, 3520.0
SLOWEST_PERIOD = 4  # STFT frames that a period of a bass's low E lasts


def spectral_features(audio: Array, num_long_bands: int) -> Array:
    """Fixed log-magnitude features of each latent frame.

    Eight short frames resolve onsets in 24 broad bands; one long frame (8192 samples)
    resolves pitch in narrow ones, which a 1024-sample window cannot do below 300 Hz.

    Args:
      audio: `[B, N]` float32, N a multiple of 2048.
      num_long_bands: Narrow bands between 40 Hz and 3.5 kHz.

    Returns:
      `[B, N / 2048, 8 * 24 + num_long_bands]` float32: 0 (silence) to about 1.3.
    """
    batch, num_samples = audio.shape
    num_frames = num_samples // LATENT_HOP

    def log_bands(spectrum: Array, filters: np.ndarray) -> Array:
        power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
        return (10.0 * jnp.log10(power @ filters + 1e-5) + 50.0) / 75.0

    short = log_bands(
        stft(audio, STFT_LENGTH, STFT_HOP),
        band_filters(STFT_LENGTH, SAMPLE_RATE_HZ, NUM_BANDS, BAND_FMIN_HZ, BAND_FMAX_HZ),
    )
    long = log_bands(
        stft(audio, LONG_LENGTH, LATENT_HOP),
        band_filters(LONG_LENGTH, SAMPLE_RATE_HZ, num_long_bands, LONG_FMIN_HZ, LONG_FMAX_HZ),
    )
    return jnp.concatenate([short.reshape(batch, num_frames, -1), long], axis=-1)


def log_power(features: Array) -> Array:
    """Inverts the scale of `spectral_features`: natural logarithm of the mean power of a band."""
    return (75.0 * features - 50.0) * (np.log(10.0) / 10.0)


def band_interpolation() -> np.ndarray:
    """`[24, 513]`: gains of the broad bands to gains of STFT bins, by lines in log-frequency."""
    centres = np.log(short_centres_hz())
    bins_hz = np.arange(STFT_LENGTH // 2 + 1) * SAMPLE_RATE_HZ / STFT_LENGTH
    position = np.log(np.maximum(bins_hz, 1.0))
    rows = [np.interp(position, centres, row) for row in np.eye(NUM_BANDS)]
    return np.stack(rows).astype(np.float32)


def bank_log_power(short: Array, long: Array) -> Array:
    """The squared amplitude of a tone in each narrow band, from the features.

    A tone leaks into the bands beside its own, so only bands above both neighbours keep their
    level; the others are 52 dB softer, and training can raise them again.

    Args:
      short: `[B, 8 T, 24]` log-power of the broad bands.
      long: `[B, T, L]` normalised levels of the narrow bands.

    Returns:
      `[B, 8 T, L]` natural logarithms.
    """
    num_bands = long.shape[-1]
    edges = jnp.pad(long, ((0, 0), (0, 0), (1, 1)), constant_values=-1.0)
    is_peak = (long >= edges[..., :-2]) & (long > edges[..., 2:])
    of_tone = band_power_of_tones(LONG_LENGTH, num_bands, LONG_FMIN_HZ, LONG_FMAX_HZ)
    level = log_power(long) - of_tone[None, None]
    amplitude = jnp.exp(0.5 * (level - 12.0 * (1.0 - is_peak)))
    ends = jnp.pad(amplitude, ((0, 0), (1, 1), (0, 0)), mode="edge")
    # A frame's window is centred in it: interpolate between the middles.
    place = ((np.arange(SUBFRAMES) + 0.5) / SUBFRAMES - 0.5)[None, None, :, None]
    before, after = np.maximum(-place, 0.0), np.maximum(place, 0.0)
    joined = (
        amplitude[:, :, None] * (1.0 - before - after)
        + ends[:, :-2, None] * before
        + ends[:, 2:, None] * after
    ).reshape(short.shape[0], -1, num_bands)
    centres_hz = jnp.asarray(long_centres_hz(num_bands), jnp.float32)
    rises = _at(
        dynamics(short),
        np.geomspace(BAND_FMIN_HZ, BAND_FMAX_HZ, NUM_BANDS + 2),
        jnp.broadcast_to(centres_hz[None, None], joined.shape),
    )
    return 2.0 * jnp.log(joined + 1e-9) + jnp.clip(rises, -8.0, 3.0)


def long_centres_hz(num_long_bands: int) -> np.ndarray:
    """The middles of the narrow bands."""
    return np.geomspace(LONG_FMIN_HZ, LONG_FMAX_HZ, num_long_bands + 2)[1:-1]


def short_centres_hz() -> np.ndarray:
    """The middles of the broad bands."""
    return np.geomspace(BAND_FMIN_HZ, BAND_FMAX_HZ, NUM_BANDS + 2)[1:-1]


def dynamics(short: Array) -> Array:
    """Deviation of each log-power from its mean over a long window, `[B, M, 24]`."""
    count = short.shape[1]

    def smoothed(window: np.ndarray) -> Array:
        size = len(window)
        edges = ((0, 0), (size // 2, size - 1 - size // 2), (0, 0))
        power = jnp.pad(jnp.exp(short), edges, "edge")
        total = sum(power[:, i : i + count] * window[i] for i in range(size))
        return jnp.log(total / float(window.sum()) + 1e-9)

    # Short windows resolve single periods of a low note: its pitch, not its envelope.
    return smoothed(np.ones(SLOWEST_PERIOD)) - smoothed(hann(4 * SUBFRAMES))


def _at(levels: Array, edges_hz: np.ndarray, frequency_hz: Array) -> Array:
    """Interpolates levels `[B, M, bands]` at frequencies `[B, M, K]`, by lines in log-frequency."""
    first, step = np.log(edges_hz[1]), np.log(edges_hz[1] / edges_hz[0])
    position = jnp.clip((jnp.log(frequency_hz) - first) / step, 0.0, levels.shape[-1] - 1.0)
    lower = jnp.minimum(position.astype(jnp.int32), levels.shape[-1] - 2)
    share = position - lower
    below = jnp.take_along_axis(levels, lower, axis=-1)
    above = jnp.take_along_axis(levels, lower + 1, axis=-1)
    return below + share * (above - below)
