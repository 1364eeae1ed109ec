"""The sound of a bass, measured so that a held note's features stand still.

Windows shorter than a few periods resolve single periods: features from them move with the phase of
a low note, look like noise, and cannot be predicted. Everything here is therefore measured over
whole periods of the tracked pitch:

* levels of single partials, under a Hann window of three periods, which is zero at all others;
* levels of bands of frequency, as energies under the same window. Hann squared over three periods
  averages exactly over one, so the energy of a periodic signal does not depend on its phase. This
  is how CheapTrick works (Morise, Speech Communication 67, 2015);
* the share of noise in bands: the part of a period that differs from a neighbouring one. Taking
  the more similar of the two neighbours keeps attacks sharp: a first period resembles the next.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from bassdiff.audio.filters import hann
from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.stft import frames, stft
from bassdiff.diffusion.types import Array
from bassdiff.models.features import LATENT_HOP
from bassdiff.models.partial_levels import BAND_EDGES_HZ, LEVEL_HOP, NUM_SINGLE_PARTIALS
from bassdiff.models.pitch import LOWEST_HZ, PITCH_HOP, settle, track

NOISE_EDGES_HZ = np.geomspace(80.0, 14000.0, 9)
NOISE_CENTRES_HZ = np.sqrt(NOISE_EDGES_HZ[1:] * NOISE_EDGES_HZ[:-1])
NUM_NOISE_BANDS = len(NOISE_CENTRES_HZ)
# Power of a partial that counts as silence: 80 dB below a full-scale sine.
FLOOR_POWER = 1e-8
# Where nothing has a pitch, windows are as long as those of a low A.
PITCHLESS_HZ = 55.0

_WINDOW_PERIODS = 3.0
# Three periods of 27.5 Hz are 4811 samples.
_FRAME_LENGTH = 5120
_FFT_LENGTH = 8192
_STFT_LENGTH, _STFT_HOP = 1024, 256
# Factors on the period: upper partials of a real string are sharp, so that a band repeats a little
# sooner than the note.
_STRETCHES = (1.0, 0.996, 0.990)
_LEAST_NOISE = 1e-4


class Analysis(NamedTuple):
    """The pitch, the levels and the noise of a bass.

    Attributes:
      semitones: `[B, 2 T]` above 27.5 Hz, one per 1024 samples.
      known: `[B, 2 T]`, 1 where a pitch is known and 0 elsewhere.
      sounds: `[B, 2 T]`, 1 where it sounds.
      levels: `[B, 4 T, 36]` natural logarithms of powers, one per 512 samples: of partials 1 to
        16, then of bands, there as the power that each of its partials would have.
      noise: `[B, T, 8]` natural logarithms of the amplitude of noise, 0.01 to 1, relative to the
        whole signal, in wider bands.
    """

    semitones: Array
    known: Array
    sounds: Array
    levels: Array
    noise: Array


def analyse(audio: Array) -> Analysis:
    """Measures a bass.

    Args:
      audio: `[B, N]` float32 at 44.1 kHz, N a multiple of 2048.
    """
    semitones, known, sounds = settle(*track(audio))
    f0_hz = jnp.where(known > 0, LOWEST_HZ * 2.0 ** (semitones / 12.0), PITCHLESS_HZ)
    levels = _levels(audio, jnp.repeat(f0_hz, PITCH_HOP // LEVEL_HOP, axis=1))
    return Analysis(semitones, known, sounds, levels, _noise(audio, f0_hz))


def _levels(audio: Array, f0_hz: Array) -> Array:
    """Levels of partials and bands `[B, M, 36]` at pitches `[B, M]`, one per 512 samples."""
    spectrum, window_sum, window_energy, sharpened = _pitched_spectrum(audio, f0_hz)
    partial = np.arange(1, NUM_SINGLE_PARTIALS + 1, dtype=np.float32)[None, None]
    bin_hz = SAMPLE_RATE_HZ / _FFT_LENGTH
    place = f0_hz[..., None] * partial / bin_hz
    lower = jnp.floor(place)
    found = _cubic(spectrum, lower.astype(jnp.int32), place - lower)
    # A sine of amplitude a has a peak of a / 2 times the window's sum, and a power of a^2 / 2.
    partials = 2.0 * _squared(found) / jnp.square(window_sum)[..., None]
    edges = BAND_EDGES_HZ / bin_hz + 0.5
    whole = np.floor(edges).astype(np.int32)
    total = jnp.pad(jnp.cumsum(_squared(spectrum), axis=-1), ((0, 0), (0, 0), (1, 0)))
    share = (edges - whole).astype(np.float32)[None, None]
    below = total[..., whole] * (1.0 - share) + total[..., whole + 1] * share
    power = 2.0 * (below[..., 1:] - below[..., :-1]) / (_FFT_LENGTH * window_energy[..., None])
    width_hz = np.diff(BAND_EDGES_HZ).astype(np.float32)[None, None]
    # An almost empty band is a difference of two sums, which rounding may make negative.
    bands = jnp.maximum(power, 0.0) * f0_hz[..., None] / width_hz
    power = jnp.concatenate([partials, bands], axis=-1)
    return jnp.log(power * sharpened[..., None] + FLOOR_POWER)


def _pitched_spectrum(audio: Array, f0_hz: Array) -> tuple[Array, Array, Array, Array]:
    """Spectra `[B, M, 4097]` under windows of three periods; the windows' sums and energies.

    The phase is zero in the middle of a frame, so that a spectrum is smooth between bins.

    The last result, `[B, M]`, is the power of the middle period alone divided by that of all three.
    It is 1 for a steady tone of any phase; where a note begins or ends, it makes levels three times
    as sharp in time.
    """
    framed = frames(audio, _FRAME_LENGTH, LEVEL_HOP)
    half = _FRAME_LENGTH // 2
    place = (np.arange(_FRAME_LENGTH, dtype=np.float32) - (half - 0.5))[None, None]
    reach = _WINDOW_PERIODS / 2.0 * SAMPLE_RATE_HZ / f0_hz[..., None]
    window = jnp.where(
        jnp.abs(place) < reach, 0.5 + 0.5 * jnp.cos(jnp.pi * jnp.clip(place / reach, -1, 1)), 0.0
    )
    squared = jnp.square(framed)
    # One period, to a fraction of a sample.
    period = jnp.clip(SAMPLE_RATE_HZ / f0_hz[..., None] / 2.0 + 0.5 - jnp.abs(place), 0.0, 1.0)
    energy = jnp.sum(squared * jnp.square(window), -1) / jnp.sum(jnp.square(window), -1)
    middle = jnp.sum(squared * period, axis=-1) / jnp.sum(period, axis=-1)
    sharpened = (middle + FLOOR_POWER) / (energy + FLOOR_POWER)
    framed = framed * window
    gap = jnp.zeros((*framed.shape[:-1], _FFT_LENGTH - _FRAME_LENGTH), framed.dtype)
    rolled = jnp.concatenate([framed[..., half:], gap, framed[..., :half]], axis=-1)
    sums = jnp.sum(window, axis=-1), jnp.sum(jnp.square(window), axis=-1)
    return jnp.fft.rfft(rolled), *sums, sharpened


def _noise(audio: Array, f0_hz: Array) -> Array:
    """Log-amplitude of noise `[B, T, 8]` at pitches `[B, 2 T]`, one per 1024 samples."""
    ours = stft(audio, _STFT_LENGTH, _STFT_HOP)
    # A floor at 60 dB below full scale.
    power = _smoothed(_squared(ours) @ _NOISE_BANDS) + 1e-6
    alike = []
    per_pitch = PITCH_HOP // _STFT_HOP
    for stretch in _STRETCHES:
        period = SAMPLE_RATE_HZ / f0_hz * stretch
        other = stft(_delayed(audio, period), _STFT_LENGTH, _STFT_HOP)
        others = _smoothed(_squared(other) @ _NOISE_BANDS) + 1e-6
        common = _smoothed((ours * jnp.conj(other)).real @ _NOISE_BANDS)
        before = common / jnp.sqrt(power * others)
        # The similarity of a period to the next is that of the next to it.
        ahead = jnp.repeat(period / _STFT_HOP, per_pitch, axis=1)
        likeness = jnp.maximum(before, _moved(before, ahead))
        alike.append(likeness)
    best = jnp.max(jnp.stack(alike), axis=0)
    share = 0.5 * jnp.log(jnp.clip(1.0 - best, _LEAST_NOISE, 1.0))
    batch, count, bands = share.shape
    per_frame = LATENT_HOP // _STFT_HOP
    return jnp.mean(share.reshape(batch, count // per_frame, per_frame, bands), axis=2)


def _delayed(audio: Array, period_samples: Array) -> Array:
    """`[B, N]` delayed by one period, `[B, 2 T]` in samples."""
    return _moved(audio, -jnp.repeat(period_samples, PITCH_HOP, axis=1))


def _moved(values: Array, distance: Array) -> Array:
    """The values `[B, M]` or `[B, M, D]` at `distance` `[B, M]` later than each place."""
    whole = jnp.floor(distance)
    # Added as integers: float32 would lose the fraction late in a long signal.
    index = jnp.arange(values.shape[1], dtype=jnp.int32)[None] + whole.astype(jnp.int32)
    return _cubic(values, index, distance - whole, axis=1)


def _cubic(values: Array, lower: Array, t: Array, axis: int = -1) -> Array:
    """Interpolates by a cubic through the four nearest values; ends are repeated.

    Args:
      values: The values.
      lower: int32 indices along `axis`.
      t: Fraction of the way to the next index, 0 to 1.
      axis: The axis of `values`.
    """
    weights = (
        -t * (t - 1.0) * (t - 2.0) / 6.0,
        (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0,
        -(t + 1.0) * t * (t - 2.0) / 2.0,
        (t + 1.0) * t * (t - 1.0) / 6.0,
    )
    total = jnp.zeros(())
    for shift, weight in zip((-1, 0, 1, 2), weights, strict=True):
        index = jnp.clip(lower + shift, 0, values.shape[axis] - 1)
        if index.ndim < values.ndim:
            index, weight = index[..., None], weight[..., None]
        near = jnp.take_along_axis(values, index, axis=axis)
        total = near * weight if shift == -1 else total + near * weight
    return total


def _smoothed(values: Array) -> Array:
    """Weighted means over eight STFT frames, the length of a latent frame, `[B, M, bands]`."""
    weights = hann(8) / np.sum(hann(8))
    padded = jnp.pad(values, ((0, 0), (4, 4), (0, 0)))
    count = values.shape[1]
    parts = [padded[:, i : i + count] * float(weights[i]) for i in range(8)]
    return jnp.sum(jnp.stack(parts), axis=0)


def _squared(spectrum: Array) -> Array:
    return jnp.square(spectrum.real) + jnp.square(spectrum.imag)


def _noise_bands() -> np.ndarray:
    """`[513, 8]`: the bins of the short spectra in each noise band, at least one."""
    bins_hz = np.arange(_STFT_LENGTH // 2 + 1) * SAMPLE_RATE_HZ / _STFT_LENGTH
    lower, upper = NOISE_EDGES_HZ[None, :-1], NOISE_EDGES_HZ[None, 1:]
    inside = (bins_hz[:, None] >= lower) & (bins_hz[:, None] < upper)
    nearest = np.abs(bins_hz[:, None] - NOISE_CENTRES_HZ[None]).argmin(axis=0)
    inside[nearest, np.arange(NUM_NOISE_BANDS)] = True
    return inside.astype(np.float32)


_NOISE_BANDS = _noise_bands()
