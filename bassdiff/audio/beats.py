"""Estimates the beats and bars of a mix from its onsets, and from where its low end begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.resampling import resample
from bassdiff.audio.spectrogram import decibels, onset_strength, power_blocks

METERS = (4, 3)
_RATE_HZ, _WINDOW, _HOP = 22050, 1024, 256
_FRAME_SECONDS = _HOP / _RATE_HZ
# The rise of a note is largest this long after its attack, measured on rendered songs.
_LATE_SECONDS = -0.002
# The likeliest tempo, and how many octaves from it cost as much as one standard deviation.
_TEMPOS_BPM = np.geomspace(50.0, 220.0, 600)
_LIKELIEST_BPM, _PRIOR_OCTAVES = 112.0, 0.9
# Onsets are compared with what is this near.
_LOCAL_SECONDS = 0.4
# Multiples of a beat at which onsets repeat, with their weights. Most beats are divided in two and
# four, and three halves of a beat are not.
_MULTIPLES = {0.25: 0.5, 0.5: 0.5, 1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}
# The cost of a distance between beats, times its squared logarithm over the period.
_TIGHTNESS = 40.0
_LEAST_PERIODICITY = 0.06
# A tone that is held has rises too, of next to nothing.
_LEAST_RISE_DB, _LEAST_FRAMES = 0.5, 64
_CUT_FRAMES = 4
# Beats that are this near to a steady grid are those of it.
_STEADY_SECONDS = 0.025
_LOW_HZ = 150.0
# Where harmony is heard, in steps of 46 ms.
_HARMONY_HZ, _HARMONY_WINDOW, _HARMONY_HOP = (100.0, 2000.0), 4096, 1024
# What speaks for a bar: low notes 1, and these. Chosen on 41 rendered songs; see `docs/control.md`.
_ONSET_SHARE, _CHORD_SHARE, _HARMONY_SHARE = 0.5, 1.5, 2.0
# How much clearer than four three beats a bar have to be.
_THREE_MARGIN = 1.15


@dataclasses.dataclass(frozen=True)
class Beats:
    """Beats of a mix.

    Attributes:
      seconds: `[n]` float64, increasing.
      first_bar: The number of the first beat that begins a bar.
      beats_per_bar: 3 or 4, or as was said.
    """

    seconds: np.ndarray
    first_bar: int
    beats_per_bar: int


def estimate_beats(
    mix: np.ndarray, changes_seconds: Sequence[float] = (), beats_per_bar: int | None = None
) -> Beats | None:
    """Finds the beats of a mix whose tempo changes little.

    The tempo is where the autocorrelation of the onsets is largest at a beat and its multiples,
    weighted by how common it is. Dynamic programming then chooses beats on onsets and about as far
    apart. Bars begin where low notes, loud onsets and chords do.

    Args:
      mix: `[N]` float at 44.1 kHz, of any level.
      changes_seconds: When chords change, if that is known.
      beats_per_bar: If it is known.

    Returns:
      The beats; None where there is no pulse.

    Source: Ellis, Journal of New Music Research 36(1), 2007, for the dynamic programming.
    """
    low = resample(mix, SAMPLE_RATE_HZ, _RATE_HZ)
    strength = onset_strength(low, _RATE_HZ, _WINDOW, _HOP)
    # A song that was cut out of a longer one begins with a step, which is not an onset.
    strength[:_CUT_FRAMES] = strength[-_CUT_FRAMES:] = 0.0
    if len(strength) < _LEAST_FRAMES or strength.max() < _LEAST_RISE_DB:
        return None
    onsets = _evened(strength)
    bass = _evened(_low_onsets(low))
    period = _period(onsets + 0.5 * bass)
    if period is None:
        return None
    frames = _tracked(onsets, period)
    if len(frames) < 4:
        return None
    beats = _steadied(_between(onsets, frames)) * _FRAME_SECONDS - _LATE_SECONDS
    beats = beats[beats > -_LATE_SECONDS]
    harmony = _harmony_changes(low, np.maximum(beats, 0.0))
    evidence = _evidence(bass, onsets, harmony, beats, changes_seconds)
    return Beats(np.maximum(beats, 0.0), *_bars(evidence, beats_per_bar))


def _evened(strength: np.ndarray) -> np.ndarray:
    """Onsets above what is around them, soft ones nearly as high as loud ones."""
    above = np.maximum(strength - _smooth(strength, _LOCAL_SECONDS / _FRAME_SECONDS), 0.0)
    # A quiet verse counts as much as a chorus.
    level = np.sqrt(_smooth(np.square(above), 8.0 / _FRAME_SECONDS))
    return np.sqrt(above / np.maximum(level, 0.1 * float(level.max(initial=0.0)) + 1e-6))


def _smooth(values: np.ndarray, frames: float) -> np.ndarray:
    size = min(2 * round(frames / 2.0) + 1, 2 * (len(values) // 2) - 1)
    if size < 3:
        return values
    sums = np.cumsum(np.pad(values.astype(np.float64), (size // 2 + 1, size // 2), mode="edge"))
    return (sums[size:] - sums[:-size]) / size


def _period(onsets: np.ndarray) -> float | None:
    """Frames from beat to beat; None if nothing repeats."""
    centred = onsets - onsets.mean()
    size = 2 ** int(np.ceil(np.log2(2 * len(centred))))
    spectrum = np.abs(np.fft.rfft(centred, size)) ** 2
    correlation = np.fft.irfft(spectrum, size)[: len(centred)]
    if correlation[0] <= 0.0:
        return None
    correlation = correlation / correlation[0]
    periods = 60.0 / _TEMPOS_BPM / _FRAME_SECONDS
    lags = np.arange(len(correlation))
    found = np.stack([np.interp(periods * m, lags, correlation, right=0.0) for m in _MULTIPLES])
    periodicity = np.average(found, axis=0, weights=list(_MULTIPLES.values()))
    prior = np.exp(-0.5 * np.square(np.log2(_TEMPOS_BPM / _LIKELIEST_BPM) / _PRIOR_OCTAVES))
    best = int(np.argmax(np.maximum(periodicity, 0.0) * prior))
    return float(periods[best]) if periodicity[best] > _LEAST_PERIODICITY else None


def _tracked(onsets: np.ndarray, period: float) -> np.ndarray:
    """Frames of beats about `period` apart: the sequence with the most onsets."""
    steps = np.arange(-round(2.0 * period), -round(period / 2.0) + 1)
    cost = _TIGHTNESS * np.square(np.log(-steps / period))
    score: np.ndarray = onsets.astype(np.float64)
    came_from = np.full(len(onsets), -1)
    for frame in range(len(onsets)):
        before: np.ndarray = frame + steps
        is_inside = before >= 0
        if not is_inside.any():
            continue
        totals = score[before[is_inside]] - cost[is_inside]
        best = int(totals.argmax())
        if totals[best] > 0.0:
            score[frame] += totals[best]
            came_from[frame] = before[is_inside][best]
    last = max(0, len(score) - round(period))
    at = last + int(score[last:].argmax())
    found = []
    while at >= 0:
        found.append(at)
        at = int(came_from[at])
    return np.asarray(found[::-1])


def _between(onsets: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Beats between frames: parabolas through the onsets, where they are at a peak."""
    inside = np.clip(frames, 1, len(onsets) - 2)
    left, middle, right = (onsets[inside + step] for step in (-1, 0, 1))
    bend = left - 2.0 * middle + right
    is_peak = (middle >= left) & (middle >= right) & (bend < -1e-6)
    return frames + np.where(is_peak, 0.5 * (left - right) / np.where(is_peak, bend, 1.0), 0.0)


