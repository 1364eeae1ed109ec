"""Sound sources of decoders: a voice of partials, a bank of fixed tones, and noise.

All three are functions of absolute time, so that chunks join without a seam.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from bassdiff.audio.filters import band_filters, hann
from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.diffusion.types import Array

# Samples between changes of an amplitude.
SPAN = 256
# Partial k leads by this many cycles times k squared. Partials in phase make one pulse a period, a
# buzz that basses do not have: above 1 kHz, the kurtosis of basses is 4 to 5, and that of such
# pulses 10 to 16.
DISPERSION = 1.0 / 140.0
_HIGHEST_HZ = 20000.0
# Partials in one pass over the samples.
_UNROLLED = 8
# Spans after which every tone of a bank repeats: its frequencies are multiples of a sixth of a
# hertz, and its phases are integers, which stay exact in songs of any length.
BANK_PERIOD = 1024


def advance_phase(frequency_hz: Array, anchor: int = 0) -> Array:
    """Phase of an oscillator at the start of every 256 samples.

    Args:
      frequency_hz: `[B, 8 T]`, constant over each 256 samples.
      anchor: Where the phase is zero.

    Returns:
      `[B, 8 T]` cycles, 0 to 1. Sums are taken modulo 1, so they stay exact over any length.
    """

    def add(a: Array, b: Array) -> Array:
        return (a + b) % 1.0

    cycles = frequency_hz * (SPAN / SAMPLE_RATE_HZ) % 1.0
    phase = jax.lax.associative_scan(add, cycles, axis=1) - cycles
    return (phase - phase[:, anchor : anchor + 1]) % 1.0


@jax.custom_vjp
def oscillate(frequency_hz: Array, phase: Array, amplitudes: Array) -> Array:
    """A sum of partials, each with its own phase.

    Pitches are decoded by an argmax, which has no gradient: only amplitudes have gradients.

    Args:
      frequency_hz: `[B, M]`, constant over each 256 samples.
      phase: `[B, M]` cycles at the start of each of them.
      amplitudes: `[B, M, K]` of partials 1 ... K, joined by lines.

    Returns:
      `[B, 256 M]` float32. Partials above 20 kHz are left out.
    """
    batch, count, num_partials = amplitudes.shape
    # An amplitude is that of the middle of its 256 samples.
    edges = jnp.pad(amplitudes, ((0, 0), (1, 1), (0, 0)), mode="edge")
    falling, steady, rising = _ramps()

    def add(carry: tuple[Array, ...], k: Array) -> tuple[tuple[Array, ...], None]:
        total, wave = carry[0], carry[1:]
        before, here, after = (
            jax.lax.dynamic_slice_in_dim(edges, k, 1, axis=2)[:, place : place + count]
            for place in range(3)
        )
        level = before * falling + here * steady + after * rising
        partial, wave = _next_partial(k, frequency_hz, *wave)
        return (total + level * partial, *wave), None

    start = (jnp.zeros((batch, count, SPAN)), *_first_partial(frequency_hz, phase))
    (total, *_), _ = jax.lax.scan(add, start, jnp.arange(num_partials), unroll=_UNROLLED)
    return total.reshape(batch, -1)


def _oscillate_forward(
    frequency_hz: Array, phase: Array, amplitudes: Array
) -> tuple[Array, tuple[Array, Array, Array]]:
    sound = oscillate(frequency_hz, phase, amplitudes)
    return sound, (frequency_hz, phase, amplitudes[:, :0])


def _oscillate_backward(
    kept: tuple[Array, Array, Array], slope: Array
) -> tuple[Array, Array, Array]:
    """The transpose of a linear map: the inner product of each partial and the gradient."""
    frequency_hz, phase, shape = kept
    batch, count = frequency_hz.shape
    slope = slope.reshape(batch, count, SPAN)
    ramps = [slope * ramp for ramp in _ramps()]

    def project(wave: tuple[Array, ...], k: Array) -> tuple[tuple[Array, ...], Array]:
        partial, wave = _next_partial(k, frequency_hz, *wave)
        before, here, after = (jnp.sum(ramp * partial, axis=-1) for ramp in ramps)
        # The first and the last amplitude are their own neighbours.
        here = here.at[:, 0].add(before[:, 0]).at[:, -1].add(after[:, -1])
        here = here.at[:, :-1].add(before[:, 1:]).at[:, 1:].add(after[:, :-1])
        return wave, here

    start = _first_partial(frequency_hz, phase)
    _, found = jax.lax.scan(project, start, jnp.arange(shape.shape[-1]), unroll=_UNROLLED)
    return jnp.zeros_like(frequency_hz), jnp.zeros_like(phase), jnp.moveaxis(found, 0, -1)


oscillate.defvjp(_oscillate_forward, _oscillate_backward)


def _ramps() -> tuple[Array, Array, Array]:
    """`[1, 1, 256]` each: weights of the amplitudes before, here and after."""
    ramp = ((jnp.arange(SPAN) + 0.5) / SPAN - 0.5)[None, None]
    falling, rising = jnp.maximum(-ramp, 0.0), jnp.maximum(ramp, 0.0)
    return falling, 1.0 - falling - rising, rising


def _first_partial(frequency_hz: Array, phase: Array) -> tuple[Array, ...]:
    """Sines and cosines `[B, M, 256]` of partials 0 and 1, and twice the latter's cosine."""
    sample = jnp.arange(SPAN, dtype=jnp.float32) / SAMPLE_RATE_HZ
    cycles = phase[..., None] + frequency_hz[..., None] * sample[None, None]
    angle = 2 * jnp.pi * (cycles % 1.0)
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    return jnp.zeros_like(angle), jnp.ones_like(angle), sine, cosine, 2.0 * cosine


