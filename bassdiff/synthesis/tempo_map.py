"""Writes beats and bars as the tempo map of a MIDI file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pretty_midi

_TICKS = 480
# Beats of one tempo up to rounding are one change.
_SAME_TEMPO = 1e-4


def tempo_map(
    beat_seconds: Sequence[float] | np.ndarray, first_bar: int, beats_per_bar: int
) -> pretty_midi.PrettyMIDI:
    """An empty MIDI file in which beats are quarters, and bars begin where they do in the song.

    Before the first beat is a stretch of whole beats, and before the first bar an upbeat with a
    meter of its own.

    Args:
      beat_seconds: `[n]` increasing, from 0 s on; with less than two the file has 120 bpm.
      first_bar: The number of the beat that begins the first bar.
      beats_per_bar: How many beats a bar has.
    """
    score = pretty_midi.PrettyMIDI(resolution=_TICKS)
    times = np.asarray(beat_seconds, float)
    if len(times) < 2:
        return score
    lead = max(1, round(times[0] / (times[1] - times[0]))) if times[0] > 1e-3 else 0
    lengths = np.concatenate([np.full(lead, times[0] / max(lead, 1)), np.diff(times)])
    scales: list[tuple[int, float]] = []
    for number, length in enumerate(lengths):
        scale = length / _TICKS
        if not scales or abs(scale / scales[-1][1] - 1.0) > _SAME_TEMPO:
            scales.append((number * _TICKS, scale))
    # The public interface takes one tempo only.
    score._tick_scales = scales
    score._update_tick_to_time(len(lengths) * _TICKS)
    before = (lead + first_bar) % beats_per_bar
    if before:
        score.time_signature_changes.append(pretty_midi.TimeSignature(before, 4, 0.0))
    start = float(score.tick_to_time(before * _TICKS))
    score.time_signature_changes.append(pretty_midi.TimeSignature(beats_per_bar, 4, start))
    return score
