"""Manifests that are tables: a line of JSON or CSV for each song."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import posixpath
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import fsspec

from bassdiff.batch.item import Item, check_id, control_files, is_url
from bassdiff.diffusion.settings import setting_fields
from bassdiff.inference.inputs import check_seed
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.strangers_json import parse_json

_JSON_SUFFIXES = (".jsonl", ".ndjson")
_TABLE_SUFFIXES = (*_JSON_SUFFIXES, ".csv")
_COMPRESSED = (".gz", ".bz2", ".xz")
# What a musician decides, as `Control` has it, and what cells of a table are read as.
_CONTROLS: dict[str, type] = {
    **dict.fromkeys(("chords", "key", "meter", "notes", "avoid_below", "avoid_above"), str),
    **dict.fromkeys(("bpm", "first_beat_seconds", "tuning_cents"), float),
}
_FIELDS = ("id", "mix", "style", "seed", "settings", *_CONTROLS, "notes_region")
_SETTINGS = tuple(field.name for field in setting_fields())


def is_table(name: str) -> bool:
    """Whether a name is that of a manifest, and not of audio."""
    stem, suffix = os.path.splitext(name.lower())
    return (stem if suffix in _COMPRESSED else name.lower()).endswith(_TABLE_SUFFIXES)


def read_table(table: str, path: Path) -> Iterator[Item]:
    """The songs of a table. Relative paths in it begin at its own folder.

    Args:
      table: Its path or URL.
      path: It, or a copy of it.

    Raises:
      InputError: It cannot be read, or a line cannot be used.
    """
    base = posixpath.dirname(table)
    stem = os.path.splitext(table.lower())[0]
    is_json = any(name.endswith(_JSON_SUFFIXES) for name in (table.lower(), stem))
    with _readable(table, path) as file:
        lines = _json_lines(table, file) if is_json else _csv_lines(table, file)
        for number, fields in lines:
            try:
                yield _item(fields, base)
            except InputError as error:
                raise InputError(f"{table}, line {number}: {error}") from error


@contextlib.contextmanager
def _readable(table: str, path: Path) -> Iterator[io.TextIOBase]:
    try:
        # A mark of the byte order, which spreadsheets write, is no part of the first field.
        with fsspec.open(str(path), "rt", compression="infer", encoding="utf-8-sig") as file:
            yield file
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError(
            f"{table}: cannot be read ({type(error).__name__}: {error}); name a table in UTF-8 "
            "that you may read"
        ) from error


def _json_lines(table: str, file: io.TextIOBase) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(file, 1):
        if line.isspace():
            continue
        try:
            fields = parse_json(line)
        except ValueError as error:
            reason = getattr(error, "msg", error)
            raise InputError(
                f"{table}, line {number}: is not JSON ({reason}); write one object a line"
            ) from error
        if not isinstance(fields, dict):
            raise InputError(f"{table}, line {number}: is not an object; write one object a line")
        yield number, fields


# What cells are read as, where it is not text.
_CELLS: tuple[tuple[str, Callable[[str], Any]], ...] = (
    *(("seed", int), ("settings", parse_json)),
    *((name, kind) for name, kind in _CONTROLS.items() if kind is float),
)


def _csv_lines(table: str, file: io.TextIOBase) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(file, restkey="", strict=True)
    try:
        for row in reader:
            if "" in row:
                raise InputError(
                    f"{table}, line {reader.line_num}: has more cells than the table has columns; "
                    "quote what holds a comma"
                )
            fields: dict[str, Any] = {name: cell for name, cell in row.items() if cell}
            for name, read in _CELLS:
                if name in fields:
                    # What is none of these is refused by its value, as in JSON.
                    with contextlib.suppress(ValueError):
                        fields[name] = read(fields[name])
            if "style" in fields:
                fields["style"] = fields["style"].split(";")
            yield reader.line_num, fields
    except csv.Error as error:
        raise InputError(
            f"{table}, line {reader.line_num}: is not CSV ({error}); export the table again"
        ) from error


def _item(fields: Mapping[str, Any], base: str) -> Item:
    for name in fields:
        if name not in _FIELDS:
            raise InputError(f"unknown field {name!r}; choose among {', '.join(_FIELDS)}")
    mix = fields.get("mix")
    if not isinstance(mix, str) or not mix:
        raise InputError("has no mix; give the path or URL of an audio file")
    styles = fields.get("style") or []
    styles = [styles] if isinstance(styles, str) else styles
    if not isinstance(styles, list) or not all(isinstance(x, str) and x for x in styles):
        raise InputError(f"style is {styles!r}; give a path or URL, or a list of them")
    seed = fields.get("seed")
    if seed is not None:
        check_seed(seed)
    control = _control(fields)
    for name in control_files(control):
        control[name] = _joined(base, control[name])
    return Item(
        check_id(fields["id"] if "id" in fields else _stem(mix)),
        _joined(base, mix),
        tuple(_joined(base, style) for style in styles),
        seed,
        _settings(fields.get("settings")),
        control,
    )


def _control(fields: Mapping[str, Any]) -> dict[str, Any]:
    names = fields.keys() & _CONTROLS.keys()
    for name in names:
        value = fields[name]
        kinds = (str,) if _CONTROLS[name] is str else (int, float)
        if not isinstance(value, kinds) or isinstance(value, bool):
            what = "text" if kinds == (str,) else "a number"
            raise InputError(f"{name} is {value!r}; give {what}")
    control = {name: fields[name] for name in sorted(names)}
    if "notes_region" in fields:
        control["notes_region"] = _region(fields["notes_region"])
    return control


def _region(given: Any) -> list[float]:
    try:
        start, end = given.split(":") if isinstance(given, str) else given
        return [float(start), float(end)]
    except (TypeError, ValueError):
        raise InputError(
            f"notes_region is {given!r}; give its start and end in seconds, as [8, 16] or 8:16"
        ) from None


def _settings(given: Any) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise InputError(f"settings are {given!r}; give an object, such as {{'steps': 30}}")
    for name in given:
        if name not in _SETTINGS:
            raise InputError(f"unknown setting {name!r}; choose among {', '.join(_SETTINGS)}")
    return given


def _joined(base: str, name: str) -> str:
    # Without the modules for paths, which would double the time that a million lines take.
    return name if not base or name.startswith("/") or is_url(name) else f"{base}/{name}"


def _stem(path: str) -> str:
    return posixpath.splitext(posixpath.basename(path))[0]
