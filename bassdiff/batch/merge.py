"""One table of all rows: Parquet where pyarrow is, CSV elsewhere."""

from __future__ import annotations

import csv
import importlib.util
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bassdiff.batch.journal import read_rows
from bassdiff.batch.storage import Storage
from bassdiff.runtime.errors import InputError

# What rows have one value of; all else is JSON.
_PLAIN = {
    **dict.fromkeys(("id", "status", "mix"), "string"),
    "seconds": "float64",
    "seed": "int64",
    **dict.fromkeys(("fingerprint", "version", "error"), "string"),
}
_NESTED = ("paths", "sha256", "settings", "weights", "measures")
_ROWS_AT_ONCE = 10_000


def merge(storage: Storage) -> tuple[str, int]:
    """Writes the last row of every song into one table.

    Returns:
      The table's name below the folder, and how many rows it has.

    Raises:
      InputError: There are no rows, a row is damaged, or the table cannot be written.
    """
    # Hashes, for a million ids would take more memory.
    last = {hash(row["id"]): number for number, row in enumerate(read_rows(storage))}
    if not last:
        raise InputError(
            f"{storage.url}: there are no results-*.jsonl; play some songs, or check --out"
        )

    def rows() -> Iterator[dict[str, Any]]:
        for number, row in enumerate(read_rows(storage)):
            if last.get(hash(row["id"])) == number:
                yield {
                    **{name: row.get(name) for name in _PLAIN},
                    **{name: json.dumps(row.get(name)) for name in _NESTED},
                }

    has_parquet = importlib.util.find_spec("pyarrow") is not None
    name = "results.parquet" if has_parquet else "results.csv"
    storage.publish(name, lambda path: (_parquet if has_parquet else _csv)(path, rows()))
    return name, len(last)


def _parquet(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema(
        [(name, kind) for name, kind in {**_PLAIN, **dict.fromkeys(_NESTED, "string")}.items()]
    )
    with parquet.ParquetWriter(path, schema) as file:
        while batch := list(itertools.islice(rows, _ROWS_AT_ONCE)):
            file.write_table(pyarrow.Table.from_pylist(batch, schema))


def _csv(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*_PLAIN, *_NESTED])
        writer.writeheader()
        writer.writerows(rows)
