import csv
import json

import pytest
from pyarrow import parquet

from bassdiff.batch import merge as merging
from bassdiff.batch.item import Item, Part
from bassdiff.batch.journal import Journal, read_rows, row_of
from bassdiff.batch.order import Order
from bassdiff.batch.patience import Patience
from bassdiff.batch.storage import Storage
from bassdiff.runtime.errors import InputError

WHOLE = Part()
ORDER = Order("small", "abc", {"steps": 4})


@pytest.fixture(params=["disk", "memory"])
def storage(request, tmp_path):
    url = str(tmp_path / "out") if request.param == "disk" else f"memory://{tmp_path.name}"
    storage = Storage(url, "part 1 of 1", Patience(1.0))
    yield storage
    storage.close()


def add(storage, *ids, part=WHOLE, **how):
    journal = Journal(storage, part)
    for name in ids:
        journal.add(row_of(Item(name, f"{name}.wav"), ORDER, **how))


def test_the_last_row_of_a_song_counts(storage, tmp_path):
    add(storage, "a", "b", "c", part=Part(2, 4), error="unreadable")
    add(storage, "b", digests={"bass": "ab" * 32}, seconds=2.5, measures={"bass_peak": 0.5})
    name, count = merging.merge(storage)
    assert (name, count) == ("results.parquet", 3)
    with storage._fs.open(storage._path(name), "rb") as file:
        rows = {row["id"]: row for row in parquet.read_table(file).to_pylist()}
    assert {name: row["status"] for name, row in rows.items()} == {
        **{"a": "error", "b": "ok", "c": "error"}
    }
    assert rows["b"]["seconds"] == 2.5 and rows["a"]["error"] == "unreadable"
    assert json.loads(rows["b"]["measures"]) == {"bass_peak": 0.5}
    assert rows["b"]["seed"] == ORDER.seed_of(Item("b", ""))


def test_without_pyarrow_it_is_cells(storage, monkeypatch):
    add(storage, "a", "b, c")
    monkeypatch.setattr(merging.importlib.util, "find_spec", lambda name: None)
    assert merging.merge(storage) == ("results.csv", 2)
    with storage._fs.open(storage._path("results.csv"), "rt") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["a", "b, c"]


def test_a_torn_line_is_no_row_and_is_not_written_to(storage):
    add(storage, "a")
    (name,) = storage.names("results-", ".jsonl")
    with storage._fs.open(storage._path(name), "ab") as file:
        file.write(b'{"id": "b", "sta')
    add(storage, "c")
    assert [row["id"] for row in read_rows(storage)] == ["a", "c"]


def test_a_damaged_row_is_named(storage):
    add(storage, "a")
    (name,) = storage.names("results-", ".jsonl")
    with storage._fs.open(storage._path(name), "ab") as file:
        file.write(b'{"id": "b"}\n')
    with pytest.raises(InputError, match=f"{name}, line 2: is damaged"):
        merging.merge(storage)


def test_without_rows_there_is_no_table(storage):
    with pytest.raises(InputError, match="there are no results"):
        merging.merge(storage)


def test_files_of_rows_do_not_grow_for_ever(storage, monkeypatch):
    monkeypatch.setattr("bassdiff.batch.journal.ROWS_PER_FILE", 2)
    add(storage, *"abcde")
    assert len(storage.names("results-", ".jsonl")) == 3
    assert [row["id"] for row in read_rows(storage)] == [*"abcde"]
    known = Journal(storage, Part()).known()
    assert set(known) == set("abcde") and all(one.is_ok for one in known.values())
    assert known["a"].is_of(ORDER.fingerprint(Item("a", "a.wav")))
    assert not known["a"].is_of(ORDER.fingerprint(Item("a", "b.wav")))
