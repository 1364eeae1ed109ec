"""Which songs to play: a table with a line a song, a folder, a glob, or several files.

Nothing is kept but one line at a time, so a manifest may have millions. Everything is read twice:
once to check it before anything is played, and once to play it.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import os
import posixpath
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import fsspec

from bassdiff.audio.folders import AUDIO_SUFFIXES
from bassdiff.diffusion.settings import setting_fields
from bassdiff.inference.inputs import check_seed
from bassdiff.runtime.errors import InputError

_JSON_SUFFIXES = (".jsonl", ".ndjson")
_TABLE_SUFFIXES = (*_JSON_SUFFIXES, ".csv")
_COMPRESSED = (".gz", ".bz2", ".xz")
# What a musician decides, as `Control` has it, and what cells of a table are read as.
_CONTROLS: dict[str, type] = {
    **dict.fromkeys(("chords", "key", "meter", "avoid_below", "avoid_above"), str),
    **dict.fromkeys(("bpm", "first_beat_seconds", "tuning_cents"), float),
}
_FIELDS = ("id", "mix", "style", "seed", "settings", *_CONTROLS)
_SETTINGS = tuple(field.name for field in setting_fields())
# An id is a part of file names, to which suffixes are added.
_MAX_ID_BYTES = 200


@dataclasses.dataclass(frozen=True)
class Item:
    """One song to play to.

    Attributes:
      id: Its name among all songs, which its files have too.
      mix: Path or URL of the mix.
      styles: Paths or URLs of bass recordings whose sound to take; several are blended.
      seed: Of the noise; None for one that the id decides.
      settings: Fields of `Sampling` by name.
      control: Fields of `Control` by name: chords, a key and the like.
    """

    id: str
    mix: str
    styles: tuple[str, ...] = ()
    seed: int | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    control: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Part:
    """One of `count` parts of a manifest, counted from 0. An id decides which part has a song."""

    index: int = 0
    count: int = 1

    def __str__(self) -> str:
        """As people count: `part 1 of 4`."""
        return f"part {self.index + 1} of {self.count}"

    def has(self, song_id: str) -> bool:
        """Whether the song is in this part, whatever the order or number of the others."""
        return zlib.crc32(song_id.encode()) % self.count == self.index


class Manifest:
    """Songs that can be iterated again and again; see `open_manifest`."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)

    def __iter__(self) -> Iterator[Item]:
        """Every song, in the order of the manifest.

        Raises:
          InputError: A line cannot be used, or a file or folder cannot be read.
        """
        if len(self._names) == 1 and is_table(self._names[0]):
            yield from _rows(self._names[0])
            return
        for name in self._names:
            yield from _found(name)

    def check(self, part: Part) -> int:
        """Reads all of it once; returns how many songs are in a part.

        Raises:
          InputError: A line cannot be used, two songs have one id, or there are none.
        """
        # Whole ids of a million songs would take more memory than playing them.
        seen: set[int] = set()
        count = 0
        for item in self:
            digest = hash(item.id)
            if digest in seen:
                raise InputError(
                    f"two songs have the id {item.id!r}; give each song in a manifest an id of its "
                    "own"
                )
            seen.add(digest)
            count += part.has(item.id)
        if not seen:
            raise InputError(f"{', '.join(self._names)}: there are no songs; name some audio files")
        return count


def open_manifest(names: Sequence[str]) -> Manifest:
    """The songs that words of a command line mean.

    Args:
      names: One `.jsonl` or `.csv` table, perhaps compressed; or folders, globs and audio files.
        All may be URLs.

    Raises:
      InputError: A table stands beside other names.
    """
    if len(names) > 1 and any(is_table(name) for name in names):
        raise InputError("a manifest is a table by itself; name one table, or audio files only")
    return Manifest(names)


def is_table(name: str) -> bool:
    """Whether a name is that of a manifest, and not of audio."""
    stem, suffix = os.path.splitext(name.lower())
    return (stem if suffix in _COMPRESSED else name.lower()).endswith(_TABLE_SUFFIXES)


def is_url(name: str) -> bool:
    """Whether a name says how to reach it, as `s3://bucket/song.wav` does."""
    return "://" in name


def _rows(table: str) -> Iterator[Item]:
    """The songs of a table. Relative paths in it begin at its own folder."""
    base = posixpath.dirname(table)
    stem = os.path.splitext(table.lower())[0]
    is_json = any(name.endswith(_JSON_SUFFIXES) for name in (table.lower(), stem))
    with _readable(table) as file:
        lines = _json_lines(table, file) if is_json else _csv_lines(table, file)
        for number, fields in lines:
            try:
                yield _item(fields, base)
            except InputError as error:
                raise InputError(f"{table}, line {number}: {error}") from error


