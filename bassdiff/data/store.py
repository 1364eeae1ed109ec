"""Reads arrays of songs from the shards of a store, song by song or crop by crop.

A store is a folder of `shards` and a `manifest.json`; `store_building` makes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import resource
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bassdiff.data.manifest import manifest_fault
from bassdiff.data.shards import ShardReader
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.strangers_json import parse_json
from bassdiff.runtime.text_files import read_text

MANIFEST = "manifest.json"
# A killed job loses the shard it was writing, so shards are small. Training opens all of them at
# once, so there are at most a few hundred.
LEAST_SONGS, MOST_SHARDS = 16, 256


def contents(folders: Iterable[str | Path]) -> str:
    """16 hexadecimal digits that identify the contents of complete stores, in any place."""
    digest = hashlib.sha256()
    for folder in folders:
        with (Path(folder) / MANIFEST).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


class Store:
    """A complete store; can be read by many threads and pickled for other processes.

    Attributes:
      manifest: The store's origin, with `names`, `num_frames`, `left_out` (reasons by name) and
        `statistics` (`mean` and `std` per channel by field).
    """

    def __init__(self, folder: str | Path) -> None:
        """Opens `folder`.

        Raises:
          InputError: If it holds no complete store.
        """
        self._folder = Path(folder)
        try:
            self.manifest: dict[str, Any] = parse_json(read_text(self._folder / MANIFEST))
        except (OSError, ValueError) as error:
            if not self._folder.is_dir():
                raise InputError(f"{folder}: there is no such folder; check the path") from error
            raise InputError(
                f"{folder} holds no complete store ({MANIFEST} is missing or unreadable); "
                "run the command that makes it again, it resumes"
            ) from error
        if not isinstance(self.manifest, dict) or "places" not in self.manifest:
            raise InputError(
                f"{folder} was made by an earlier version; delete it and encode the songs again"
            )
        if fault := manifest_fault(self.manifest):
            raise InputError(f"{self._folder / MANIFEST}: {fault}; encode the songs again")
        _allow_many_files()
        self._shards = [ShardReader(path) for path in shard_paths(self._folder, len(self))]
        self._songs_per_shard = songs_per_shard(len(self))

    def __len__(self) -> int:
        return len(self.manifest["names"])

    def num_frames(self, song: int) -> int:
        """Length of a song along its arrays' second axis."""
        return self.manifest["num_frames"][song]

    def num_rows(self, song: int, field: str) -> int:
        """Length of a song's field along its first axis."""
        return self.manifest["places"][song][field][1]

    def read(self, song: int, field: str) -> np.ndarray:
        """The array `[rows, frames, ...]` of one song's field.

        Raises:
          InputError: If the shard that holds it is damaged.
        """
        rows = range(self.num_rows(song, field))
        return self._rows(song, field, rows, range(self.num_frames(song)))

    def crop(self, song: int, field: str, row: int, start: int, num_frames: int) -> np.ndarray:
        """A part `[num_frames, ...]` of one row, without reading the rest.

        Raises:
          InputError: If the shard that holds it is damaged.
        """
        frames = range(start, start + num_frames)
        return self._rows(song, field, range(row, row + 1), frames)[0]

    def _rows(self, song: int, field: str, rows: range, frames: range) -> np.ndarray:
        return self._shards[song // self._songs_per_shard].rows(
            self.manifest["fields"][field],
            self.manifest["places"][song][field],
            rows,
            self.num_frames(song),
            frames,
        )


def _allow_many_files() -> None:
    """Raises this process's limit of open files: a mixture has many shards."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def songs_per_shard(num_songs: int) -> int:
    """Number of songs in each shard, except the last, of a store of `num_songs`."""
    return max(LEAST_SONGS, -(-num_songs // MOST_SHARDS))


def shard_paths(folder: Path, num_songs: int) -> list[Path]:
    """Paths of a store's shards, in the order of their songs."""
    count = -(-num_songs // songs_per_shard(num_songs))
    return [folder / f"shard-{n:05}-of-{count:05}.array_record" for n in range(count)]
