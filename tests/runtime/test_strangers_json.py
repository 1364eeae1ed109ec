"""Whatever is in a JSON file of somebody else, its reader takes it or says one sentence."""

import json

import numpy as np
import pytest

from bassdiff.batch.manifest_lines import read_table
from bassdiff.cli.config_values import config_words
from bassdiff.cli.recall import describe, words_fault
from bassdiff.data.datasets import moisesdb
from bassdiff.data.store import Store
from bassdiff.evaluation.listening import summarise
from bassdiff.evaluation.result_folder import read_clips
from bassdiff.inference.record import read_record
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.strangers_json import parse_json
from bassdiff.synthesis.annotation import parse_annotation

ODD = (
    *(None, True, 0, -1, 1.5, 10**400, 10**19, float("nan"), float("inf"), "", "x", "\ud800"),
    *(
        "../../etc/passwd",
        "/etc/passwd",
        "a\0b",
        "é" * 300,
        "\n",
        [],
        {},
        [[]],
        [None],
        {"a": None},
    ),
)
TRIAL = {"stimuli": [{"system": "a", "rating": 3}, {"system": "b", "rating": 50}]}
ANSWERS = {"page": "p", "listener": "l", "trials": [{**TRIAL, "preference": None}]}


def _describe(path):
    record = read_record(path)
    describe(record)
    words_fault(record["words"])


# Name of the file, what is in a good one, and what reads it.
READERS = {
    "annotation.json": (
        {"beat_seconds": [0.1, 0.5], "chords": [[0, 1, 2, "maj", 2], [1, 2, 3, "min", 3]]},
        lambda path: parse_annotation(path.read_text(), "a"),
    ),
    "mushra.json": ({**ANSWERS, "kind": "mushra"}, lambda path: summarise([path])),
    "ab.json": ({**ANSWERS, "kind": "ab"}, lambda path: summarise([path])),
    "clips.json": (
        [{"name": "a", "song": "s", "start_seconds": 0, "seconds": 2}],
        lambda path: read_clips(path.parent),
    ),
    "data.json": (
        {"stems": [{"stemName": "bass", "tracks": [{"id": "a", "extension": "wav"}]}]},
        lambda path: moisesdb._read(path.parent),
    ),
    "manifest.json": (
        {
            "names": ["a", "b"],
            "num_frames": [4, 5],
            "places": [{"bass": [0, 1]}, {"bass": [0, 1]}],
            "fields": {"bass": {"dtype": "float16", "shape": [4]}},
            "statistics": {"bass": {"mean": [0.0], "std": [1.0]}},
            "codecs": {"mix": "x", "bass": "y"},
        },
        lambda path: Store(path.parent),
    ),
    "songs.jsonl": (
        {"id": "a", "mix": "x.wav", "style": ["b.wav"], "seed": 3, "settings": {"steps": 3}},
        lambda path: list(read_table(str(path), path)),
    ),
    "values.json": ({"a": {"b": 1, "c": "x"}, "d": [1, 2]}, config_words),
    "record.json": (
        {
            "kind": "bassdiff-record",
            "bassdiff": "1",
            "seed": 3,
            "words": {"steps": 3, "mix": "a.wav", "region": "1:2", "style": ["a"]},
            "files": {"a.wav": "00"},
            "weights": {"name": "small"},
            "settings": {"steps": 3},
            "heard": {"key": "C"},
        },
        _describe,
    ),
}


def spoilt(value, rng):
    """A value with some of its parts replaced, taken away or added."""
    if rng.random() < 0.12:
        return ODD[rng.integers(len(ODD))]
    if isinstance(value, dict):
        kept = {key: spoilt(part, rng) for key, part in value.items() if rng.random() < 0.97}
        return {**kept, "extra": 1} if rng.random() < 0.05 else kept
    if isinstance(value, list):
        return [spoilt(part, rng) for part in value if rng.random() < 0.97]
    return value


@pytest.mark.parametrize("name", READERS)
def test_what_is_spoilt_is_read_or_refused(tmp_path, name):
    good, read = READERS[name]
    rng = np.random.default_rng(24)
    refused = 0
    for _ in range(150):
        (tmp_path / name).write_text(json.dumps(spoilt(good, rng)))
        try:
            read(tmp_path / name)
        except InputError:
            refused += 1
    assert 10 < refused


def test_deep_long_and_large_json_is_none():
    assert parse_json('\ufeff{"a": [18446744073709551615]}'.encode()) == {"a": [(1 << 64) - 1]}
    for text in ("[" * 200_000, '{"a":' * 100_000, "9" * 21, "-" + "9" * 5000):
        with pytest.raises(ValueError):
            parse_json(text)
