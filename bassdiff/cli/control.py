"""The words of the command line for what a musician decides: chords, key, tempo."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bassdiff.inference.control import Control


def control_words(sub: argparse.ArgumentParser) -> None:
    """Adds the options; `control_of` reads them."""
    words = sub.add_argument_group("what you decide, instead of the model")
    words.add_argument(
        "--chords",
        metavar="CHORDS",
        help="'C | G/B | Am7 | F:2 G:2' with --bpm, a .lab file, or a MIDI file",
    )
    words.add_argument("--key", metavar="KEY", help="such as C, 'F# minor' or 'Bb dorian'")
    words.add_argument("--bpm", type=float, metavar="BPM", help="tempo in beats a minute")
    words.add_argument(
        "--first-beat",
        dest="first_beat_seconds",
        type=float,
        metavar="SECONDS",
        help="when bar 1 begins (0)",
    )
    words.add_argument("--meter", metavar="N/M", help="beats of a bar and their value (4/4)")


def control_of(arguments: argparse.Namespace) -> Control | None:
    """What was decided; None where nothing was.

    Raises:
      InputError: Something of it cannot be understood.
    """
    names = ("chords", "key", "bpm", "first_beat_seconds", "meter")
    given = {name: getattr(arguments, name) for name in names}
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return None
    from bassdiff.inference.control import Control

    return Control(**given)
