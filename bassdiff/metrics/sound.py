"""Measures of sound: clean held notes, attacks, dynamics and gaps of a bass.

Measures of harmony and rhythm are blind to these: a line can have all the right notes and be noise.
NaN means that there was nothing to measure.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.ndimage

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.pitch import PitchTrack, track_pitch

_HOP = 512
_WINDOW = 4096
# Every fourth frame is enough.
_STRIDE = 4
# As in the bass codec, whose modules would load JAX.
_LATENT_HOP, _LEVELS_PER_FRAME = 2048, 4
# Relative to the loudest frames; excludes tails and leakage.
_SOUNDING_DB = -20.0
_SEARCH = 0.03
_SAME_NOTE_SEMITONES = 0.5
_NOTE_SECONDS, _HELD_SECONDS = 0.07, 0.28
# Relative to a frame's strongest level; weaker partials are inaudible.
_HEARD_DB = -40.0
_ATTACK_SECONDS = 0.07
_ATTACK_HOP, _ATTACK_WINDOW = 256, 512
_GAP_SECONDS, _GAP_DB = 2.0, -20.0
_LEVEL_SECONDS = 0.4
_FLOOR_POWER = 1e-10


@dataclasses.dataclass(frozen=True)
class Sound:
    """Measures of one bass.

    Attributes:
      hnr_db: Harmonic-to-noise ratio, median over voiced frames.
      jitter_db: Mean change of a partial's level from one latent frame, 46 ms, to the next inside
        held notes.
      level_spread_db: Standard deviation of the levels of notes.
      attack_db: Steepest rise of level within 11.6 ms at the start of a note, median over notes.
    """

    hnr_db: float
    jitter_db: float
    level_spread_db: float
    attack_db: float


def sound(bass: np.ndarray, pitch: PitchTrack | None = None) -> Sound:
    """Measures a bass `[N]` float at 44.1 kHz, with its `pitch` if already tracked."""
    bass = np.asarray(bass, np.float32)
    pitch = track_pitch(bass) if pitch is None else pitch
    notes = list(_notes(pitch, _NOTE_SECONDS))
    return Sound(
        harmonic_to_noise_db(bass, pitch),
        held_jitter_db(bass),
        _level_spread_db(bass, notes),
        _attack_db(bass, notes),
    )


def harmonic_to_noise_db(bass: np.ndarray, pitch: PitchTrack) -> float:
    """Harmonic-to-noise ratio: level of the periodic part of a bass relative to the rest.

    10 log10(q / (1 - q)), q = r(T) / r(0), where r is the autocorrelation of a Hann-windowed
    frame, divided by the window's own, and T the lag of its maximum within 3 % of the tracked
    period. The median over every fourth voiced frame within 20 dB of full level.

    Args:
      bass: `[N]` float at 44.1 kHz.
      pitch: Its pitch, with frames of 512 samples.

    Returns:
      dB, -60 to 60; a steady tone 20 dB above white noise has 20.

    Source: Boersma, IFA Proceedings 17, 1993.
    """
    size = 2 * _WINDOW
    window = np.hanning(_WINDOW + 1)[:-1]
    own = np.fft.irfft(np.abs(np.fft.rfft(window, size)) ** 2)
    padded = np.pad(np.asarray(bass, np.float64), (_WINDOW // 2, _WINDOW))
    levels = np.sqrt(_levels(padded, _WINDOW // 2, len(pitch.voiced)))
    loud = levels > np.percentile(levels, 99) * 10 ** (_SOUNDING_DB / 20) if len(levels) else levels
    ratios = []
    for frame in np.flatnonzero(pitch.voiced)[::_STRIDE]:
        period = SAMPLE_RATE_HZ / pitch.f0_hz[frame]
        lags = np.arange(int(period * (1 - _SEARCH)), int(np.ceil(period * (1 + _SEARCH))) + 1)
        if not loud[frame] or lags[-1] >= _WINDOW // 2:
            continue
        cut = padded[frame * _HOP : frame * _HOP + _WINDOW] * window
        likeness = np.fft.irfft(np.abs(np.fft.rfft(cut, size)) ** 2)
        q = float((likeness[lags] / own[lags]).max() * own[0] / likeness[0])
        q = min(max(q, 1e-6), 1.0 - 1e-6)
        ratios.append(10.0 * np.log10(q / (1.0 - q)))
    return float(np.median(ratios)) if ratios else np.nan


def held_jitter_db(bass: np.ndarray) -> float:
    """Mean change of the levels of partials and bands inside held notes, in dB per latent frame.

    Levels are measured over whole periods, so that steady tones of any pitch have 0; real basses
    decay by 0.5 to 2. Levels 40 dB below the strongest one of a frame are ignored.

    Args:
      bass: `[N]` float at 44.1 kHz.
    """
    rest = -len(bass) % (_LATENT_HOP * 32)  # Few lengths, so that few programs are compiled.
    found = _analyse()(np.pad(np.asarray(bass, np.float32), (0, rest))[None])
    levels = np.asarray(found.levels)[0] * (10.0 / np.log(10.0))
    levels = levels.reshape(-1, _LEVELS_PER_FRAME, levels.shape[-1]).mean(axis=1)
    semitones, sounds = (
        np.asarray(values)[0].reshape(len(levels), -1) for values in (found.semitones, found.sounds)
    )
    voiced = sounds.all(axis=1) & (np.ptp(semitones, axis=1) < _SAME_NOTE_SEMITONES)
    same = voiced[1:] & voiced[:-1]
    same &= np.abs(np.diff(semitones[:, 0])) < _SAME_NOTE_SEMITONES
    least = round(_HELD_SECONDS * SAMPLE_RATE_HZ / _LATENT_HOP)
    changes = []
    for first, last in _runs(same, least):
        # Without the note's own attack and that of the next one.
        for frame in range(first + 1, last - 1):
            heard = levels[frame] > levels[frame].max() + _HEARD_DB
            changes.append(np.abs(levels[frame + 1] - levels[frame])[heard].mean())
    return float(np.mean(changes)) if changes else np.nan


def gap_level_db(mix: np.ndarray, bass: np.ndarray) -> float:
    """Level of a bass in pauses of its mix, relative to its own loud parts.

    In a pause, the mix's level over 0.4 s stays 20 dB below its overall level for 2 s or more.

    Args:
      mix: `[N]` float at 44.1 kHz.
      bass: `[N]` float.

    Returns:
      dB, negative for a bass that rests too; NaN if the mix has no pause.
    """
    size = round(_LEVEL_SECONDS * SAMPLE_RATE_HZ)
    count = min(len(mix), len(bass)) // size
    power, ours = (
        np.mean(np.square(np.asarray(x, np.float64)[: count * size].reshape(count, size)), axis=1)
        for x in (mix, bass)
    )
    if not count or not ours.any():
        return np.nan
    soft = power < np.mean(power) * 10 ** (_GAP_DB / 10)
    frames = [
        frame
        for first, last in _runs(soft, round(_GAP_SECONDS / _LEVEL_SECONDS))
        for frame in range(first, last)
    ]
    if not frames:
        return np.nan
    loud = np.percentile(ours, 90)
    return float(10 * np.log10((np.mean(ours[frames]) + _FLOOR_POWER) / (loud + _FLOOR_POWER)))


@functools.cache
def _analyse() -> Callable[[np.ndarray], Any]:
    # JAX takes a second to load, which readers of tables need not wait.
    import jax

    from bassdiff.models.harmonics import analyse

    return jax.jit(analyse)


def _notes(pitch: PitchTrack, least_seconds: float) -> Iterator[tuple[int, int]]:
    """Start and end frames of every stretch with one pitch."""
    semitones = 12.0 * np.log2(np.where(pitch.voiced, pitch.f0_hz, 1.0))
    same = pitch.voiced[1:] & pitch.voiced[:-1]
    same &= np.abs(np.diff(semitones)) < _SAME_NOTE_SEMITONES
    for first, last in _runs(same, round(least_seconds / pitch.hop_seconds)):
        yield first, last + 1


def _runs(flags: np.ndarray, least: int) -> Iterator[tuple[int, int]]:
    """Runs `[first, last)` of at least `least` true flags."""
    labels, _ = scipy.ndimage.label(flags)
    for stretch in scipy.ndimage.find_objects(labels):
        place = stretch[0]
        if place.stop - place.start >= least:
            yield place.start, place.stop


def _levels(padded: np.ndarray, offset: int, count: int) -> np.ndarray:
    """Mean power of the 512 samples around each frame."""
    starts = np.arange(count) * _HOP + offset - _HOP // 2
    return np.array([np.mean(np.square(padded[s : s + _HOP])) for s in starts])


def _level_spread_db(bass: np.ndarray, notes: list[tuple[int, int]]) -> float:
    if len(notes) < 2:
        return np.nan
    power = [
        np.mean(np.square(bass[first * _HOP : last * _HOP], dtype=float)) for first, last in notes
    ]
    return float(np.std(10 * np.log10(np.array(power) + _FLOOR_POWER)))


def _attack_db(bass: np.ndarray, notes: list[tuple[int, int]]) -> float:
    """The median over notes of the steepest rise within two hops of 256 samples."""
    reach = round(_ATTACK_SECONDS * SAMPLE_RATE_HZ / _ATTACK_HOP)
    squares = np.square(np.asarray(bass, np.float64))
    power = scipy.ndimage.uniform_filter1d(squares, _ATTACK_WINDOW)[::_ATTACK_HOP]
    level = 10 * np.log10(np.maximum(power, power.max(initial=0.0) * 1e-6) + _FLOOR_POWER)
    rise = level[2:] - level[:-2]
    rises = []
    for first, _ in notes:
        place = first * _HOP // _ATTACK_HOP
        near = rise[max(0, place - reach) : place + reach]
        if len(near):
            rises.append(near.max())
    return float(np.median(rises)) if rises else np.nan
