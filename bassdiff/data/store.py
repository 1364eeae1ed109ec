"""Arrays of songs on disk, in shards: what training reads crops from.

A store is a folder of `shards` and a `manifest.json`, which is written last: a store without one
is incomplete and is resumed, provided that `manifest.json.begun`, written first, tells of the same
origin.
"""

from __future__ import annotations

import contextlib
import json
import resource
import time
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from bassdiff.data.shards import (
    Index,
    ShardReader,
    ShardWriter,
    add_sums,
    is_whole,
    read_index,
    writing_shard,
)
from bassdiff.runtime.atomic import atomic_file
from bassdiff.runtime.errors import InputError, UnusableSong
from bassdiff.synthesis.stems import Source

MANIFEST = "manifest.json"
BEGUN = MANIFEST + ".begun"
# A shard is what is lost when a job is killed, and what a host makes at a time: a few songs. But
# every process that trains has all shards open, which is possible for some hundreds.
LEAST_SONGS, MOST_SHARDS = 16, 256
STALE_SECONDS = 3600

Make: TypeAlias = Callable[[Source, int, np.random.Generator], Mapping[str, np.ndarray]]


class Store:
    """A finished store; may be read by many threads, and pickled for other processes.

    Attributes:
      manifest: What was written about the store's origin, with `names`, `num_frames`,
        `left_out` (reasons by name) and `statistics` (`mean` and `std` per channel by field).
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
        if "places" not in self.manifest:
            raise InputError(
                f"{folder} was made by an earlier version; delete it and encode the songs again"
            )
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
    """Lets this process have as many open files as it may: a mixture has many shards."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def songs_per_shard(num_songs: int) -> int:
    """How many songs a shard has, but for the last, in a store of so many."""
    return max(LEAST_SONGS, -(-num_songs // MOST_SHARDS))


def shard_paths(folder: Path, num_songs: int) -> list[Path]:
    """Where the shards of a store are, in the order of their songs."""
    count = -(-num_songs // songs_per_shard(num_songs))
    return [folder / f"shard-{n:05}-of-{count:05}.array_record" for n in range(count)]


def build(
    folder: str | Path,
    source: Source,
    make: Make,
    manifest: Mapping[str, Any],
    seed: int,
    progress: Callable[[Sequence[int]], Any] = iter,
) -> Store:
    """Makes a store from every song of a source, or finishes one that was interrupted.

    See `build_part`, of whose parts this is the only one.
    """
    build_part(folder, source, make, manifest, seed, progress)
    return Store(folder)


def build_part(
    folder: str | Path,
    source: Source,
    make: Make,
    manifest: Mapping[str, Any],
    seed: int,
    progress: Callable[[Sequence[int]], Any] = iter,
    part: tuple[int, int] = (0, 1),
) -> bool:
    """Makes those shards of a store that are a host's part, or what of them is missing.

    Whoever finds all shards there completes the store. Nothing is agreed upon: parts may be made
    at any time, by any number of hosts that see one folder, and by other numbers after a restart.

    Args:
      folder: Where it goes; created.
      source: The songs.
      make: Turns the song of an index into fields `[rows, frames, ...]` of equal `frames`;
        its generator is seeded by the song's name, so a store that was resumed, or made in parts,
        equals any other, and a song's arrays do not depend on which others there are.
        Where it raises `UnusableSong`, the song is left out with a warning, and named in the
        manifest.
      manifest: Recorded beside the names, everything that decides what is stored; a store made
        with another one is refused.
      seed: Root of the generators.
      progress: Wraps the numbers of the songs that are to be made, as tqdm does.
      part: (p, n): every n-th shard from the p-th on, counted from 0.

    Returns:
      Whether the store is complete.

    Raises:
      InputError: If the folder holds a store of another origin or cannot be written, two songs
        have one name, or no song has a bass.
    """
    folder = Path(folder)
    names = list(source.names)
    # As JSON gives it back, so that it compares equal to what is on disk.
    wanted = json.loads(json.dumps({**manifest, "seed": seed, "names": names}))
    for path in (folder / MANIFEST, folder / BEGUN):
        if path.exists():
            _check_origin(path, wanted)
    if not names:
        raise InputError("there are no songs to store; check the source")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two songs are called {twice}; rename one, or store them apart")
    paths = shard_paths(folder, len(names))
    if (folder / MANIFEST).exists() and all(map(is_whole, paths)):
        return True
    mine = range(part[0], len(paths), part[1])
    missing = [number for number in mine if not is_whole(paths[number])]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / MANIFEST).exists():
            _write_json(folder / BEGUN, wanted)
        songs = {n: _songs_of(n, len(names)) for n in missing}
        steps = iter(progress([song for shard in songs.values() for song in shard]))
        for number, shard in songs.items():
            with writing_shard(paths[number]) as writer:
                for _ in shard:
                    song = next(steps)
                    rng = np.random.default_rng((seed, zlib.crc32(names[song].encode())))
                    _add(writer, source, song, make, rng)
        # For a bar to know that it has ended.
        next(steps, None)
        if not all(map(is_whole, paths)):
            return False
        joined = _joined(folder, [read_index(path) for path in paths], names)
        _write_json(folder / MANIFEST, {**wanted, **joined})
        for path in folder.glob(".*.part"):
            # What processes that were killed have left, and not what one is still writing.
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - STALE_SECONDS:
                    path.unlink()
        (folder / BEGUN).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}; free or change it") from (
            error
        )
    return True


