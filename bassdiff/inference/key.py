"""Keys, and the notes of their scales."""

from __future__ import annotations

import dataclasses
import re

from bassdiff.inference.chords import pitch_class
from bassdiff.runtime.errors import InputError


@dataclasses.dataclass(frozen=True)
class Key:
    """A key.

    Attributes:
      name: The name as it was given.
      tones: The pitch classes of its scale.
    """

    name: str
    tones: frozenset[int]

    @classmethod
    def parse(cls, name: str) -> Key:
        """Reads `C`, `F# minor`, `Bb dorian`; minor is the natural minor with both sevenths.

        Raises:
          InputError: It is not a key.
        """
        from bassdiff.synthesis.composing.harmony import SCALES

        match = re.fullmatch(r"([A-G])([#b]*)\s*(m|[a-z]*)", name.strip())
        mode = {"": "major", "maj": "major", "m": "minor", "min": "minor"}.get(
            match[3] if match else "", match[3] if match else ""
        )
        if match is None or mode not in SCALES:
            raise InputError(
                f"{name!r} is not a key; write one such as C, F# minor or Bb dorian "
                f"({', '.join(SCALES)})"
            )
        steps = {*SCALES[mode], 11} if mode == "minor" else set(SCALES[mode])
        tonic = pitch_class(match[1], match[2])
        return cls(name, frozenset((tonic + step) % 12 for step in steps))
