"""Marks on the picture of a bass: note names, bars, chords and the region that was edited."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from bassdiff.inference.chords import Chord
from bassdiff.inference.line import note_name

# The most bars that can be told apart.
_MAX_BARS, _MAX_CHORDS = 40, 36
_LINE_COLOUR, _REGION_COLOUR = "#cfd8dc", "#4df0ff"
# C and G of each octave, in MIDI numbers.
_NAMED_NOTES = [note for note in range(24, 108) if note % 12 in (0, 7)]


@dataclasses.dataclass(frozen=True)
class Marks:
    """Marks that are drawn over the spectrograms.

    Attributes:
      bar_seconds: The start of each bar, bar 1 first.
      chords: The chords, in order.
      region_seconds: The stretch that was edited, or played to given notes, if there is one.
    """

    bar_seconds: Sequence[float] = ()
    chords: Sequence[Chord] = ()
    region_seconds: tuple[float, float] | None = None


def draw_note_names(axes: Axes, range_hz: tuple[float, float]) -> None:
    """Names of notes at the right of axes whose y is in octaves, log2 of Hz."""
    octaves = {note: np.log2(440.0) + (note - 69) / 12.0 for note in _NAMED_NOTES}
    low, high = np.log2(range_hz)
    shown = [note for note, octave in octaves.items() if low <= octave <= high]
    names = axes.secondary_yaxis("right")
    names.set_yticks([octaves[note] for note in shown], [note_name(note) for note in shown])
    names.yaxis.set_minor_locator(NullLocator())


def draw_marks(axes: Sequence[Axes], marks: Marks, seconds: float) -> None:
    """Bars as lines in all axes, chords above the first, the region in all but the last.

    A long song has too many to be told apart: then every second, fourth, ... bar has a line, and a
    chord has its name where there is room.

    Args:
      axes: The picture's axes from top to bottom; x is in seconds.
      marks: The marks.
      seconds: The length of the picture.
    """
    step = 1
    while len(marks.bar_seconds) > _MAX_BARS * step:
        step *= 2
    for number, start in list(enumerate(marks.bar_seconds, 1))[::step]:
        for one in axes:
            one.axvline(start, color=_LINE_COLOUR, linewidth=0.5, alpha=0.6)
        axes[1].text(start, 0.98, f" {number}", va="top", **_over(axes[1]))
    free_from = -1.0
    for chord in marks.chords:
        if chord.start_seconds >= min(free_from, seconds):
            axes[0].text(chord.start_seconds, 0.97, f" {chord.name}", va="top", **_over(axes[0]))
            free_from = chord.start_seconds + seconds / _MAX_CHORDS
    if marks.region_seconds is not None:
        start, end = marks.region_seconds
        for one in axes[:-1]:
            one.axvspan(start, min(end, seconds), color=_REGION_COLOUR, alpha=0.15, linewidth=0)


def _over(axes: Axes) -> dict[str, Any]:
    """Drawing options of text over a spectrogram, its y from 0 to 1."""
    return {
        "transform": axes.get_xaxis_transform(),
        "color": "white",
        "fontsize": 8,
        "clip_on": True,
    }
