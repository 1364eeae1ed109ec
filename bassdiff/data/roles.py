"""Classifies an instrument as bass, drums or other, by its sound and its name."""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.pitch import HOP_SECONDS, track_pitch

_HOP = round(HOP_SECONDS * SAMPLE_RATE_HZ)
_SILENT_RMS = 1e-4
# An instrument sounds where it is within 34 dB of its loud moments, extended by a few frames at
# either end. Half a minute of sound is enough to classify it.
_QUIETEST = 0.02
_END_FRAMES = 8
_ENOUGH_FRAMES = 30 * SAMPLE_RATE_HZ // _HOP
# MIDI pitches. A bass plays most of its notes below the first and hardly any above the second.
_MIDDLE, _HIGHEST = 43.0, 50.0
# Kicks ring at one pitch, or fall through several in less than a tenth of a second.
_LEAST_SPREAD = 1.5
_SHORTEST_FRAMES = 9
_PITCHED, _NAMED_PITCHED, _UNPITCHED = 0.7, 0.5, 0.35
_BASS_NAME = re.compile(r"bass(?!oo?n|et)|fretless|slap", re.IGNORECASE)
_DRUM_NAME = re.compile(
    r"drum|kick|snare|hat|cymb|crash|ride\b|clap|tom\b|perc|shaker|conga|bongo|tamb|loop|break|"
    r"^(bd|sd|hh|ch|oh)\b",
    re.IGNORECASE,
)
_CHORD_NAME = re.compile(r"chord|maj|min|string|pad\b", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Sound:
    """Statistics of an instrument's sound.

    Attributes:
      sounds: Share of the song in which it sounds, 0…1.
      pitched: Share of that with a single pitch, 0…1.
      lowest, middle, highest: 10th, 50th and 90th percentile of its pitch as MIDI numbers; 0
        without a pitch.
      run_frames: Median duration of a pitch, in frames of 512 samples.
    """

    sounds: float
    pitched: float
    lowest: float
    middle: float
    highest: float
    run_frames: float


SILENCE = Sound(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def heard(audio: np.ndarray) -> Sound:
    """Analyses an instrument that plays alone, `[N]` float mono at 44.1 kHz."""
    blocks = np.asarray(audio, np.float32)
    blocks = blocks[: len(blocks) // _HOP * _HOP].reshape(-1, _HOP)
    rms = np.sqrt(np.mean(np.square(blocks), axis=1))
    if not len(rms) or rms.max() < _SILENT_RMS:
        return SILENCE
    is_on = rms > max(_SILENT_RMS, _QUIETEST * float(np.percentile(rms, 95)))
    near = np.flatnonzero(np.convolve(is_on, np.ones(2 * _END_FRAMES + 1), "same") > 0.0)
    near = near[:_ENOUGH_FRAMES]
    track = track_pitch(blocks[near].reshape(-1))
    voiced = track.voiced[: len(near)]
    if not voiced.any():
        return dataclasses.replace(SILENCE, sounds=float(is_on.mean()))
    midi = 69.0 + 12.0 * np.log2(track.f0_hz[: len(near)][voiced] / 440.0)
    lowest, middle, highest = np.percentile(midi, [10, 50, 90])
    borders = np.flatnonzero(np.diff(np.pad(voiced.astype(int), 1)))
    sounding = is_on[near]
    return Sound(
        float(is_on.mean()),
        float((voiced & sounding).sum() / max(sounding.sum(), 1)),
        float(lowest),
        float(middle),
        float(highest),
        float(np.median(borders[1::2] - borders[::2])),
    )


def is_bass(sound: Sound, name: str) -> bool:
    """Whether an instrument plays low single notes of several pitches.

    The name is only a hint: in tracker modules it is often a message from the composer.
    """
    called_so = _is_called_bass(name)
    if not called_so and (_DRUM_NAME.search(name) or _CHORD_NAME.search(name)):
        return False
    return (
        sound.pitched >= (_NAMED_PITCHED if called_so else _PITCHED)
        and 0.0 < sound.middle <= _MIDDLE
        and (called_so or sound.highest <= _HIGHEST)
        and sound.highest - sound.lowest >= _LEAST_SPREAD
        and sound.run_frames >= _SHORTEST_FRAMES
    )


def is_drum(sound: Sound, name: str) -> bool:
    """Whether an instrument has almost no pitch, or the name of a drum."""
    if _is_called_bass(name):
        return False
    rings = sound.highest - sound.lowest < _LEAST_SPREAD and sound.run_frames < 2 * _SHORTEST_FRAMES
    return bool(_DRUM_NAME.search(name)) or sound.pitched < _UNPITCHED or rings


def _is_called_bass(name: str) -> bool:
    return bool(_BASS_NAME.search(name)) and not _DRUM_NAME.search(name)
