"""The words of the command line for what a musician decides: chords, tempo, notes."""

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
    words.add_argument(
        "--tuning",
        dest="tuning_cents",
        type=_cents,
        metavar="CENTS",
        help="how far the mix is from A = 440 Hz; 0 hears it as it is (auto)",
    )
    words.add_argument("--notes", metavar="MIDI", help="line to play, of one voice")
    words.add_argument(
        "--notes-region", type=region, metavar="START:END", help="seconds in which to play it (all)"
    )
    words.add_argument(
        "--avoid-below", metavar="NOTE", help="the instrument's lowest note, as E1 or 41.2"
    )
    words.add_argument("--avoid-above", metavar="NOTE", help="its highest note, as G3 or 196")


def control_of(arguments: argparse.Namespace) -> Control | None:
    """What was decided; None where nothing was.

    Raises:
      InputError: Something of it cannot be understood.
    """
    names = (
        *("chords", "key", "bpm", "first_beat_seconds", "meter", "tuning_cents"),
        *("notes", "notes_region", "avoid_below", "avoid_above"),
    )
    given = {name: getattr(arguments, name) for name in names}
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return None
    from bassdiff.inference.control import Control

    return Control(**given)


def region(word: str) -> tuple[float, float]:
    """Two times in seconds, for argparse."""
    start, _, end = word.partition(":")
    try:
        return float(start), float(end)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{word!r} is no region; write two times in seconds, as 12.5:20"
        ) from None


def _cents(word: str) -> float | None:
    """Cents, or None for `auto`."""
    if word == "auto":
        return None
    try:
        return float(word)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{word!r} is no tuning; write cents, such as -32, or auto"
        ) from None