@contextlib.contextmanager
def _readable(table: str) -> Iterator[io.TextIOBase]:
    try:
        # A mark of the byte order, which spreadsheets write, is no part of the first field.
        with fsspec.open(table, "rt", compression="infer", encoding="utf-8-sig") as file:
            yield file
    except InputError:
        raise
    except (OSError, ImportError, ValueError) as error:
        raise InputError(
            f"{table}: cannot be read ({type(error).__name__}: {error}); name a table in UTF-8 "
            "that you may read"
        ) from error


def _json_lines(table: str, file: io.TextIOBase) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(file, 1):
        if line.isspace():
            continue
        try:
            fields = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"{table}, line {number}: is not JSON ({error.msg}); write one object a line"
            ) from error
        if not isinstance(fields, dict):
            raise InputError(f"{table}, line {number}: is not an object; write one object a line")
        yield number, fields


# What cells are read as, where it is not text.
_CELLS: tuple[tuple[str, Callable[[str], Any]], ...] = (
    *(("seed", int), ("settings", json.loads)),
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
    return Item(
        check_id(fields["id"] if "id" in fields else _stem(mix)),
        _joined(base, mix),
        tuple(_joined(base, style) for style in styles),
        seed,
        _settings(fields.get("settings")),
        _control(fields),
    )


def _control(fields: Mapping[str, Any]) -> dict[str, str | float]:
    names = fields.keys() & _CONTROLS.keys()
    for name in names:
        value = fields[name]
        kinds = (str,) if _CONTROLS[name] is str else (int, float)
        if not isinstance(value, kinds) or isinstance(value, bool):
            what = "text" if kinds == (str,) else "a number"
            raise InputError(f"{name} is {value!r}; give {what}")
    return {name: fields[name] for name in sorted(names)}


def _settings(given: Any) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise InputError(f"settings are {given!r}; give an object, such as {{'steps': 30}}")
    for name in given:
        if name not in _SETTINGS:
            raise InputError(f"unknown setting {name!r}; choose among {', '.join(_SETTINGS)}")
    return given


def check_id(song_id: Any) -> str:
    """An id that file names may be made of.

    Raises:
      InputError: It is not text, too long, or would lead out of the folder.
    """
    if isinstance(song_id, int) and not isinstance(song_id, bool):
        song_id = str(song_id)
    if (
        not isinstance(song_id, str)
        or not song_id.isprintable()
        or "\\" in song_id
        or not {"", ".", ".."}.isdisjoint(song_id.split("/"))
        or len(song_id.encode()) > _MAX_ID_BYTES
    ):
        raise InputError(
            f"the id {song_id!r} cannot be a file's name; use up to {_MAX_ID_BYTES} bytes of "
            "letters and digits, with / for folders"
        )
    return song_id


def _found(name: str) -> Iterator[Item]:
    """The audio files that a folder, a glob or a file's name means."""
    path = name if is_url(name) else os.path.abspath(name)
    try:
        files, root = _list(path)
    except InputError:
        raise
    except (OSError, ImportError, ValueError) as error:
        raise InputError(
            f"{name}: cannot be read ({type(error).__name__}: {error}); name audio files that you "
            "may read"
        ) from error
    for file in files:
        relative = posixpath.relpath(file, root) if root else posixpath.basename(file)
        if any(part.startswith(".") for part in relative.split("/")):
            # File managers leave `._song.wav`, which holds no audio.
            continue
        if posixpath.splitext(file)[1].lower() in AUDIO_SUFFIXES or file == path:
            yield Item(check_id(posixpath.splitext(relative)[0]), file)


def _list(path: str) -> tuple[list[str], str]:
    """Files, sorted, and the folder that their ids leave out; empty for that of each file."""
    if path.startswith(("http://", "https://")):
        return [path], ""
    fs, root = fsspec.url_to_fs(path)
    scheme = path.partition("://")[0] + "://" if is_url(path) else ""

    def full(names: list[str]) -> list[str]:
        return sorted(scheme + name if scheme else name for name in names)

    if any(mark in root for mark in "*?[") and not fs.exists(root):
        fixed = root[: min(root.index(mark) for mark in "*?[" if mark in root)]
        matches = [name for name in fs.glob(root) if not fs.isdir(name)]
        return full(matches), scheme + posixpath.dirname(fixed)
    if fs.isdir(root):
        return full(fs.find(root)), scheme + root.rstrip("/")
    if not fs.exists(root):
        raise InputError(f"{path}: there is no such file or folder; check the path")
    return [path], ""


def _joined(base: str, name: str) -> str:
    # Without the modules for paths, which would double the time that a million lines take.
    return name if not base or name.startswith("/") or is_url(name) else f"{base}/{name}"


def _stem(path: str) -> str:
    return posixpath.splitext(posixpath.basename(path))[0]
