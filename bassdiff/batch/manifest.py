"""Which songs to play: a table with a line a song, a folder, a glob, or several files.

Nothing is kept but one line at a time, so a manifest may have millions. Everything is read twice:
once to check it before anything is played, and once to play it. A store that does not answer for a
while is waited for.
"""

from __future__ import annotations

import dataclasses
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence

import fsspec

from bassdiff.audio.folders import AUDIO_SUFFIXES
from bassdiff.batch.fetching import local_copy
from bassdiff.batch.item import Item, Part, check_id, is_url
from bassdiff.batch.manifest_lines import is_table, read_table
from bassdiff.batch.patience import Patience
from bassdiff.runtime.errors import InputError


class Manifest:
    """Songs that can be iterated again and again; see `open_manifest`."""

    def __init__(self, names: Sequence[str], stems: Mapping[str, str], patience: Patience) -> None:
        self._names, self._stems, self._patience = list(names), stems, patience

    def __iter__(self) -> Iterator[Item]:
        """Every song, in the order of the manifest.

        Raises:
          InputError: A line cannot be used, or a file or folder cannot be read.
          StoreUnavailable: A store did not answer for long.
        """
        for item in self._items():
            if not self._stems:
                yield item
            for name, style in self._stems.items():
                yield dataclasses.replace(item, id=check_id(f"{item.id}.{name}"), styles=(style,))

    def _items(self) -> Iterator[Item]:
        if len(self._names) == 1 and is_table(self._names[0]):
            with local_copy(self._names[0], None, self._patience) as path:
                yield from read_table(self._names[0], path)
            return
        for name in self._names:
            yield from _found(name, self._patience)

    def check(self, part: Part) -> int:
        """Reads all of it once; returns how many songs are in a part.

        Raises:
          InputError: A line cannot be used, two songs have one id, or there are none.
          StoreUnavailable: A store did not answer for long.
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


def open_manifest(
    names: Sequence[str], patience: Patience, stems_of: Sequence[str] = ()
) -> Manifest:
    """The songs that words of a command line mean.

    Args:
      names: One `.jsonl` or `.csv` table, perhaps compressed; or folders, globs and audio files.
        All may be URLs.
      patience: For a store that does not answer.
      stems_of: Bass recordings: every song becomes one for each, in its sound and with its name
        at the end of the id.

    Raises:
      InputError: A table stands beside other names, or recordings are missing or have one name.
    """
    if len(names) > 1 and any(is_table(name) for name in names):
        raise InputError("a manifest is a table by itself; name one table, or audio files only")
    stems: dict[str, str] = {}
    for style in stems_of:
        name = posixpath.splitext(posixpath.basename(style))[0]
        if name in stems:
            raise InputError(
                f"two recordings of --stems-of are called {name}, and so would be their files; "
                "rename one"
            )
        if not is_url(style) and not os.path.isfile(style):
            raise InputError(f"{style}: there is no such file; check the path")
        stems[name] = style if is_url(style) else os.path.abspath(style)
    return Manifest(names, stems, patience)


def _found(name: str, patience: Patience) -> Iterator[Item]:
    """The audio files that a folder, a glob or a file's name means."""
    path = name if is_url(name) else os.path.abspath(name)
    try:
        fs, inside = fsspec.url_to_fs(path)
        found = patience(name, lambda: _list(fs, inside, path))
    except (OSError, ImportError, ValueError) as error:
        raise InputError(
            f"{name}: cannot be read ({type(error).__name__}: {error}); name audio files that you "
            "may read"
        ) from error
    if found is None:
        raise InputError(f"{name}: there is no such file or folder; check the path")
    files, root = found
    for file in files:
        relative = posixpath.relpath(file, root) if root else posixpath.basename(file)
        if any(part.startswith(".") for part in relative.split("/")):
            # File managers leave `._song.wav`, which holds no audio.
            continue
        if posixpath.splitext(file)[1].lower() in AUDIO_SUFFIXES or file == path:
            yield Item(check_id(posixpath.splitext(relative)[0]), file)


def _list(fs: fsspec.AbstractFileSystem, root: str, path: str) -> tuple[list[str], str] | None:
    """Files, sorted, and the folder that their ids leave out; empty for that of each file."""
    if path.startswith(("http://", "https://")):
        return [path], ""
    scheme = path.partition("://")[0] + "://" if is_url(path) else ""

    def full(names: list[str]) -> list[str]:
        return sorted(scheme + name if scheme else name for name in names)

    # Not `exists` or `isdir`, which for some stores are false whatever went wrong.
    try:
        kind = fs.info(root)["type"]
    except FileNotFoundError:
        kind = None
    if kind == "directory":
        return full(fs.find(root)), scheme + root.rstrip("/")
    if kind is not None:
        return [path], ""
    if any(mark in root for mark in "*?["):
        fixed = root[: min(root.index(mark) for mark in "*?[" if mark in root)]
        matches = fs.glob(root, detail=True)
        files = [name for name, about in matches.items() if about["type"] != "directory"]
        return full(files), scheme + posixpath.dirname(fixed)
    return None
