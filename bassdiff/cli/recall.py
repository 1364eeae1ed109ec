"""Repeats and describes basses from their records: `generate --like` and `info`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bassdiff.cli.control import region
from bassdiff.cli.printing import say
from bassdiff.diffusion.settings import KINDS, setting_fields
from bassdiff.runtime.errors import InputError, printable

# These decide where a bass is written, not which one.
_OUTPUTS = (
    "verb",
    "overrides",
    "out",
    "mixdown",
    "plot",
    "midi",
    "overwrite",
    "variations",
    "like",
)
_LISTS: dict[str, type] = {"style": str, "style_weight": float, "style_from": float}
_TEXTS = (
    *("mix", "edit", "continuing", "vary", "retimbre", "region", "weights", "adapter"),
    *("chords", "key", "meter", "notes", "notes_region", "avoid_below", "avoid_above"),
)
_NUMBERS = (
    *("strength", "first_beat_seconds", "tuning_cents"),
    *("quantise", "bass_lufs", "gain_db"),
)
_COUNTS = ("seed", "loop")
# Options that are files, if there is one of that name.
_FILES = (
    "mix",
    "style",
    "edit",
    "continuing",
    "vary",
    "retimbre",
    "adapter",
    "chords",
    "notes",
    "bpm",
)


def words_of(arguments: argparse.Namespace, defaults: argparse.Namespace) -> dict[str, Any]:
    """The options of `generate` that decide the bass and differ from their defaults."""
    return {
        name: value
        for name, value in vars(arguments).items()
        if name not in _OUTPUTS and value != getattr(defaults, name, None)
    }


def recalled(arguments: argparse.Namespace, defaults: argparse.Namespace) -> argparse.Namespace:
    """The options of `generate --like FILE`: those that made the file, and those that were given.

    Raises:
      InputError: The file has no record, or one of its inputs is missing or has changed.
    """
    from bassdiff.inference.record import file_hash, read_record

    like = Path(arguments.like)
    record = read_record(like)
    if fault := words_fault(record["words"]):
        raise InputError(f"{like}: {fault} in its record; give the options themselves")
    words = dict(vars(arguments))
    for name, value in record["words"].items():
        if name in _OUTPUTS or words.get(name) != getattr(defaults, name, None):
            continue
        listed = value if isinstance(value, list) else [value]
        if name in _FILES:
            for number, given in enumerate(listed):
                if not isinstance(given, str):
                    continue
                wanted = record["files"].get(given, record["files"].get(str(Path(given))))
                if wanted is None:
                    continue
                listed[number] = _find(given, like)
                if file_hash(listed[number]) != wanted:
                    raise InputError(
                        f"{listed[number]} is not the file that {like} was made from; give the "
                        f"original, or --{name} to make another bass"
                    )
        words[name] = listed if isinstance(value, list) else listed[0]
    made_with = {name: record["words"].get(name) for name in ("weights", "adapter")}
    made_with["weights"] = made_with["weights"] or defaults.weights
    is_same = words["weights"] == made_with["weights"] and bool(words["adapter"]) == bool(
        made_with["adapter"]
    )
    words["expected_weights"] = record["weights"] if is_same else None
    words["rows"] = record.get("rows")
    return argparse.Namespace(**words)


def words_fault(words: Mapping[str, Any]) -> str | None:
    """A clause that describes the first option of a record that is none; None if all are."""
    kinds: dict[str, type] = {field.name: KINDS[str(field.type)] for field in setting_fields()}
    kinds |= {**dict.fromkeys(_TEXTS, str), **dict.fromkeys(_NUMBERS, float)}
    kinds |= dict.fromkeys(_COUNTS, int)
    # A tempo is a number, a file or `auto`.
    kinds["bpm"] = str if isinstance(words.get("bpm"), str) else float
    for name, value in words.items():
        listed = value if name in _LISTS and isinstance(value, list) else [value]
        kind = (_LISTS | kinds).get(name)
        if kind is None and name not in _OUTPUTS:
            return f"{name!r} is no option"
        if kind is not None and not all(_is_of(kind, part) for part in listed):
            return f"{name} is {str(value)[:40]!r}"
        if name in ("region", "notes_region"):
            try:
                region(value)
            except argparse.ArgumentTypeError as error:
                return str(error)
    return None


def _is_of(kind: type, value: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is kind


def describe(record: dict[str, Any]) -> list[str]:
    """The lines in which `info` shows a record."""
    weights, heard, words = record["weights"], record.get("heard", {}), record["words"]
    known = record.get("settings", {})
    settings = [f"{name} {value}" for name, value in known.items() if value != []]
    lines = {
        "made by": f"bassdiff {record['bassdiff']}",
        "seed": record["seed"],
        "weights": ", ".join(f"{name} {value}" for name, value in weights.items()),
        "options": ", ".join(f"{name} {value}" for name, value in words.items()) or "none",
        **({"settings": ", ".join(settings)} if settings else {}),
        "files": ", ".join(f"{name} ({digest[:12]})" for name, digest in record["files"].items()),
        **{name.replace("_", " "): value for name, value in heard.items()},
    }
    if "date" in record:
        lines["date"] = record["date"]
    return [printable(f"{name:<13} {value}") for name, value in lines.items()]


def info(arguments: argparse.Namespace) -> None:
    """Shows how a bass was made, and how to make it again."""
    from bassdiff.inference.record import read_record

    record = read_record(Path(arguments.bass))
    if arguments.json:
        say(json.dumps(record, indent=1))
        return
    say("\n".join(describe(record)))
    print(f"to make it again: bassdiff generate --like {arguments.bass}", file=sys.stderr)


def info_words(sub: argparse.ArgumentParser) -> None:
    """Adds the options of `info`."""
    sub.add_argument("bass", metavar="FILE", help="a bass that was generated, or its .json")
    sub.add_argument("--json", action="store_true", help="all of it, as JSON")


def _find(given: str, like: Path) -> str:
    """A file where it was, or beside the bass that was made from it."""
    for path in (Path(given), like.parent / Path(given).name):
        if path.is_file():
            return str(path)
    raise InputError(f"{given}, from which {like} was made, is not there; give its new place")
