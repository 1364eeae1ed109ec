"""Options for chords, key, tempo, tuning and notes."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from bassdiff.inference import region as spoken
from bassdiff.inference.region import check_region, is_in_bars
from bassdiff.runtime.errors import InputError

if TYPE_CHECKING:
    from bassdiff.inference.control import Control
    from bassdiff.inference.grid import Grid


def control_words(sub: argparse.ArgumentParser) -> None:
    """Adds the options; `control_of` reads them."""
    words = sub.add_argument_group("choices that are otherwise left to the model")
    words.add_argument(
        "--chords",
        metavar="CHORDS",
        help="'C | G/B | Am7 | F:2 G:2' with --bpm, a .lab file, a MIDI file, or auto",
    )
    words.add_argument("--key", metavar="KEY", help="such as C, 'F# minor' or 'Bb dorian'")
    words.add_argument(
        "--bpm",
        type=_tempo,
        metavar="BPM",
        help="tempo in beats a minute, a MIDI file with a tempo map, or auto: as it is heard",
    )
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
    words.add_argument(
        "--quantise",
        type=float,
        metavar="SHARE",
        help="move onsets to the grid of --bpm: 0 not at all, 1 exactly (0)",
    )
    words.add_argument(
        "--bass-lufs", type=float, metavar="LUFS", help="loudness of the bass (as in a mix)"
    )
    words.add_argument("--gain-db", type=float, metavar="DB", help="how much louder it is (0)")
    words.add_argument(
        "--loop",
        type=_bars,
        metavar="bars:N",
        help="play a loop to N bars from bar 1 on, whose end meets its beginning",
    )


def control_of(arguments: argparse.Namespace) -> Control | None:
    """The choices that were given; None if there are none.

    Raises:
      InputError: One of them cannot be parsed.
    """
    names = (
        *("chords", "key", "bpm", "first_beat_seconds", "meter", "tuning_cents"),
        *("notes", "notes_region", "avoid_below", "avoid_above", "quantise"),
        *("bass_lufs", "gain_db"),
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
    """Checks a region, `12.5:20` in seconds or `bar:9-12`, for argparse; its end may be open."""
    try:
        check_region(word)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return word


def region_seconds(word: str, arguments: argparse.Namespace) -> tuple[float, float]:
    """The start and end of a region that `region` has checked.

    Raises:
      InputError: It is in bars, and no tempo is given, or the bars are out of order.
    """
    grid = grid_of(arguments) if is_in_bars(word) else None
    return spoken.region_seconds(word, grid)


def grid_of(arguments: argparse.Namespace) -> Grid | None:
    """The beats and bars that were given, or, with `--bpm auto`, are heard in the mix.

    Raises:
      InputError: They cannot be used, or none are heard.
    """
    from bassdiff.inference.tempo import HEARD, given_grid

    if arguments.bpm != HEARD:
        first_beat = arguments.first_beat_seconds or 0.0
        return given_grid(arguments.bpm, first_beat, arguments.meter)
    from bassdiff.audio.io import SAMPLE_RATE_HZ, read_mono
    from bassdiff.examples import example_mix
    from bassdiff.inference.analysis import resolved
    from bassdiff.inference.control import Control

    wave = read_mono(Path(arguments.mix) if arguments.mix else example_mix(), SAMPLE_RATE_HZ)
    tuning = arguments.tuning_cents
    return resolved(Control(bpm=HEARD, meter=arguments.meter, tuning_cents=tuning), wave).grid


def _tempo(word: str) -> float | str:
    """A number, `auto` or the path of a MIDI file."""
    try:
        return float(word)
    except ValueError:
        return word


def _bars(word: str) -> int:
    """The number of `bars:4`."""
    found = re.fullmatch(r"bars:(\d+)", word)
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(
            f"{word!r} is not a loop; write how many whole bars it has, as bars:4"
        )
    return int(found[1])


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
