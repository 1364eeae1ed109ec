"""Pitch as part of a latent: tracking it in JAX, and a smooth, redundant code for it.

A waveform's phase is hard to generate and a pitch is not: the bass codec therefore keeps
the pitch and leaves the phase to its decoder's oscillator.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from bassdiff.audio.stft import frames
from bassdiff.types import Array

PITCH_HOP = 1024
LOWEST_HZ = 27.5
RANGE_SEMITONES = 48
# Periods of the code in semitones. The octave's makes notes an octave apart neighbours; the
# short ones separate adjacent notes; together they are ambiguous nowhere in the range.
PERIODS_SEMITONES = (96.0, 48.0, 24.0, 12.0, 5.0, 2.0)
# A clean code matches by 1 and none by 0; generated ones are a little less sure of themselves.
VOICED_MATCH = 0.3
CODE_SIZE = 2 * len(PERIODS_SEMITONES)

_DECIMATION = 4
_RATE_HZ = 44100 / _DECIMATION
_HOP = PITCH_HOP // _DECIMATION
_FRAME = 5 * _HOP
# 60 ms: with one period more, three and a half periods of a bass's low E.
_WINDOW = 662
_MAX_LAG = 402
_MIN_LAG = 25
_OFFSET = _FRAME - _WINDOW - _MAX_LAG
_FIRST_DIP, _MAX_APERIODICITY = 0.15, 0.3
_GATE_RMS = 1e-3
_GRID = np.arange(0.0, RANGE_SEMITONES, 0.05, dtype=np.float32)


def _lowpass() -> np.ndarray:
    """A windowed-sinc filter of 64 taps for decimating by 4."""
    tap = np.arange(64) - 31.5
    return (np.sinc(0.8 * tap / _DECIMATION) * np.hamming(64) * 0.8 / _DECIMATION).astype(
        np.float32
    )


def track(audio: Array) -> tuple[Array, Array]:
    """Tracks the pitch of one voice by YIN.

    Args:
      audio: `[B, N]` float32 at 44.1 kHz, N a multiple of 1024.

    Returns:
      Semitones above 27.5 Hz `[B, N / 1024]`, and whether there is a pitch, 0 or 1.

    Source: de Cheveigné and Kawahara, JASA 111(4), 2002, equations 6 to 8.
    """
    taps = _lowpass()
    low = frames(audio, 64, _DECIMATION) @ taps  # [B, N / 4]
    framed = frames(low, _FRAME, _HOP)[..., _OFFSET:]  # [B, M, window + max lag]
    size = 2048
    head = jnp.conj(jnp.fft.rfft(framed[..., :_WINDOW], size))
    correlation = jnp.fft.irfft(jnp.fft.rfft(framed, size) * head, size)[..., : _MAX_LAG + 1]
    power = jnp.cumsum(jnp.square(framed), axis=-1)
    power = jnp.pad(power, [(0, 0)] * (framed.ndim - 1) + [(1, 0)])
    energy = power[..., _WINDOW:] - power[..., : _MAX_LAG + 1]
    difference = jnp.maximum(energy[..., :1] + energy - 2.0 * correlation, 0.0)
    lag = jnp.arange(1, _MAX_LAG + 1, dtype=jnp.float32)
    mean = jnp.cumsum(difference[..., 1:], axis=-1) / lag[None, None]
    floor = 1e-9 + 1e-6 * energy[..., :1]
    normalised = difference[..., 1:] / jnp.maximum(mean, floor)  # [B, M, max lag], lags 1 ...

    inner = normalised[..., 1:-1]  # lags 2 ...
    is_dip = (inner <= normalised[..., :-2]) & (inner < normalised[..., 2:])
    is_dip = is_dip & (jnp.arange(inner.shape[-1]) >= _MIN_LAG - 2)[None, None]
    depth = jnp.where(is_dip, inner, 2.0)
    deepest = jnp.min(depth, axis=-1, keepdims=True)
    index = jnp.argmax(depth <= jnp.maximum(_FIRST_DIP, deepest + 0.05), axis=-1)[..., None]
    left, middle, right = (
        jnp.take_along_axis(normalised, index + shift, axis=-1)[..., 0] for shift in (0, 1, 2)
    )
    curvature = left - 2.0 * middle + right
    shift = jnp.where(curvature > 1e-9, 0.5 * (left - right) / jnp.maximum(curvature, 1e-9), 0.0)
    period = index[..., 0] + 2.0 + jnp.clip(shift, -1.0, 1.0)
    loud = jnp.sqrt(jnp.mean(jnp.square(framed), axis=-1)) > _GATE_RMS
    voiced = loud & (middle < _MAX_APERIODICITY)
    semitones = 12.0 * jnp.log2(_RATE_HZ / period / LOWEST_HZ)
    voiced = voiced & (semitones >= 0.0) & (semitones < RANGE_SEMITONES)
    return jnp.where(voiced, semitones, 0.0), voiced.astype(jnp.float32)


def encode_pitch(semitones: Array, voiced: Array) -> Array:
    """The code of a pitch: sines and cosines of several periods, all zero where there is none.

    Args:
      semitones: `[...]` above 27.5 Hz.
      voiced: `[...]`, 0 or 1.

    Returns:
      `[..., 12]` float32 of unit variance where voiced.
    """
    periods = jnp.asarray(PERIODS_SEMITONES).reshape((1,) * semitones.ndim + (-1,))
    angle = 2 * jnp.pi * semitones[..., None] / periods
    code = jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    return np.sqrt(2.0, dtype=np.float32) * code * voiced[..., None]


def decode_pitch(code: Array) -> tuple[Array, Array]:
    """The likeliest pitch of a code under Gaussian noise: the best match on a grid of 5 cents.

    Args:
      code: `[..., 12]`.

    Returns:
      Frequency `[...]` in Hz, and the match `[...]`: 1 for a clean code, 0 for none.
    """
    templates = encode_pitch(jnp.asarray(_GRID), jnp.ones(len(_GRID)))  # [960, 12]
    match = code @ templates.T / CODE_SIZE
    best = jnp.argmax(match, axis=-1)
    frequency = LOWEST_HZ * 2.0 ** (jnp.asarray(_GRID)[best] / 12.0)
    return frequency, jnp.max(match, axis=-1)


def hold(frequency_hz: Array, match: Array) -> tuple[Array, Array]:
    """Lends the pitch of a note to the spans next to it that have none.

    A tracker finds a pitch only when a few periods have sounded; the attack before belongs to
    the note all the same. A pitch therefore begins up to three spans (70 ms) before it was
    found and lasts two longer; how loud it is there, the envelope says.

    Args:
      frequency_hz: `[B, M]` one per span.
      match: `[B, M]` from `decode_pitch`.

    Returns:
      Both, with spans below `VOICED_MATCH` taken over from the nearest neighbour above it.
    """
    filled_hz, filled = frequency_hz, match
    for shift in (1, 2, 3, -1, -2):
        neighbour = [_shifted(values, shift) for values in (frequency_hz, match)]
        take = (filled < VOICED_MATCH) & (neighbour[1] >= VOICED_MATCH)
        filled_hz = jnp.where(take, neighbour[0], filled_hz)
        filled = jnp.where(take, neighbour[1], filled)
    return filled_hz, filled


def _shifted(values: Array, shift: int) -> Array:
    """Each span's neighbour `shift` spans later; zero beyond the ends."""
    if shift > 0:
        return jnp.pad(values[:, shift:], ((0, 0), (0, shift)))
    return jnp.pad(values[:, :shift], ((0, 0), (-shift, 0)))
