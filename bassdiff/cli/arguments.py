"""Options that several verbs share, and how their values are checked."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from bassdiff import __version__
from bassdiff.cli.control import control_words, region
from bassdiff.diffusion.settings import KINDS, setting_fields
from bassdiff.runtime.errors import EXIT_INPUT

if TYPE_CHECKING:
    from bassdiff.synthesis.stems import Source

# Limit of songs, seconds, copies and so on, whose lists would otherwise fill any memory.
_MOST = 1_000_000

Verb: TypeAlias = Callable[[argparse.Namespace], None]
AddWords: TypeAlias = Callable[[argparse.ArgumentParser], None]


class _Help(argparse.HelpFormatter):
    """Says the default of every option that has one, unless its help says it already."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        is_said = action.default in (None, False, [], "", argparse.SUPPRESS) or "(" in (text or "")
        if not text or is_said or not action.option_strings:
            return text
        default = action.default
        if isinstance(action, argparse.BooleanOptionalAction):
            return f"{text} (default: on)"
        return f"{text} (default: {str(default).replace('%', '%%')})"


class _Parser(argparse.ArgumentParser):
    """Reports errors in one sentence, like all other errors."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"formatter_class": _Help, **options})

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_INPUT, f"bassdiff: {message}; see {self.prog} --help\n")


def parser_of(verbs: Mapping[Verb, AddWords]) -> argparse.ArgumentParser:
    """The parser of a command line with these verbs, each with what adds its options."""
    root = _Parser(
        "bassdiff", description="Listens to a mix and plays a bass line that belongs to it."
    )
    root.add_argument("--version", action="version", version=f"bassdiff {__version__}")
    add_verbs(root, "verb", verbs)
    return root


def add_verbs(parent: argparse.ArgumentParser, name: str, verbs: Mapping[Verb, AddWords]) -> None:
    """Adds a parser for each function, under its name; parsing sets `name` to the function."""
    found = parent.add_subparsers(required=True, metavar=name.upper())
    for verb, add_words in verbs.items():
        summary = (verb.__doc__ or "").strip()
        sub = found.add_parser(verb.__name__, help=summary, description=summary)
        sub.set_defaults(**{name: verb})
        add_words(sub)


def generate_words(sub: argparse.ArgumentParser) -> None:
    """Adds the options of `generate`."""
    sub.add_argument("mix", nargs="?", metavar="MIX", help="audio file; a short example if absent")
    sub.add_argument("--out", metavar="FILE", help="bass to write (default: MIX-bass.wav, here)")
    sub.add_argument(
        "--overwrite", action="store_true", help="replace files that are there already"
    )
    sub.add_argument(
        "--like", metavar="BASS", help="repeat a bass; other options that are given replace its own"
    )
    sub.add_argument(
        "--style",
        action="append",
        default=[],
        metavar="REF",
        help="bass recording whose sound to take; several are blended",
    )
    sub.add_argument(
        "--style-weight",
        action="append",
        default=[],
        type=float,
        metavar="W",
        help="share of each --style in the blend",
    )
    sub.add_argument(
        "--style-from",
        action="append",
        default=[],
        type=float,
        metavar="SECONDS",
        help="when each --style takes over; by default they are blended",
    )
    drafts = sub.add_mutually_exclusive_group()
    drafts.add_argument("--edit", metavar="BASS", help="replace the --region of a bass")
    drafts.add_argument(
        "--continue",
        dest="continuing",
        metavar="BASS",
        help="continue a bass from its end, or from --region, as bar:9-",
    )
    drafts.add_argument("--vary", metavar="BASS", help="vary a bass, by --strength")
    drafts.add_argument(
        "--retimbre", metavar="BASS", help="keep a bass's notes, in the sound of --style"
    )
    sub.add_argument(
        "--region",
        type=region,
        metavar="REGION",
        help="seconds, as 12.5:20 or 12.5:, or bars at --bpm, as bar:9-12 or bar:9-",
    )
    sub.add_argument("--strength", type=float, help="0 (as it was) to 1 (from scratch)")
    control_words(sub)
    sampling_arguments(sub)
    sub.add_argument("--seed", type=int, default=0, help="the same seed plays the same bass")
    sub.add_argument("--variations", type=int, default=1, metavar="N", help="basses to play")
    sub.add_argument(
        "--mixdown", metavar="FILE", help="mix with bass (default: OUT with -mixdown in its name)"
    )
    sub.add_argument(
        "--midi",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="write OUT's notes as a MIDI file",
    )
    sub.add_argument(
        "--plot", action=argparse.BooleanOptionalAction, default=True, help="draw OUT as a picture"
    )


def weights_arguments(sub: argparse.ArgumentParser) -> None:
    """Adds the options that name weights."""
    sub.add_argument(
        "--weights",
        default="small",
        metavar="NAME_OR_DIR",
        help="released weights, or a folder of your own",
    )
    sub.add_argument("--adapter", metavar="FILE", help="a sound of your own for these weights")


def sampling_arguments(sub: argparse.ArgumentParser) -> None:
    """Adds weights and settings of sampling; `sampling_overrides` reads the settings."""
    weights_arguments(sub)
    setting_arguments(sub, "the weights'")


def setting_arguments(sub: argparse.ArgumentParser, default: str) -> None:
    """Adds the settings of sampling; `default` says what holds where one is not given."""
    for field in setting_fields():
        sub.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=KINDS[str(field.type)],
            help=f"{field.metadata['help']} ({default})",
        )


def sampling_overrides(arguments: argparse.Namespace) -> dict[str, float | int | str]:
    """The settings that were given."""
    overrides = {field.name: getattr(arguments, field.name, None) for field in setting_fields()}
    return {name: value for name, value in overrides.items() if value is not None}


def positive(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    """Converts words to positive numbers, for argparse."""

    def convert(word: str) -> int | float:
        value = kind(word)
        if not 0 < value <= _MOST:
            what = "positive" if not value > 0 else f"{_MOST} at most"
            raise argparse.ArgumentTypeError(f"{word} is not {what}")
        return value

    convert.__name__ = kind.__name__
    return convert


def natural(word: str) -> int:
    """Converts a word to a whole number of 0 or more, for argparse."""
    value = int(word)
    if not 0 <= value < 1 << 32:
        raise argparse.ArgumentTypeError(f"{word} is not a whole number from 0 to 2^32 - 1")
    return value


def part(word: str) -> tuple[int, int]:
    """Converts `"2/4"`, the second of four, to (1, 4), for argparse."""
    found = re.fullmatch(r"(\d+)/(\d+)", word)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"{word} is not a part; the second of four is 2/4")
    return int(found[1]) - 1, int(found[2])


def data_arguments(
    sub: argparse.ArgumentParser, split: str = "train", required: bool = True
) -> None:
    """Adds the songs and how they are rendered; `open_songs` opens them."""
    sub.add_argument(
        "--data",
        required=required,
        help="midi:DIR, pop909:DIR, composed:N, stems:DIR or tfds:NAME@DATA_DIR; + joins",
    )
    rendering_words(sub, split)


def rendering_words(sub: argparse.ArgumentParser, split: str | None = "train") -> None:
    """Adds options of rendering, and the split unless it is None; `rendering` reads the former."""
    if split is not None:
        sub.add_argument(
            "--split",
            default=split,
            choices=("train", "validation", "all"),
            help="which songs of the set",
        )
    sub.add_argument("--soundfont", action="append", default=[], help=".sf2 file; may be repeated")
    sub.add_argument("--variants", type=positive(int), default=1, help="renderings of every song")
    sub.add_argument("--cache", help="folder that keeps rendered songs")
    sub.add_argument(
        "--max-seconds", type=positive(float), default=120.0, help="songs are cut there"
    )


def rendering(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options of rendering, as arguments of `open_source`."""
    return {
        "soundfonts": arguments.soundfont,
        "variants": arguments.variants,
        "cache_dir": arguments.cache,
        "max_seconds": arguments.max_seconds,
    }


def open_songs(
    arguments: argparse.Namespace, feel: bool = False, drums_alone: bool = False
) -> Source:
    """The songs of `data_arguments`; see `open_source`."""
    from bassdiff.data.sources import open_source

    return open_source(
        arguments.data,
        arguments.split,
        **rendering(arguments),
        feel=feel,
        drums_alone=drums_alone,
    )
