"""Audibility of window borders: changes of level and pitch there, compared with elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bassdiff.audio.pitch import HOP_SECONDS, track_pitch

# Shorter than most notes, so that both sides usually have the same note.
SIDE_SECONDS = 0.1
CONTROL_SECONDS = 0.5
_SILENCE_RMS = 1e-4
_SEMITONE = 2.0 ** (1.0 / 12.0)


@dataclass(frozen=True)
class Seams:
    """Changes at borders minus changes elsewhere.

    Attributes:
      level_db: Mean jump of level at borders minus the mean elsewhere; NaN if unknown.
      pitch_share: Share of borders at which the pitch moves by a semitone or more, minus the share
        elsewhere; NaN if unknown.
    """

    level_db: float
    pitch_share: float


def window_borders(num_frames: int, window: int, hop: int) -> np.ndarray:
    """Latent frames inside the song at which a window begins or ends, sorted."""
    final = max(num_frames - window, 0)
    starts = np.minimum(np.arange(0, final + hop, hop), final)
    borders = np.unique(np.concatenate([starts, starts + window]))
    return borders[(borders > 0) & (borders < num_frames)]


def seams(bass: np.ndarray, borders_seconds: np.ndarray, sample_rate_hz: int = 44100) -> Seams:
    """Compares changes of a bass at borders with changes at other times.

    Args:
      bass: `[N]` float.
      borders_seconds: Times at which windows begin or end.
      sample_rate_hz: Sample rate of `bass`.
    """
    track = track_pitch(bass, sample_rate_hz)
    times = np.arange(CONTROL_SECONDS, len(bass) / sample_rate_hz, CONTROL_SECONDS)
    borders = np.asarray(borders_seconds, float)
    if len(borders):
        near = np.abs(times[:, None] - borders[None]).min(axis=1) < 2 * SIDE_SECONDS
        times = times[~near]

    def level_jump(time: float) -> float:
        at, side = round(time * sample_rate_hz), round(SIDE_SECONDS * sample_rate_hz)
        sides = bass[max(0, at - side) : at], bass[at : at + side]
        levels = [np.sqrt(np.mean(np.square(x, dtype=float))) if len(x) else 0.0 for x in sides]
        if min(levels) < _SILENCE_RMS:
            return np.nan
        return float(abs(20.0 * np.log10(levels[1] / levels[0])))

    def pitch_moves(time: float) -> float:
        at, side = round(time / HOP_SECONDS), round(SIDE_SECONDS / HOP_SECONDS)
        sides = [slice(max(0, at - side), at), slice(at, at + side)]
        pitches = [track.f0_hz[part][track.voiced[part]] for part in sides]
        if not all(map(len, pitches)):
            return np.nan
        ratio = np.median(pitches[1]) / np.median(pitches[0])
        return float(max(ratio, 1.0 / ratio) >= _SEMITONE)

    return Seams(*(_excess(measure, borders, times) for measure in (level_jump, pitch_moves)))


def _excess(measure: Callable[[float], float], borders: np.ndarray, times: np.ndarray) -> float:
    at, elsewhere = (np.array([measure(t) for t in where]) for where in (borders, times))
    at, elsewhere = at[np.isfinite(at)], elsewhere[np.isfinite(elsewhere)]
    return float(at.mean() - elsewhere.mean()) if len(at) and len(elsewhere) else np.nan
