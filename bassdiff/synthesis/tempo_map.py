"""Writes beats and bars as the tempo map of a MIDI file."""

from __future__ import annotations

from collections.abc import Sequence

import mido
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
    times = np.asarray(beat_seconds, float)
    if len(times) < 2:
        return pretty_midi.PrettyMIDI(resolution=_TICKS)
    lead = max(1, round(times[0] / (times[1] - times[0]))) if times[0] > 1e-3 else 0
    lengths = np.concatenate([np.full(lead, times[0] / max(lead, 1)), np.diff(times)])
    events: list[tuple[int, mido.MetaMessage]] = []
    written = np.inf
    for number, length in enumerate(lengths):
        if abs(length / written - 1.0) > _SAME_TEMPO:
            written = length
            tempo = mido.MetaMessage("set_tempo", tempo=max(1, round(length * 1e6)))
            events.append((number * _TICKS, tempo))
    before = (lead + first_bar) % beats_per_bar
    meters = {0: before, before * _TICKS: beats_per_bar} if before else {0: beats_per_bar}
    for tick, beats in meters.items():
        events.append((tick, mido.MetaMessage("time_signature", numerator=beats, denominator=4)))
    events.sort(key=lambda event: event[0])
    ticks = np.diff([0, *(tick for tick, _ in events)])
    track = [event.copy(time=int(t)) for t, (_, event) in zip(ticks, events, strict=True)]
    file = mido.MidiFile(ticks_per_beat=_TICKS, tracks=[mido.MidiTrack(track)])
    # Its own interface takes one tempo only.
    return pretty_midi.PrettyMIDI(mido_object=file)
