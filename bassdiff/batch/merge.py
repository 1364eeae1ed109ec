"""One table of all rows: Parquet where pyarrow is, CSV elsewhere."""

from __future__ import annotations

import csv
import importlib.util
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bassdiff.batch.journal import last_rows
from bassdiff.batch.storage import Storage

# What rows have one value of; all else is JSON.
_PLAIN = {
    **dict.fromkeys(("id", "status", "mix"), "string"),
    "seconds": "float64",
    "seed": "int64",
    **dict.fromkeys(("fingerprint", "version", "error"), "string"),
}
_NESTED = ("styles", "paths", "sha256", "settings", "control", "weights", "measures")
_ROWS_AT_ONCE = 10_000


def merge(storage: Storage) -> tuple[str, int]:
    """Writes the last row of every song into one table.

    Returns:
      The table's name below the folder, and how many rows it has.

    Raises:
      InputError: There are no rows, a row is damaged, or the table cannot be written.
    """
    count = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal count
        for row in last_rows(storage):
            count += 1
            yield {
                **{name: row.get(name) for name in _PLAIN},
                **{name: json.dumps(row.get(name)) for name in _NESTED},
            }

    has_parquet = importlib.util.find_spec("pyarrow") is not None
    name = "results.parquet" if has_parquet else "results.csv"
    storage.publish(name, lambda path: (_parquet if has_parquet else _csv)(path, rows()))
    return name, count


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