def _steadied(beats: np.ndarray) -> np.ndarray:
    """Beats of a steady tempo on a line; others as they are, but for what is off the beat."""
    numbers = np.arange(len(beats))
    slope, start = np.polyfit(numbers, beats, 1)
    for _ in range(3):
        off = np.abs(beats - start - slope * numbers)
        near = off <= max(np.median(off) * 2.0, 1.0)
        slope, start = np.polyfit(numbers[near], beats[near], 1)
    line = start + slope * numbers
    if np.median(np.abs(beats - line)) * _FRAME_SECONDS <= _STEADY_SECONDS:
        return line
    return beats


def _evidence(
    bass: np.ndarray,
    onsets: np.ndarray,
    harmony: np.ndarray,
    beats: np.ndarray,
    changes_seconds: Sequence[float],
) -> np.ndarray:
    """How much each beat looks like the first of a bar, `[n]`."""
    frames = np.clip(np.round((beats + _LATE_SECONDS) / _FRAME_SECONDS).astype(int), 0, None)

    def at_beats(values: np.ndarray) -> np.ndarray:
        near = np.clip(frames[:, None] + np.arange(-3, 4), 0, len(values) - 1)
        return _standardised(values[near].max(axis=1))

    evidence = _ONSET_SHARE * at_beats(onsets) + at_beats(bass)
    evidence = evidence + _HARMONY_SHARE * _standardised(harmony)
    if len(changes_seconds):
        distance = np.abs(np.asarray(changes_seconds)[None] - beats[:, None]).min(axis=1)
        half = 0.5 * float(np.median(np.diff(beats)))
        change = np.maximum(0.0, 1.0 - distance / half)
        evidence = evidence + _CHORD_SHARE * _standardised(change)
    return evidence