def _next_partial(
    k: Array,
    frequency_hz: Array,
    last_sine: Array,
    last_cosine: Array,
    sine: Array,
    cosine: Array,
    twice: Array,
) -> tuple[Array, tuple[Array, ...]]:
    """Partial k + 1 with its lead, and the waves of the two after it.

    By sin((k + 1) a) = 2 cos(a) sin(k a) - sin((k - 1) a), and likewise for cosines.
    """
    number = (k + 1).astype(jnp.float32)
    lead = 2.0 * jnp.pi * DISPERSION * number**2
    audible = (frequency_hz * number < _HIGHEST_HZ)[..., None]
    partial = (jnp.cos(lead) * sine + jnp.sin(lead) * cosine) * audible
    return partial, (
        *(sine, cosine),
        *(twice * sine - last_sine, twice * cosine - last_cosine),
        twice,
    )


def bank_cycles(frequencies_hz: np.ndarray) -> np.ndarray:
    """Cycles of each tone of a bank in `BANK_PERIOD` spans: the nearest integers, `[K]` int64."""
    return np.rint(frequencies_hz * SPAN * BANK_PERIOD / SAMPLE_RATE_HZ).astype(np.int64)


def sound_bank(frequencies_hz: np.ndarray, amplitudes: Array, first_span: Array) -> Array:
    """A sum of tones of fixed frequencies.

    Args:
      frequencies_hz: `[K]`, each taken to the nearest multiple of 0.17 Hz.
      amplitudes: `[B, M, K]`, joined by lines.
      first_span: `[B]` int32, the number of the first span; tones begin with number 0.

    Returns:
      `[B, 256 M]` float32.
    """
    cycles = bank_cycles(frequencies_hz)
    batch, num_spans, _ = amplitudes.shape
    span = (first_span[:, None] + jnp.arange(num_spans)[None]) % BANK_PERIOD
    turns = span[..., None] * jnp.asarray(cycles % BANK_PERIOD, jnp.int32)[None, None] % BANK_PERIOD
    # Tones of equal phase would beat together.
    start = np.arange(len(cycles)) * 0.382 % 1.0
    angle = 2 * jnp.pi * (turns / BANK_PERIOD + start[None, None])
    within = 2 * np.pi * np.outer(cycles, np.arange(SPAN)) / (SPAN * BANK_PERIOD)
    ramp = (np.arange(SPAN) + 0.5) / SPAN - 0.5
    falling, rising = np.maximum(-ramp, 0.0), np.maximum(ramp, 0.0)
    edges = jnp.pad(amplitudes, ((0, 0), (1, 1), (0, 0)), mode="edge")
    # sin(a + b) = sin a cos b + cos a sin b: a matrix product makes the samples of a span.
    factors, tables = [], []
    for level, share in (
        (edges[:, :-2], falling),
        (amplitudes, 1.0 - falling - rising),
        (edges[:, 2:], rising),
    ):
        factors += [level * jnp.sin(angle), level * jnp.cos(angle)]
        tables += [np.cos(within) * share, np.sin(within) * share]
    table = jnp.asarray(np.concatenate(tables), jnp.float32)
    return (jnp.concatenate(factors, axis=-1) @ table).reshape(batch, -1)


@functools.lru_cache
def band_power_of_tones(
    frame_length: int, num_bands: int, fmin_hz: float, fmax_hz: float
) -> np.ndarray:
    """The power in each band of `band_filters` of a tone of amplitude 1 in its middle.

    Returns:
      `[num_bands]` float32 natural logarithms of the mean power of a Hann-windowed frame.
    """
    centres = np.geomspace(fmin_hz, fmax_hz, num_bands + 2)[1:-1]
    filters = band_filters(frame_length, SAMPLE_RATE_HZ, num_bands, fmin_hz, fmax_hz)
    power = [
        _power_of_tone(hz, frame_length) @ column
        for hz, column in zip(centres, filters.T, strict=True)
    ]
    return np.log(np.array(power)).astype(np.float32)


def _power_of_tone(hz: float, frame_length: int) -> np.ndarray:
    """The power spectrum of a tone of amplitude 1 under a Hann window."""
    time = np.arange(frame_length) / SAMPLE_RATE_HZ
    return np.square(np.abs(np.fft.rfft(np.sin(2 * np.pi * hz * time) * hann(frame_length))))


def frame_noise(numbers: Array, num_samples: int) -> Array:
    """White noise of unit variance, which depends on the number of a frame alone.

    A repeating table of noise would be heard as a rhythm.

    Args:
      numbers: `[B, T]` int32 of latent frames.
      num_samples: The length of a frame.

    Returns:
      `[B, T, num_samples]` float32.
    """

    def one(number: Array) -> Array:
        key = jax.random.fold_in(jax.random.key(0), number)
        return jax.random.normal(key, (num_samples,), jnp.float32)

    return jax.vmap(jax.vmap(one))(numbers)
