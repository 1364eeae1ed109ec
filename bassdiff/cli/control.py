"""Options for chords, key, tempo, tuning and notes."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from bassdiff.runtime.errors import InputError

if TYPE_CHECKING:
    from bassdiff.inference.control import Control


_BARS = re.compile(r"bar:(\d+)(?:-(\d+))?")


def control_words(sub: argparse.ArgumentParser) -> None:
    """Adds the options; `control_of` reads them."""
    words = sub.add_argument_group("choices that are otherwise left to the model")
    words.add_argument(
        "--chords",
        metavar="CHORDS",
        help="'C | G/B | Am7 | F:2 G:2' with --bpm, a .lab file, a MIDI file, or auto",
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
        help="how far the mix is from A = 440 Hz; 0 leaves it as it is (auto)",
    )
    words.add_argument("--notes", metavar="MIDI", help="line to play, of one voice")
    words.add_argument(
        "--notes-region", type=region, metavar="REGION", help="where to play it, as --region (all)"
    )
    words.add_argument(
        "--avoid-below", metavar="NOTE", help="the instrument's lowest note, as E1 or 41.2"
    )
    words.add_argument("--avoid-above", metavar="NOTE", help="its highest note, as G3 or 196")


def control_of(arguments: argparse.Namespace) -> Control | None:
    """The choices that were given; None if there are none.

    Raises:
      InputError: One of them cannot be parsed.
    """
    names = (
        *("chords", "key", "bpm", "first_beat_seconds", "meter", "tuning_cents"),
        *("notes", "notes_region", "avoid_below", "avoid_above"),
    )
    given = {name: getattr(arguments, name) for name in names}
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return None
    if "notes_region" in given:
        given["notes_region"] = region_seconds(given["notes_region"], arguments)
    from bassdiff.inference.control import Control

    return Control(**given)


def region(word: str) -> str:
    """Checks a region, `12.5:20` in seconds or `bar:9-12`, for argparse."""
    seconds = word.split(":")
    try:
        is_region = bool(_BARS.fullmatch(word)) or len([float(part) for part in seconds]) == 2
    except ValueError:
        is_region = False
    if not is_region:
        raise argparse.ArgumentTypeError(
            f"{word!r} is not a region; write two times in seconds, as 12.5:20, or bars, as "
            "bar:9-12"
        )
    return word


def region_seconds(word: str, arguments: argparse.Namespace) -> tuple[float, float]:
    """The start and end of a region that `region` has checked.

    Raises:
      InputError: It is in bars, and no tempo is given, or the bars are out of order.
    """
    found = _BARS.fullmatch(word)
    if not found:
        start, end = (float(part) for part in word.split(":"))
        return start, end
    from bassdiff.inference.grid import steady_grid

    if arguments.bpm is None:
        raise InputError(f"{word} needs a tempo; give --bpm, or seconds")
    first, last = int(found[1]), int(found[2] or found[1])
    if not 1 <= first <= last:
        raise InputError(f"{word} is empty; bars count from 1, as bar:9-12")
    meter = arguments.meter or "4/4"
    grid = steady_grid(arguments.bpm, arguments.first_beat_seconds or 0.0, meter)
    return grid.bar_seconds(first - 1), grid.bar_seconds(last)


def _cents(word: str) -> float | None:
    """Cents, or None for `auto`."""
    if word == "auto":
        return None
    try:
        return float(word)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{word!r} is not a tuning; write cents, such as -32, or auto"
        ) from None
