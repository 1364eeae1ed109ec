"""Arrays of songs on disk, memory-mapped: what training reads crops from.

A store is a folder with one `.npy` per song and field, all `[rows, frames, ...]`, and a
`manifest.json` that is written last: a store without one is incomplete and is resumed, provided
that `manifest.json.begun`, written first, tells of the same origin.
"""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from bassdiff.audio.atomic import atomic_file
from bassdiff.data.stems import Source
from bassdiff.errors import InputError, SilentSong

MANIFEST = "manifest.json"
BEGUN = MANIFEST + ".begun"
# numpy reads a header as a Python literal, and Python 3.11's parser is not safe among threads
# (github.com/python/cpython/issues/106905): a run was seen to die of it.
_HEADERS = threading.Lock()

Make: TypeAlias = Callable[[Source, int, np.random.Generator], Mapping[str, np.ndarray]]


class Store:
    """A finished store.

    Attributes:
      manifest: What was written about the store's origin, with `names` and `num_frames`.
    """

    def __init__(self, folder: str | Path) -> None:
        """Opens `folder`.

        Raises:
          InputError: If it holds no complete store.
        """
        self._folder = Path(folder)
        try:
            self.manifest: dict[str, Any] = json.loads((self._folder / MANIFEST).read_text())
        except (OSError, ValueError) as error:
            if not self._folder.is_dir():
                raise InputError(f"{folder}: there is no such folder; check the path") from error
            raise InputError(
                f"{folder} holds no complete store ({MANIFEST} is missing or unreadable); "
                "run the command that makes it again, it resumes"
            ) from error

    def __len__(self) -> int:
        return len(self.manifest["names"])

    def num_frames(self, song: int) -> int:
        """Length of a song along its arrays' second axis."""
        return self.manifest["num_frames"][song]

    def read(self, song: int, field: str) -> np.ndarray:
        """The memory-mapped array `[rows, frames, ...]` of one song's field."""
        path = _path(self._folder, self.manifest["names"][song], field)
        with _HEADERS:
            return np.load(path, mmap_mode="r")


def build(
    folder: str | Path,
    source: Source,
    make: Make,
    manifest: Mapping[str, Any],
    seed: int,
    progress: Callable[[range], Any] = iter,
) -> Store:
    """Makes a store from every song of a source, or finishes one that was interrupted.

    Args:
      folder: Where it goes; created.
      source: The songs.
      make: Turns the song of an index into fields `[rows, frames, ...]` of equal `frames`;
        its generator is seeded by the index, so a resumed store equals an uninterrupted one.
        Songs without a bass are left out with a warning.
      manifest: Recorded beside the names, everything that decides what is stored; a store made
        with another one is refused.
      seed: Root of the generators.
      progress: Wraps the range of songs, as tqdm does.

    Returns:
      The finished store.

    Raises:
      InputError: If the folder holds a store of another origin or cannot be written.
    """
    folder = Path(folder)
    # As JSON gives it back, so that it compares equal to what is on disk.
    wanted = json.loads(json.dumps({**manifest, "seed": seed, "names": source.names}))
    for path in (folder / MANIFEST, folder / BEGUN):
        if path.exists():
            _check_origin(path, wanted)
    if (folder / MANIFEST).exists():
        return Store(folder)
    if len(set(source.names)) < len(source.names):
        twice = next(name for name in source.names if source.names.count(name) > 1)
        raise InputError(f"two songs are called {twice}; rename one, or store them apart")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_json(folder / BEGUN, wanted)
        num_frames = []
        for song in progress(range(len(source))):
            name = wanted["names"][song]
            length = _length(folder, name)
            if length is None:
                length = _store(folder, name, source, song, make, seed)
                _write(_path(folder, name, "done"), np.asarray(length))
            num_frames.append(length)
        _write_json(folder / MANIFEST, {**wanted, "num_frames": num_frames})
        (folder / BEGUN).unlink()
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}; free or change it") from (
            error
        )
    return Store(folder)


def _store(folder: Path, name: str, source: Source, song: int, make: Make, seed: int) -> int:
    """Stores one song and returns its frames; a silent one is left out, with 0 frames."""
    try:
        fields = make(source, song, np.random.default_rng((seed, song)))
    except SilentSong as error:
        warnings.warn(f"left out: {error}", stacklevel=2)
        return 0
    for field, values in fields.items():
        _write(_path(folder, name, field), values)
    return next(iter(fields.values())).shape[1]


def _check_origin(path: Path, wanted: Mapping[str, Any]) -> None:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read; delete the folder and start again") from error
    for key, value in wanted.items():
        if found.get(key) != value:
            raise InputError(
                f"{path.parent} was made with another {key}; choose another folder or delete it"
            )


def _path(folder: Path, name: str, field: str) -> Path:
    return folder / f"{name}.{field}.npy"


def _length(folder: Path, name: str) -> int | None:
    path = _path(folder, name, "done")
    return int(np.load(path)) if path.exists() else None


def _write(path: Path, values: np.ndarray) -> None:
    with atomic_file(path) as file:
        np.save(file, values)


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    with atomic_file(path) as file:
        file.write(json.dumps(values, indent=1).encode())
