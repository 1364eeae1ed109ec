"""Makes stores from sources of songs, shard by shard, resumably and on any number of hosts.

The manifest is written last: a store without one is incomplete, and is resumed if
`manifest.json.begun`, which is written first, records the same origin.
"""

from __future__ import annotations

import contextlib
import json
import time
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from bassdiff.data.shards import Index, ShardWriter, add_sums, is_whole, read_index, writing_shard
from bassdiff.data.store import MANIFEST, shard_paths, songs_per_shard
from bassdiff.runtime.atomic import atomic_file
from bassdiff.runtime.errors import InputError, UnusableSong
from bassdiff.runtime.strangers_json import parse_json
from bassdiff.runtime.text_files import read_text
from bassdiff.synthesis.stems import Source

BEGUN = MANIFEST + ".begun"
STALE_SECONDS = 3600

Make: TypeAlias = Callable[[Source, int, np.random.Generator], Mapping[str, np.ndarray]]


def build(
    folder: str | Path,
    source: Source,
    make: Make,
    manifest: Mapping[str, Any],
    seed: int,
    progress: Callable[[Sequence[int]], Any] = iter,
    part: tuple[int, int] = (0, 1),
) -> bool:
    """Makes the missing shards of a store, or of one part of it.

    The part that finds all shards present completes the store. Parts need no coordination: they
    may run at any time, on any number of hosts that share the folder, and their number may change
    after a restart.

    Args:
      folder: The store's folder; created.
      source: The songs.
      make: Turns the song of an index into fields `[rows, frames, ...]` of equal `frames`. Its
        generator is seeded by the song's name, so a song's arrays depend neither on the other
        songs nor on interruptions and parts. A song for which it raises `UnusableSong` is left
        out with a warning and named in the manifest.
      manifest: Everything that decides what is stored, recorded beside the names; a store made
        with another one is refused.
      seed: Root of the generators.
      progress: Wraps the numbers of the songs to make, as tqdm does.
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
                    # Names of files need not be text.
                    name = names[song].encode(errors="surrogatepass")
                    rng = np.random.default_rng((seed, zlib.crc32(name)))
                    _add(writer, source, song, make, rng)
        # A progress bar ends with its iterator.
        next(steps, None)
        if not all(map(is_whole, paths)):
            return False
        joined = _joined(folder, [read_index(path) for path in paths], names)
        _write_json(folder / MANIFEST, {**wanted, **joined})
        for path in folder.glob(".*.part"):
            # Left by killed processes; files of running ones are newer.
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
    """The manifest entries that combine all shards."""
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
        found = parse_json(read_text(path))
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
