"""Annotations of a song's beats and chords, for evaluation."""

from __future__ import annotations

import dataclasses
import json

import numpy as np

from bassdiff.runtime.errors import InputError
from bassdiff.runtime.strangers_json import parse_json
from bassdiff.synthesis.score import QUALITIES, Chord

FILE_NAME = "annotation.json"
_PITCH_CLASSES = frozenset(range(12))
# Twelve hours: no song is that long.
_LATEST_SECONDS = 43_200.0


@dataclasses.dataclass(frozen=True)
class Annotation:
    """Beats and chords in seconds from the start of the audio; empty if unknown.

    Attributes:
      beat_seconds: Increasing times of beats.
      chords: Chords in order, without overlap.
    """

    beat_seconds: tuple[float, ...] = ()
    chords: tuple[Chord, ...] = ()

    def cut(self, start_seconds: float, end_seconds: float) -> Annotation:
        """The annotation between two times, relative to the first."""
        beats = np.asarray(self.beat_seconds)
        inside = beats[(beats >= start_seconds) & (beats < end_seconds)] - start_seconds
        chords = tuple(
            chord._replace(
                start_seconds=max(chord.start_seconds, start_seconds) - start_seconds,
                end_seconds=min(chord.end_seconds, end_seconds) - start_seconds,
            )
            for chord in self.chords
            if chord.end_seconds > start_seconds and chord.start_seconds < end_seconds
        )
        return Annotation(tuple(inside.tolist()), chords)

    def transposed(self, semitones: int) -> Annotation:
        """The annotation with chords `semitones` higher."""
        chords = tuple(chord.transposed(semitones) for chord in self.chords)
        return dataclasses.replace(self, chords=chords)

    def at_tempo(self, tempo: float) -> Annotation:
        """The annotation of the song played `tempo` times as fast."""
        beats = tuple(beat / tempo for beat in self.beat_seconds)
        chords = tuple(
            chord._replace(
                start_seconds=chord.start_seconds / tempo, end_seconds=chord.end_seconds / tempo
            )
            for chord in self.chords
        )
        return Annotation(beats, chords)

    def to_json(self) -> str:
        """The contents of an `annotation.json`."""
        return json.dumps({"beat_seconds": self.beat_seconds, "chords": self.chords}, indent=1)


def parse_annotation(text: str, name: str) -> Annotation:
    """Parses the output of `Annotation.to_json`.

    Args:
      text: `{"beat_seconds": [...], "chords": [[start, end, root, quality, bass], ...]}`; one of
        the two may be missing.
      name: Name of the file, for the message.

    Raises:
      InputError: If the text is not an annotation.
    """
    try:
        values = parse_json(text)
        if not set(values) & {"beat_seconds", "chords"}:
            raise ValueError("neither beats nor chords")
        beats = tuple(float(beat) for beat in values.get("beat_seconds", ()))
        chords = tuple(
            Chord(float(start), float(end), int(root), str(quality), int(bass))
            for start, end, root, quality, bass in values.get("chords", ())
        )
        times = [*beats, *(second for chord in chords for second in chord[:2])]
        if not all(0.0 <= second < _LATEST_SECONDS for second in times):
            raise ValueError("a time that no song has")
        starts = [chord.start_seconds for chord in chords]
        if sorted(beats) != list(beats) or sorted(starts) != starts:
            raise ValueError("times that go back")
        if not all(
            chord.start_seconds <= chord.end_seconds and {chord.root, chord.bass} <= _PITCH_CLASSES
            for chord in chords
        ):
            raise ValueError("a chord that is none")
        unknown = [chord.quality for chord in chords if chord.quality not in QUALITIES]
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{name}: not an annotation of beats and chords; correct or remove it."
        ) from error
    if unknown:
        raise InputError(
            f"{name}: {unknown[0]!r} is not a chord quality; choose among {', '.join(QUALITIES)}."
        )
    return Annotation(beats, chords)
