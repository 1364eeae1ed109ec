"""Shards: the arrays of a few songs in one ArrayRecord file, from which crops can be read.

A record is a piece of one row of one field, as the array's bytes, protected by a checksum. The
index of a shard lies beside the file and is written last: a shard without one is incomplete.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

from bassdiff.runtime.atomic import atomic_file
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.strangers_json import parse_json
from bassdiff.runtime.text_files import read_text

# A crop of latents lies in one or two pieces.
PIECE_BYTES = 2**16
# Pieces are read at random and hardly compress.
_WRITING = "group_size:1,uncompressed"
_READING = "readahead_buffer_size:0,max_parallelism:0"


class Format(TypedDict):
    """Format of a field: arrays `[rows, frames, *shape]` of a dtype, in pieces of some frames."""

    dtype: str
    shape: list[int]
    piece_frames: int


class Index(TypedDict):
    """The index of a shard.

    Attributes:
      fields: Format of each field.
      num_frames: Length of each song; 0 for one that was left out.
      places: For each song and field, the first record and the number of rows, whose pieces follow
        one another row by row.
      left_out: Reason why a song is missing, by its position in the shard.
      sums: For each floating-point field, the number of values, their sum and the sum of their
        squares per channel, over rows and frames.
    """

    fields: dict[str, Format]
    num_frames: list[int]
    places: list[dict[str, list[int]]]
    left_out: dict[str, str]
    sums: dict[str, list[Any]]


class ShardWriter:
    """Writes the songs of a shard, in order."""

    def __init__(self, writer: ArrayRecordWriter) -> None:
        self._writer = writer
        self._num_records = 0
        self.index = Index(fields={}, num_frames=[], places=[], left_out={}, sums={})

    def leave_out(self, reason: str) -> None:
        """Records that the next song is missing."""
        self.index["left_out"][str(len(self.index["num_frames"]))] = reason
        self.index["num_frames"].append(0)
        self.index["places"].append({})

    def add(self, fields: Mapping[str, np.ndarray]) -> None:
        """Writes the next song: arrays `[rows, frames, ...]` of equal `frames` by field.

        Raises:
          ValueError: If fields differ in `frames`, or songs in the format of a field.
        """
        lengths = {values.shape[1] for values in fields.values()}
        if len(lengths) != 1:
            raise ValueError(f"fields of one song differ in length: {sorted(lengths)}")
        places = {}
        for name, values in fields.items():
            form = self._format(name, values)
            places[name] = [self._num_records, len(values)]
            step = form["piece_frames"]
            for row in values:
                for start in range(0, len(row), step):
                    self._writer.write(np.ascontiguousarray(row[start : start + step]).tobytes())
                    self._num_records += 1
            if values.dtype.kind == "f":
                flat = values.astype(np.float64).reshape(-1, *values.shape[2:])
                found = [len(flat), flat.sum(axis=0), np.square(flat).sum(axis=0)]
                add_sums(self.index["sums"], name, found)
        self.index["num_frames"].append(lengths.pop())
        self.index["places"].append(places)

    def _format(self, name: str, values: np.ndarray) -> Format:
        frame_bytes = values.dtype.itemsize * math.prod(values.shape[2:])
        form = Format(
            dtype=values.dtype.str,
            shape=list(values.shape[2:]),
            piece_frames=max(1, PIECE_BYTES // frame_bytes),
        )
        if self.index["fields"].setdefault(name, form) != form:
            raise ValueError(f"songs differ in the format of {name}")
        return form


def add_sums(sums: dict[str, list[Any]], name: str, found: Sequence[Any]) -> None:
    """Adds a field's number of frames, sum and sum of squares to the totals in `sums`."""
    before = sums.get(name, [0, 0.0, 0.0])
    total = [np.asarray(b) + f for b, f in zip(before, found, strict=True)]
    sums[name] = [value.tolist() for value in total]


@contextlib.contextmanager
def writing_shard(path: Path) -> Iterator[ShardWriter]:
    """Yields the writer of a shard that appears at `path`, with its index, after the block.

    Several processes may write the same shard: all versions are equal, and the last one stays.

    Raises:
      OSError: If the disk is full, or the file cannot be written.
    """
    aside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with _disk_faults_named(path):
            writer = ArrayRecordWriter(str(aside), _WRITING)
        try:
            shard = ShardWriter(writer)
            with _disk_faults_named(path):
                yield shard
        finally:
            with _disk_faults_named(path):
                writer.close()
        # After a power failure there must be no index without its shard.
        with open(aside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
        with atomic_file(index_path(path)) as file:
            file.write(json.dumps(shard.index).encode())
    finally:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def _disk_faults_named(path: Path) -> Iterator[None]:
    """Converts ArrayRecord's RuntimeError, raised for disk faults while writing, to OSError."""
    try:
        yield
    except RuntimeError as error:
        if "; writing " not in str(error):
            raise
        raise OSError(None, str(error).partition(";")[0].lower(), str(path)) from error


def index_path(path: Path) -> Path:
    """The path of a shard's index."""
    return path.with_suffix(".json")


def is_whole(path: Path) -> bool:
    """Whether a shard and its index exist."""
    return path.exists() and index_path(path).exists()


def read_index(path: Path) -> Index:
    """Reads the index of a complete shard.

    Raises:
      InputError: If it cannot be read.
    """
    try:
        return parse_json(read_text(index_path(path)))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{index_path(path)} cannot be read; delete it and run the command that made it again"
        ) from error


class ShardReader:
    """Reads pieces of a shard from any thread; each process opens the file at its first read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: ArrayRecordReader | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[ShardReader], tuple[Path]]:
        return ShardReader, (self._path,)

    def rows(
        self, form: Format, place: list[int], rows: range, total_frames: int, frames: range
    ) -> np.ndarray:
        """Reads rows of a field, `[len(rows), len(frames), *shape]`.

        Args:
          form: Format of the field.
          place: First record and number of rows of the song, see `Index`.
          rows: Rows to read.
          total_frames: Length of the song.
          frames: Frames to read, contiguous.

        Raises:
          InputError: If the shard is damaged.
        """
        step = form["piece_frames"]
        per_row = -(-total_frames // step)
        first, last = frames.start // step, -(-frames.stop // step)
        records = [place[0] + row * per_row + piece for row in rows for piece in range(first, last)]
        dtype, shape = np.dtype(form["dtype"]), tuple(form["shape"])
        pieces = [np.frombuffer(raw, dtype).reshape(-1, *shape) for raw in self._read(records)]
        count, skipped = last - first, first * step
        return np.stack(
            [
                np.concatenate(pieces[number * count : (number + 1) * count])[
                    frames.start - skipped : frames.stop - skipped
                ]
                for number in range(len(rows))
            ]
        )

    def _read(self, records: list[int]) -> list[bytes]:
        try:
            with self._lock:
                if self._reader is None:
                    self._reader = ArrayRecordReader(
                        str(self._path), _READING, file_reader_buffer_size=PIECE_BYTES
                    )
                return self._reader.read(records)
        except (RuntimeError, ValueError, IndexError) as error:
            reason = str(error).partition(";")[0]
            # A failed system call does not mean that the content is damaged.
            if "open() failed" in reason or "read() failed" in reason:
                raise InputError(f"{self._path} cannot be read ({reason}); try again") from error
            raise InputError(
                f"{self._path} is damaged ({reason}); delete it and run the command that made it "
                "again: only this shard is made again"
            ) from error
