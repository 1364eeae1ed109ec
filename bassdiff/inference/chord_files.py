"""Reads chords from text, a lab file, a MIDI file or a list."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from bassdiff.inference.chords import NOTE_NAMES, Chord, on_grid, parse_chord, parse_text, segments
from bassdiff.inference.grid import Grid
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.text_files import read_text

_LAB, MIDI_SUFFIXES = (".lab", ".txt"), (".mid", ".midi", ".kar")
# Notes that begin within this time of each other belong to one chord.
_TOGETHER_SECONDS = 0.05

# `[(start, end, name), ...]`, text with bars, or a lab or MIDI file.
Chords: TypeAlias = str | Path | Sequence[tuple[float, float, str]]


def read_chords(given: Chords, grid: Grid) -> list[Chord]:
    """Chords with their times.

    Args:
      given: Text with bars, such as `C | G/B | Am7 | F:2 G:2`; the path of a lab file (start, end,
        Harte chord) or of a MIDI file; or `[(start, end, name), ...]` in seconds.
      grid: When the bars of a text are.

    Raises:
      InputError: They cannot be read; the message says where the mistake is.
    """
    if not isinstance(given, (str, Path)):
        return segments(given)
    if Path(given).suffix.lower() in _LAB:
        return _read_lab(Path(given))
    if Path(given).suffix.lower() in MIDI_SUFFIXES:
        return _read_midi(Path(given))
    return on_grid(parse_text(str(given)), grid)


def has_bars(given: Chords) -> bool:
    """Whether chords are in bars, and have no times without a grid."""
    if not isinstance(given, (str, Path)):
        return False
    return Path(given).suffix.lower() not in (*_LAB, *MIDI_SUFFIXES)


def _read_lab(path: Path) -> list[Chord]:
    """Chords of a lab file: lines of start and end in seconds and a chord, Harte's or as written.

    Raises:
      InputError: The file is missing, or a line is malformed; the message says which.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file of chords; check the path")
    rows = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        cells = line.split()
        if not cells or line.startswith("#"):
            continue
        try:
            start, end, name = cells
            rows.append((float(start), float(end), name))
            parse_chord(name)
        except ValueError:
            raise InputError(
                f"{path}: line {number}, {line.strip()!r}, is not a start, an end and a chord; "
                "correct it, as 0.0 2.0 A:min7"
            ) from None
    return segments(rows, str(path))


def _read_midi(path: Path) -> list[Chord]:
    """Chords of a MIDI file: the notes that sound together from one onset to the next.

    Raises:
      InputError: It is missing, damaged, or has no notes.
    """
    from bassdiff.synthesis.midi import parse_midi

    tracks = [track for track in parse_midi(path).instruments if not track.is_drum]
    notes = sorted((note for track in tracks for note in track.notes), key=lambda n: n.start)
    if not notes:
        raise InputError(f"{path}: no notes are in it; give a MIDI file that plays chords")
    starts: list[float] = []
    for note in notes:
        if not starts or note.start - starts[-1] > _TOGETHER_SECONDS:
            starts.append(float(note.start))
    edges = [*starts, max(float(note.end) for note in notes)]
    chords: list[Chord] = []
    for start, end in itertools.pairwise(edges):
        begun = start + _TOGETHER_SECONDS
        pitches = [n.pitch for n in notes if n.start <= begun and n.end > begun]
        if not pitches:
            continue
        tones, bass = frozenset(pitch % 12 for pitch in pitches), min(pitches) % 12
        if chords and (chords[-1].tones, chords[-1].bass) == (tones, bass):
            chords[-1] = chords[-1]._replace(end_seconds=end)
        else:
            chords.append(Chord(start, end, _named(tones, bass), tones, bass))
    return chords


def _named(tones: frozenset[int], bass: int) -> str:
    """A name for pitch classes: with the bass for a root if there is one, else as an inversion."""
    for root in (bass, *sorted(tones - {bass})):
        for suffix in ("", "m", "7", "maj7", "m7", "dim", "aug", "sus4", "m7b5", "dim7", "5"):
            if parse_chord(NOTE_NAMES[root] + suffix)[0] == tones:
                return NOTE_NAMES[root] + suffix + ("" if root == bass else f"/{NOTE_NAMES[bass]}")
    return "+".join(NOTE_NAMES[tone] for tone in (bass, *sorted(tones - {bass})))
