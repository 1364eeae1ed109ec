"""What a bass plays where nothing tells the harmony: one note, the song's root."""

from __future__ import annotations

import collections
import dataclasses

from bassdiff.runtime.errors import UnusableSong
from bassdiff.synthesis.score import Part, Song


def over_drums(song: Song) -> Song:
    """The drums of a song, and its bass with its own rhythm on one note.

    The note has the pitch class that the bass sounds longest, and of its pitches the one that
    sounds longest. A model that is trained on the bass itself instead has to guess notes that
    nobody could know from the drums, and learns to wander.

    Args:
      song: any with a bass.

    Returns:
      The song without other parts and without chords.

    Raises:
      UnusableSong: it has no drums, or its bass no notes.
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
    """The MIDI pitch that sounds longest among those of the pitch class that does."""
    by_pitch: collections.Counter[int] = collections.Counter()
    by_class: collections.Counter[int] = collections.Counter()
    for note in (note for part in parts for note in part.notes):
        milliseconds = round(1000 * (note.end_seconds - note.start_seconds))
        by_pitch[note.pitch] += milliseconds
        by_class[note.pitch % 12] += milliseconds
    root = max(by_class, key=lambda pitch_class: (by_class[pitch_class], -pitch_class))
    return max((pitch for pitch in by_pitch if pitch % 12 == root), key=lambda p: (by_pitch[p], -p))
