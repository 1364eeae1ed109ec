"""Transcribes a bass: from the waveform of one voice to its notes."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import scipy.ndimage

from bassdiff.audio.pitch import HOP_SECONDS, track_pitch
from bassdiff.audio.resampling import resample
from bassdiff.audio.spectrogram import onset_strength

_RATE_HZ, _HOP, _WINDOW = 22050, 256, 1024
# The rise of level, in dB a frame, that counts as an attack, and the least distance between two.
_ATTACK_DB, _APART_FRAMES = 1.2, 6
_NEW_NOTE_SEMITONES, _LEAST_FRAMES = 0.7, 4
# The range of velocities 1 to 127, in dB.
_RANGE_DB = 42.0


@dataclasses.dataclass(frozen=True)
class BassNote:
    """One note.

    Attributes:
      start_seconds: When it begins.
      end_seconds: When it ends.
      pitch: In MIDI numbers, 69 for 440 Hz, with its detuning as a fraction.
      velocity: 1 to 127; 127 is the loudest note.
    """

    start_seconds: float
    end_seconds: float
    pitch: float
    velocity: int


def transcribe(bass: np.ndarray, sample_rate_hz: int) -> list[BassNote]:
    """Finds the notes of a bass that plays one at a time.

    A note begins where a pitch begins or moves by most of a semitone, or where the level jumps:
    repeated notes are separated by their attacks.

    Args:
      bass: `[N]` float.
      sample_rate_hz: Its rate.

    Returns:
      Notes in order, none overlapping the next; none for silence.
    """
    track = track_pitch(bass, sample_rate_hz)
    if not track.voiced.any():
        return []
    semitones = np.where(
        track.voiced, 69.0 + 12.0 * np.log2(np.where(track.voiced, track.f0_hz, 440.0) / 440.0), 0.0
    )
    low = resample(bass, sample_rate_hz, _RATE_HZ)
    struck = [
        frame
        for frame in _attacks(onset_strength(low, _RATE_HZ, _WINDOW, _HOP))
        # The click at the end of a note rises in every band too, but nothing is louder after it.
        if _level_db(low, frame, frame + _APART_FRAMES)
        > _level_db(low, frame - _APART_FRAMES, frame)
    ]
    attacks = np.asarray(struck, int)
    spans = []
    runs, count = scipy.ndimage.label(track.voiced)
    for run in scipy.ndimage.find_objects(runs)[:count]:
        begin, end = run[0].start, run[0].stop
        borders = _borders(semitones[begin:end]) + begin
        inside = attacks[(attacks > begin + _LEAST_FRAMES) & (attacks < end - _LEAST_FRAMES)]
        edges = _merged(np.concatenate([[begin], borders, inside, [end]]))
        spans += list(itertools.pairwise(edges))
    levels = [_level_db(low, begin, end) for begin, end in spans]
    loudest = max(levels)
    return [
        BassNote(
            begin * HOP_SECONDS,
            end * HOP_SECONDS,
            float(np.median(semitones[begin:end])),
            int(np.clip(round(127.0 * (1.0 + (level - loudest) / _RANGE_DB)), 1, 127)),
        )
        for (begin, end), level in zip(spans, levels, strict=True)
    ]


def _attacks(rise: np.ndarray) -> np.ndarray:
    """Frames at which notes are struck."""
    highest = scipy.ndimage.maximum_filter1d(rise, 2 * _APART_FRAMES + 1)
    return np.flatnonzero((rise == highest) & (rise > _ATTACK_DB))


def _borders(semitones: np.ndarray) -> np.ndarray:
    """Frames of a voiced run at which the pitch has moved to another note."""
    found, held = [], semitones[:1]
    for frame in range(1, len(semitones)):
        ahead = np.median(semitones[frame : frame + _LEAST_FRAMES])
        if abs(ahead - np.median(held)) > _NEW_NOTE_SEMITONES and len(held) >= _LEAST_FRAMES:
            found.append(frame)
            held = semitones[:0]
        held = np.append(held, semitones[frame])
    return np.asarray(found, int)


def _merged(edges: np.ndarray) -> np.ndarray:
    """Edges in order, without those too near to the one before or to the end."""
    edges = np.unique(edges)
    kept = [edges[0]]
    for edge in edges[1:-1]:
        if edge - kept[-1] >= _APART_FRAMES and edges[-1] - edge >= _LEAST_FRAMES:
            kept.append(edge)
    return np.asarray([*kept, edges[-1]], int)


def _level_db(low: np.ndarray, begin: int, end: int) -> float:
    """Level of the first tenth of a second between two frames."""
    stop = min(end, begin + round(0.1 / HOP_SECONDS))
    piece = low[max(begin, 0) * _HOP : max(stop, 0) * _HOP]
    if not len(piece):
        return -120.0
    return 10.0 * float(np.log10(np.mean(np.square(piece, dtype=np.float64)) + 1e-12))
