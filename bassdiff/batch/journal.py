"""What became of every song: one row of JSON each, in `results-*.jsonl`. The row is the commit.

A song's files are published first and its row is written last. So a song without a row is played
again, and one whose files do not have the hashes of its row, too.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from bassdiff import __version__
from bassdiff.batch.item import Item, Part
from bassdiff.batch.order import Order
from bassdiff.batch.storage import Storage
from bassdiff.runtime.errors import InputError

START, END = "results-", ".jsonl"
OK, ERROR = "ok", "error"
# Remote files are written as a whole again with every row.
ROWS_PER_FILE = 256


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """What a row says of a song; small, for there may be a million.

    Attributes:
      is_ok: Whether it was played.
      fingerprint: Of what was asked.
      digests: SHA-256 of its files, in the order of `Order.files_of`.
    """

    is_ok: bool
    fingerprint: bytes
    digests: bytes

    def is_of(self, fingerprint: str) -> bool:
        """Whether it is of the same request."""
        return self.fingerprint == bytes.fromhex(fingerprint)


def row_of(
    item: Item,
    order: Order,
    digests: Mapping[str, str] | None = None,
    seconds: float | None = None,
    measures: Mapping[str, float] | None = None,
    error: str | None = None,
) -> dict[str, Any]:
    """What the journal says of a song.

    Args:
      item: The song.
      order: What was asked of it.
      digests: SHA-256 by file, of a song that was played.
      seconds: Its length, if it could be read.
      measures: Of its mix and bass.
      error: Why it was not played.
    """
    return {
        "id": item.id,
        "status": OK if error is None else ERROR,
        "mix": item.mix,
        "styles": list(item.styles),
        "paths": order.files_of(item) if error is None else {},
        "sha256": dict(digests or {}),
        "seconds": seconds,
        "seed": order.seed_of(item),
        "settings": order.settings_of(item),
        "control": dict(item.control),
        "weights": dict(order.about_weights),
        "fingerprint": order.fingerprint(item),
        "version": __version__,
        "measures": dict(measures or {}),
        "error": error,
    }


class Journal:
    """The rows of a job: those that are there, and those that one part adds."""

    def __init__(self, storage: Storage, part: Part) -> None:
        self._storage, self._part = storage, part
        numbers = [
            int(found[1])
            for name in storage.names(START, END)
            if (found := re.match(re.escape(START) + r"(\d+)-", name))
        ]
        # Never into a file of an earlier run, whose last line may be torn. And after all that are
        # there, however many parts they are of: the last row of a song counts.
        self._number = max(numbers, default=0) + 1
        self._rows_in_file = 0

    def known(self) -> dict[str, Known]:
        """What is known of this part's songs, by id; of several rows the last one counts."""
        return {
            row["id"]: Known(
                row["status"] == OK,
                bytes.fromhex(row["fingerprint"]),
                b"".join(bytes.fromhex(digest) for digest in row["sha256"].values()),
            )
            for row in read_rows(self._storage)
            if self._part.has(row["id"])
        }

    def add(self, row: Mapping[str, Any]) -> None:
        """Commits a row.

        Raises:
          InputError: The disk is full or cannot be written.
          StoreUnavailable: The store did not take it for long.
        """
        if self._rows_in_file == ROWS_PER_FILE:
            self._number, self._rows_in_file = self._number + 1, 0
        part = f"{self._part.index + 1}-of-{self._part.count}"
        name = f"{START}{self._number:06d}-{part}{END}"
        self._storage.append(name, json.dumps(row, allow_nan=False) + "\n")
        self._rows_in_file += 1


def read_rows(storage: Storage) -> Iterator[dict[str, Any]]:
    """All rows of all parts, a song's in the order they were written.

    Raises:
      InputError: A line is damaged.
    """
    for name in storage.names(START, END):
        for number, line in enumerate(storage.lines(name), 1):
            try:
                row = json.loads(line)
                row["id"], row["status"], row["fingerprint"], row["sha256"]
            except (ValueError, TypeError, KeyError) as error:
                raise InputError(
                    f"{name}, line {number}: is damaged; delete this line, and its song is played "
                    "again"
                ) from error
            yield row


def last_rows(storage: Storage) -> Iterator[dict[str, Any]]:
    """The row of every song that counts: its last one.

    Raises:
      InputError: A line is damaged, or there are none.
    """
    # Hashes, for a million ids would take more memory.
    last = {hash(row["id"]): number for number, row in enumerate(read_rows(storage))}
    if not last:
        raise InputError(
            f"{storage.url}: there are no results-*.jsonl; play some songs, or check --out"
        )
    for number, row in enumerate(read_rows(storage)):
        if last.get(hash(row["id"])) == number:
            yield row