def _standardised(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / (values.std() + 1e-6)


def _harmony_changes(low: np.ndarray, beats: np.ndarray) -> np.ndarray:
    """How different the pitch classes are after each beat and before it, `[n]`, 0 to 1."""
    hz = np.arange(_HARMONY_WINDOW // 2 + 1) * _RATE_HZ / _HARMONY_WINDOW
    inside = np.flatnonzero((hz > _HARMONY_HZ[0]) & (hz < _HARMONY_HZ[1]))
    classes = np.round(12.0 * np.log2(hz[inside] / 440.0)).astype(int) % 12
    to_classes = (np.arange(12)[:, None] == classes[None]).astype(np.float32)
    blocks = power_blocks(low, _HARMONY_WINDOW, _HARMONY_HOP)
    chroma = np.concatenate([to_classes @ np.sqrt(block[inside]) for block in blocks], axis=1)
    sums = np.cumsum(np.pad(chroma, ((0, 0), (1, 0))), axis=1)
    edges = np.round(beats * _RATE_HZ / _HARMONY_HOP).astype(int)
    edges = np.clip([0, *edges, chroma.shape[1]], 0, chroma.shape[1])
    between = np.diff(sums[:, edges], axis=1)
    unit = between / (np.linalg.norm(between, axis=0) + 1e-9)
    return 1.0 - np.sum(unit[:, 1:] * unit[:, :-1], axis=0)


def _low_onsets(low: np.ndarray) -> np.ndarray:
    """How much louder what is below 150 Hz gets, frame by frame."""
    last = round(_LOW_HZ * 2 * _WINDOW / _RATE_HZ) + 1
    power = np.concatenate(
        [block[1:last].sum(axis=0) for block in power_blocks(low, 2 * _WINDOW, _HOP)]
    )
    level = np.maximum(decibels(power), decibels(power).max() - 40.0)
    return np.maximum(level - np.concatenate([level[:1].repeat(3), level[:-3]]), 0.0)


def _bars(evidence: np.ndarray, beats_per_bar: int | None) -> tuple[int, int]:
    """The first beat of a bar, and the beats of a bar."""
    best: dict[int, tuple[float, int]] = {}
    for meter in (beats_per_bar,) if beats_per_bar else METERS:
        means = [float(evidence[phase::meter].mean()) for phase in range(min(meter, len(evidence)))]
        phase = int(np.argmax(means))
        # The more beats a bar has, the higher is the best of its means by chance.
        best[meter] = means[phase] / np.sqrt(meter), phase
    if beats_per_bar:
        return best[beats_per_bar][1], beats_per_bar
    meter = 3 if best[3][0] > _THREE_MARGIN * best[4][0] else 4
    return best[meter][1], meter
