"""Pitch as part of a latent: tracking it in JAX, and a smooth, redundant code for it.

A waveform's phase is hard to generate, and a pitch is easy: the bass codec therefore keeps the
pitch and leaves the phase to its decoder's oscillator.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import jax.numpy as jnp
import numpy as np

from bassdiff.audio.stft import frames
from bassdiff.diffusion.types import Array

PITCH_HOP = 1024
LOWEST_HZ = 27.5
RANGE_SEMITONES = 48
# Periods of the code in semitones. The octave's makes notes an octave apart neighbours; the
# short ones separate adjacent notes; together they are ambiguous nowhere in the range.
PERIODS_SEMITONES = (96.0, 48.0, 24.0, 12.0, 5.0, 2.0)
NUM_WAVES = 2 * len(PERIODS_SEMITONES)
CODE_SIZE = NUM_WAVES + 1  # the last value says whether it sounds: 1 or -1
# The neighbours, in spans, from which a span without a pitch takes one, nearest first; and for how
# many spans the pitch of a note stays known after it.
SOUNDS_BEYOND = (1, -1, 2, -2, 3)
KNOWN_AFTER = 16

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
_GRID_SEMITONES = 0.05
_GRID = np.arange(0.0, RANGE_SEMITONES, _GRID_SEMITONES, dtype=np.float32)


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
    period = index[..., 0] + 2.0 + _vertex(left, middle, right)
    loud = jnp.sqrt(jnp.mean(jnp.square(framed), axis=-1)) > _GATE_RMS
    voiced = loud & (middle < _MAX_APERIODICITY)
    semitones = 12.0 * jnp.log2(_RATE_HZ / period / LOWEST_HZ)
    voiced = voiced & (semitones >= 0.0) & (semitones < RANGE_SEMITONES)
    return jnp.where(voiced, semitones, 0.0), voiced.astype(jnp.float32)


def settle(semitones: Array, voiced: Array) -> tuple[Array, Array, Array]:
    """Cleans up tracked pitches: fills in attacks, ends of notes and short silences.

    A tracker errs in single spans, and finds a pitch only after a few periods: the attack before
    and the end after still belong to the note (their levels are in the spectrum). The pitch stays
    known for 370 ms of silence: if its code went to zero with the voice, a generated pitch that is
    undecided between two notes would look like silence.

    Args:
      semitones: `[B, M]` from `track`.
      voiced: `[B, M]`, 0 or 1.

    Returns:
      `[B, M]` each: semitones, where they are known (0 or 1), and where they sound (0 or 1).
    """
    before, after = ([_shifted(x, shift) for x in (semitones, voiced)] for shift in (-1, 1))
    lone = (before[1] == 0) & (after[1] == 0)
    agree = (before[1] > 0) & (after[1] > 0) & (jnp.abs(before[0] - after[0]) < 0.5)
    astray = (voiced == 0) | (jnp.abs(semitones - before[0]) > 0.5)
    semitones = jnp.where(agree & astray, before[0], semitones)
    voiced = jnp.where(lone, 0.0, jnp.where(agree, 1.0, voiced))

    # Nearest first, so that two notes share a short gap between them.
    semitones, sounds = _lent(semitones, voiced, SOUNDS_BEYOND)
    late = [-shift for shift in range(1, KNOWN_AFTER + 1)]
    semitones, known = _lent(semitones, sounds, late)
    return semitones, known, sounds


def _lent(values: Array, known: Array, shifts: Sequence[int]) -> tuple[Array, Array]:
    """Fills unknown spans from the first of the shifted neighbours that is known."""
    filled, found = values, known
    for shift in shifts:
        take = (found == 0) & (_shifted(known, shift) > 0)
        filled = jnp.where(take, _shifted(values, shift), filled)
        found = jnp.where(take, 1.0, found)
    return filled, found


def _shifted(values: Array, shift: int) -> Array:
    """Each span's neighbour `shift` spans later; zero beyond the ends."""
    spans = values.shape[1]
    padded = jnp.pad(values, ((0, 0), (max(-shift, 0), max(shift, 0))))
    return padded[:, :spans] if shift < 0 else padded[:, shift : shift + spans]


def encode_pitch(semitones: Array, known: Array, sounds: Array) -> Array:
    """The code of a pitch: sines and cosines of several periods, and whether it sounds.

    Args:
      semitones: `[...]` above 27.5 Hz.
      known: `[...]`, 0 or 1; the sines and cosines of unknown pitches are all zero.
      sounds: `[...]`, 0 or 1.

    Returns:
      `[..., 13]` float32 of unit variance.
    """
    waves = _waves(semitones, jnp) * known[..., None]
    sign = 2.0 * sounds[..., None] - 1.0
    return jnp.concatenate([waves, sign], axis=-1)


def wave_table(semitones: np.ndarray) -> np.ndarray:
    """The sines and cosines of known pitches, `[n]` above 27.5 Hz to `[n, 12]`; no program."""
    return _waves(np.asarray(semitones, np.float32), np)


def _waves(semitones: Any, xp: ModuleType) -> Any:
    periods = np.asarray(PERIODS_SEMITONES, np.float32).reshape((1,) * semitones.ndim + (-1,))
    angle = 2 * np.pi * semitones[..., None] / periods
    return np.float32(np.sqrt(2.0)) * xp.concatenate([xp.cos(angle), xp.sin(angle)], axis=-1)


def decode_pitch(code: Array) -> tuple[Array, Array]:
    """The likeliest pitch of a code under Gaussian noise: the best match, on and between a grid.

    Args:
      code: `[..., 13]`.

    Returns:
      Frequency `[...]` in Hz, and whether it sounds `[...]`: from 1, certainly, to -1, certainly
      not.
    """
    match = code[..., :NUM_WAVES] @ wave_table(_GRID).T  # [..., 960]
    best = jnp.clip(jnp.argmax(match, axis=-1), 1, len(_GRID) - 2)[..., None]
    left, middle, right = (
        jnp.take_along_axis(match, best + shift, axis=-1)[..., 0] for shift in (-1, 0, 1)
    )
    semitones = _GRID_SEMITONES * (best[..., 0] + _vertex(left, middle, right))
    return LOWEST_HZ * 2.0 ** (semitones / 12.0), code[..., NUM_WAVES]


def _vertex(left: Array, middle: Array, right: Array) -> Array:
    """The place, -1 to 1, of the extremum of the parabola through three neighbours."""
    curvature = left - 2.0 * middle + right
    safe = jnp.where(jnp.abs(curvature) > 1e-9, curvature, 1.0)
    shift = jnp.where(jnp.abs(curvature) > 1e-9, 0.5 * (left - right) / safe, 0.0)
    return jnp.clip(shift, -1.0, 1.0)
