"""The prior over notes in each frame, from chords, a key and an instrument's range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bassdiff.inference.chords import Chord
from bassdiff.inference.grid import Grid
from bassdiff.inference.key import Key
from bassdiff.inference.line import LOWEST_MIDI
from bassdiff.models.pitch import RANGE_SEMITONES
from bassdiff.runtime.errors import InputError

# Never played, in nats; what is out of an instrument's range is avoided before what is out of a
# chord.
_NEVER, _OUT_OF_RANGE = 1e4, 1e5
# The cost at a strength of one half, in nats.
_HALF_COST = 4.0
# Without a grid, how long a chord's bass note is preferred when the chord begins.
_ROOT_SECONDS = 0.3
_EARLY_SECONDS = 0.03
# How much shorter or longer than the song chords may be where there are no bars.
_SLACK_SECONDS = 2.0


def cost(strength: float) -> float:
    """The cost of a note outside the chord, in nats: 0 at a strength of 0, prohibitive at 1."""
    if strength >= 1.0:
        return _NEVER
    return min(_HALF_COST * strength / (1.0 - strength), _NEVER)


def log_prior(
    num_frames: int,
    frame_seconds: float,
    chords: Sequence[Chord] = (),
    key: Key | None = None,
    grid: Grid | None = None,
    strength: float = 1.0,
    lowest_midi: float = -np.inf,
    highest_midi: float = np.inf,
) -> np.ndarray:
    """The log prior of notes, `[num_frames, 48]` in nats: 0 where every note is equally good.

    In a chord, its notes are free and others cost `cost(strength)`, those outside the key twice as
    much. Where it begins, and on strong beats, its notes other than the bass note cost half.

    Args:
      num_frames: Latent frames of the song.
      frame_seconds: Seconds of the song per frame.
      chords: The chords in order; between them, only the key counts.
      key: The song's key, if it is known.
      grid: Beats and bars, if they are known.
      strength: 0 to 1.
      lowest_midi: Lower notes are never played.
      highest_midi: Higher notes are never played.
    """
    times = (np.arange(num_frames) + 0.5) * frame_seconds
    pitches = LOWEST_MIDI + np.arange(RANGE_SEMITONES)
    unit = cost(strength)
    costs = np.zeros((num_frames, RANGE_SEMITONES))
    if key is not None:
        costs += np.where(_is_in(pitches, key.tones), 0.0, unit)
    for chord, begin, end in _strong_stretches(chords, grid):
        held = (times >= chord.start_seconds) & (times < chord.end_seconds)
        if not chord.tones:
            continue
        if begin == chord.start_seconds:
            costs[held] += np.where(_is_in(pitches, chord.tones), 0.0, unit)
        strong = held & (times >= begin - _EARLY_SECONDS) & (times < end)
        bass = frozenset() if chord.bass is None else frozenset([chord.bass])
        costs[strong] += np.where(_is_in(pitches, bass), 0.0, unit / 2.0)
    is_outside = (pitches < lowest_midi) | (pitches > highest_midi)
    costs += np.where(is_outside, _OUT_OF_RANGE, 0.0)
    return -costs.astype(np.float32)


def check_length(chords: Sequence[Chord], grid: Grid | None, seconds: float) -> None:
    """Checks that chords last as long as the song, give or take a bar.

    Raises:
      InputError: They do not.
    """
    slack = _SLACK_SECONDS
    if grid is not None:
        slack = max(slack, grid.beats_per_bar * 60.0 / grid.bpm)
    end = chords[-1].end_seconds
    if abs(end - seconds) > slack:
        remedy = (
            "leave some out or check the tempo"
            if end > seconds
            else "repeat them as |: C | G :|x4, or end them with N, no chord"
        )
        raise InputError(f"the chords last {end:.1f} s and the mix {seconds:.1f} s; {remedy}")


def _is_in(pitches: np.ndarray, classes: frozenset[int]) -> np.ndarray:
    return np.isin(pitches % 12, sorted(classes))


def _strong_stretches(
    chords: Sequence[Chord], grid: Grid | None
) -> list[tuple[Chord, float, float]]:
    """Each chord with the stretches in which its bass note belongs; the first is its beginning."""
    found = []
    beats = grid.strong_beats(chords[-1].end_seconds) if grid and chords else []
    half_beat = 30.0 / grid.bpm if grid else _ROOT_SECONDS
    for chord in chords:
        half = (chord.end_seconds - chord.start_seconds) / 2.0
        found.append((chord, chord.start_seconds, chord.start_seconds + min(half_beat, half)))
        found += [
            (chord, begin, (begin + end) / 2.0)
            for begin, end in beats
            if chord.start_seconds + 0.01 < begin < chord.end_seconds - 0.01
        ]
    return found
