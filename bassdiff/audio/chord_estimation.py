"""Estimates the chords of a mix: major and minor triads, from its steady partials."""

from __future__ import annotations

import numpy as np
import soxr

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.pitchedness import MIN_HZ, PLACES_PER_SEMITONE, RATE_HZ, partials
from bassdiff.audio.running import running_mean

FRAME_SECONDS = 1024 / RATE_HZ
# Labels: major triads by root, 0 to 11, then minor ones, then no chord.
NO_CHORD = 24
_WINDOW = 4096
_SMOOTH_SECONDS = 0.6
# The third partial of a tone is a fifth above it, and the fifth a major third.
_FIFTH_PARTIAL, _THIRD_PARTIAL = 0.3, 0.15
# The weight of the likeness to a chord, the cost of a change, and the likeness of no chord.
_SHARPNESS, _CHANGE_COST, _NO_CHORD_LIKENESS = 12.0, 6.0, 0.6
# Noise has this many steady partials in a frame now and then; music has ten times as many.
_FEW_PARTIALS = 0.25


def estimate_chords(mix: np.ndarray, cents: float = 0.0) -> list[tuple[float, float, int]]:
    """The likeliest sequence of chords.

    The chroma of the steady partials is compared with templates of triads, and a hidden Markov
    model with one cost for all changes chooses the sequence.

    Args:
      mix: `[N]` float at 44.1 kHz, of any level.
      cents: How far it is from A = 440 Hz.

    Returns:
      (start seconds, end seconds, label) without gaps. Labels from 0 are major triads by the pitch
      class of their root, labels from 12 are minor ones, and 24 stands for no chord.
    """
    low = soxr.resample(np.asarray(mix, np.float32), SAMPLE_RATE_HZ, RATE_HZ)
    chroma = _chroma(partials(low, _WINDOW)[0], cents)
    chroma = running_mean(chroma, round(_SMOOTH_SECONDS / FRAME_SECONDS))
    size = np.linalg.norm(chroma, axis=1, keepdims=True)
    likeness = chroma / (size + _FEW_PARTIALS) @ _templates().T
    no_chord = np.full((len(chroma), 1), _NO_CHORD_LIKENESS)
    labels = _likeliest(_SHARPNESS * np.concatenate([likeness, no_chord], axis=1))
    edges = np.flatnonzero(np.diff(labels)) + 1
    starts, ends = np.append(0, edges), np.append(edges, len(labels))
    seconds = len(mix) / SAMPLE_RATE_HZ
    return [
        (float(a * FRAME_SECONDS), float(min(b * FRAME_SECONDS, seconds)), int(labels[a]))
        for a, b in zip(starts, ends, strict=True)
        if a * FRAME_SECONDS < seconds
    ]


def _chroma(places: np.ndarray, cents: float) -> np.ndarray:
    """`[F, 12]` counts of steady partials by pitch class, C = 0, from those by place `[F, P]`."""
    lowest = 69.0 + 12.0 * np.log2(MIN_HZ / 440.0) - cents / 100.0
    semitones = lowest + np.arange(places.shape[1]) / PLACES_PER_SEMITONE
    classes = np.round(semitones).astype(int) % 12
    # High partials are less often fundamentals.
    weights = 2.0 ** (-(semitones - lowest) / 24.0)
    return places @ (weights[:, None] * (classes[:, None] == np.arange(12)))


def _templates() -> np.ndarray:
    """`[24, 12]` unit vectors: the pitch classes of each triad and of its partials."""
    tone = np.zeros(12)
    tone[[0, 7, 4]] = 1.0, _FIFTH_PARTIAL, _THIRD_PARTIAL
    triads = [
        sum(np.roll(tone, root + step) for step in (0, third, 7))
        for third in (4, 3)
        for root in range(12)
    ]
    stacked = np.stack(triads)
    unit: np.ndarray = stacked / np.linalg.norm(stacked, axis=1, keepdims=True)
    return unit


def _likeliest(scores: np.ndarray) -> np.ndarray:
    """The sequence `[F]` with the highest sum of `scores` `[F, L]`, less the cost of changes."""
    total = scores[0].copy()
    came_from = np.zeros(scores.shape, np.int64)
    stay = np.arange(scores.shape[1])
    for frame in range(1, len(scores)):
        best = int(total.argmax())
        changes = total[best] - _CHANGE_COST > total
        came_from[frame] = np.where(changes, best, stay)
        total = np.where(changes, total[best] - _CHANGE_COST, total) + scores[frame]
    labels = np.empty(len(scores), np.int64)
    labels[-1] = total.argmax()
    for frame in range(len(scores) - 1, 0, -1):
        labels[frame - 1] = came_from[frame, labels[frame]]
    return labels
