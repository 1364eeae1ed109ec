"""A given line for the bass to play: notes as a pitch over time."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from bassdiff.inference.chords import NOTE_NAMES, pitch_class
from bassdiff.runtime.errors import InputError

if TYPE_CHECKING:
    from bassdiff.audio.transcription import BassNote

# A MIDI file, or `[(start seconds, end seconds, MIDI pitch), ...]`.
Notes: TypeAlias = str | Path | Sequence[tuple[float, float, float]]
# The range of pitches that latents hold, in MIDI numbers.
LOWEST_MIDI, HIGHEST_MIDI = 21, 68


@dataclasses.dataclass(frozen=True)
class Line:
    """Pitches over time, two a latent frame.

    Attributes:
      semitones: `[2 T]` above 27.5 Hz.
      known: `[2 T]` bool, where there is a pitch.
      sounds: `[2 T]` bool, where it sounds.
      wanted: `[T]` bool, the frames in which the line is played.
    """

    semitones: np.ndarray
    known: np.ndarray
    sounds: np.ndarray
    wanted: np.ndarray


def read_notes(given: Notes) -> list[BassNote]:
    """Notes of one voice, in order.

    Raises:
      InputError: They cannot be read, overlap, or are out of a bass's range.
    """
    if isinstance(given, (str, Path)):
        from bassdiff.synthesis.midi import read_line

        name, notes = f"{given}: ", read_line(given)
    else:
        # This imports scipy, which takes longer than refusing bad input.
        from bassdiff.audio.transcription import BassNote

        try:
            rows = [(float(start), float(end), float(pitch)) for start, end, pitch in given]
        except (TypeError, ValueError) as error:
            raise InputError(
                f"the notes are {str(given)[:40]}; give a MIDI file, or a list of (start, end, "
                "MIDI pitch)"
            ) from error
        name, notes = "", [BassNote(*row, 100) for row in rows]
    if not notes:
        raise InputError("the line has no notes; give some, or leave it out")
    for before, note in zip([None, *notes], notes, strict=False):
        if not math.isfinite(note.pitch):
            raise InputError(f"{name}the note at {note.start_seconds:.2f} s has no pitch")
        if not LOWEST_MIDI <= round(note.pitch) <= HIGHEST_MIDI:
            raise InputError(
                f"{name}the note at {note.start_seconds:.2f} s is {note_name(note.pitch)}, and "
                f"basses play from {note_name(LOWEST_MIDI)} to {note_name(HIGHEST_MIDI)}; "
                "transpose it"
            )
        begin = before.end_seconds if before else 0.0
        if not begin - 1e-6 <= note.start_seconds < note.end_seconds:
            raise InputError(
                f"{name}the note at {note.start_seconds:.2f} s begins before the last has ended, "
                "or ends before it begins; correct its times"
            )
    return notes


def line_of(
    notes: Sequence[BassNote],
    num_frames: int,
    frame_seconds: float,
    region: tuple[float, float] | None = None,
) -> Line:
    """Notes as pitches over time.

    The pitch stays known for a while after a note, as it does in latents of recordings.

    Args:
      notes: In order.
      num_frames: T.
      frame_seconds: Seconds of the song per frame.
      region: Seconds within which the line is played; None for all of the song.

    Raises:
      InputError: The line begins after the song has ended.
    """
    # What holds pitches is heavy, and notes are checked without it.
    from bassdiff.models.pitch import KNOWN_AFTER, RANGE_SEMITONES

    seconds = num_frames * frame_seconds
    if notes[0].start_seconds >= seconds:
        raise InputError(
            f"the line begins at {notes[0].start_seconds:.1f} s and the mix lasts {seconds:.1f} s; "
            "move it"
        )
    times = (np.arange(2 * num_frames) + 0.5) * frame_seconds / 2.0
    number = np.searchsorted([note.start_seconds for note in notes], times, side="right") - 1
    ends = np.asarray([note.end_seconds for note in notes])[number]
    pitches = np.asarray([note.pitch for note in notes])[number] - LOWEST_MIDI
    begun = number >= 0
    known = begun & (times < ends + KNOWN_AFTER * frame_seconds / 2.0)
    wanted = np.ones(num_frames, bool)
    if region is not None:
        middles = (np.arange(num_frames) + 0.5) * frame_seconds
        wanted = (middles >= region[0]) & (middles < region[1])
    semitones = np.clip(pitches, 0.0, RANGE_SEMITONES - 0.05)
    return Line(np.where(known, semitones, 0.0), known, begun & (times < ends), wanted)


def note_name(pitch: float) -> str:
    """The name of a MIDI number: `note_name(28)` is E1."""
    number = round(pitch)
    return f"{NOTE_NAMES[number % 12]}{number // 12 - 1}"


def parse_pitch(word: str | float) -> float:
    """The MIDI number of a note such as E1, or of a frequency in Hz.

    Raises:
      InputError: It is neither.
    """
    found = re.fullmatch(r"([A-G])([#b]*)(-?\d)", str(word))
    if found:
        return (
            12.0 * (int(found[3]) + 1)
            + pitch_class(found[1], "")
            + (found[2].count("#") - found[2].count("b"))
        )
    try:
        hz = float(word)
    except ValueError:
        hz = 0.0
    if not 0.0 < hz < float("inf"):
        raise InputError(f"{word!r} is not a note; write one such as E1, or a frequency in Hz")
    return 69.0 + 12.0 * float(np.log2(hz / 440.0))
