"""Training songs of drums alone, with a bass that holds one note."""

from __future__ import annotations

import collections
import dataclasses

from bassdiff.runtime.errors import UnusableSong
from bassdiff.synthesis.score import Part, Song


def over_drums(song: Song) -> Song:
    """Reduces a song to its drums and its bass's rhythm on one note.

    The note has the pitch class with the longest total duration in the bass, at its
    longest-sounding pitch. Trained on the original bass, a model would have to guess notes that the
    drums do not determine, and would learn to wander.

    Args:
      song: A song with a bass.

    Returns:
      The song without other parts and without chords.

    Raises:
      UnusableSong: If it has no drums, or no notes in its bass.
    """
    drums = tuple(part for part in song.parts if part.is_drum and part.notes)
    basses = [part for part in song.parts if part.stem == "bass" and part.notes]
    if not drums or not basses:
        missing = "bass" if drums else "drums"
        raise UnusableSong(f"{song.name}: there are no {missing}; leave it out.")
    root = commonest_pitch(basses)
    held = tuple(
        dataclasses.replace(
            part, notes=tuple(note._replace(pitch=root) for note in part.notes), bends=()
        )
        for part in basses
    )
    return dataclasses.replace(song, parts=(*drums, *held), chords=())


def commonest_pitch(parts: list[Part]) -> int:
    """The longest-sounding MIDI pitch of the longest-sounding pitch class."""
    by_pitch: collections.Counter[int] = collections.Counter()
    by_class: collections.Counter[int] = collections.Counter()
    for note in (note for part in parts for note in part.notes):
        milliseconds = round(1000 * (note.end_seconds - note.start_seconds))
        by_pitch[note.pitch] += milliseconds
        by_class[note.pitch % 12] += milliseconds
    root = max(by_class, key=lambda pitch_class: (by_class[pitch_class], -pitch_class))
    return max((pitch for pitch in by_pitch if pitch % 12 == root), key=lambda p: (by_pitch[p], -p))