def _songs_of(shard: int, num_songs: int) -> range:
    size = songs_per_shard(num_songs)
    return range(shard * size, min((shard + 1) * size, num_songs))


def _add(
    writer: ShardWriter, source: Source, song: int, make: Make, rng: np.random.Generator
) -> None:
    try:
        fields = make(source, song, rng)
    except UnusableSong as error:
        warnings.warn(f"left out: {error}", stacklevel=2)
        writer.leave_out(str(error))
        return
    except OSError as error:
        raise InputError(f"{source.names[song]} cannot be read: {error}; check its files") from (
            error
        )
    writer.add(fields)


def _joined(folder: Path, indices: Sequence[Index], names: Sequence[str]) -> dict[str, Any]:
    """What all shards hold together."""
    fields: dict[str, Any] = {}
    sums: dict[str, list[Any]] = {}
    left_out = {}
    for number, index in enumerate(indices):
        for name, form in index["fields"].items():
            if fields.setdefault(name, form) != form:
                raise InputError(
                    f"{folder} has shards of different formats, perhaps of two versions; delete it "
                    "and start again"
                )
        for name, found in index["sums"].items():
            add_sums(sums, name, found)
        for place, reason in index["left_out"].items():
            left_out[names[number * songs_per_shard(len(names)) + int(place)]] = reason
    if len(left_out) == len(names):
        raise InputError(f"no song can be stored; the first: {next(iter(left_out.values()))}")
    return {
        "num_frames": [length for index in indices for length in index["num_frames"]],
        "left_out": left_out,
        "statistics": {name: _moments(*map(np.asarray, found)) for name, found in sums.items()},
        "fields": fields,
        "places": [place for index in indices for place in index["places"]],
    }


def _moments(count: np.ndarray, total: np.ndarray, squares: np.ndarray) -> dict[str, Any]:
    mean = total / count
    variance = np.maximum(squares / count - np.square(mean), 0.0)
    return {"mean": mean.tolist(), "std": np.sqrt(variance).tolist()}


def _check_origin(path: Path, wanted: Mapping[str, Any]) -> None:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        # Another process has just completed the store.
        return
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read; delete the folder and start again") from error
    for key, value in wanted.items():
        if found.get(key) != value:
            raise InputError(
                f"{path.parent} was made with another {key}; choose another folder or delete it"
            )


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    with atomic_file(path) as file:
        file.write(json.dumps(values).encode())
