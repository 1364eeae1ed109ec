"""Records of basses: the request that made each, so that it can be repeated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bassdiff.runtime.errors import InputError
from bassdiff.runtime.strangers_json import parse_json
from bassdiff.runtime.text_files import read_text

# The longest comment that libsndfile reads from a wav file.
_MAX_COMMENT = 2000
_KIND = "bassdiff-record"
# More are sampled at once on no device.
_MAX_ROWS = 8
_PARTS = {"bassdiff": str, "seed": int} | dict.fromkeys(
    ("words", "files", "weights", "settings", "heard"), dict
)
_REMEDY = "give a bass that `bassdiff generate` wrote, or the .json beside it"


def file_hash(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hashes(paths: Sequence[str | Path]) -> dict[str, str]:
    """The SHA-256 of files, by path as it was given."""
    return {str(path): file_hash(path) for path in paths}


def make_record(
    words: Mapping[str, Any],
    files: Mapping[str, str],
    version: str,
    weights: Mapping[str, str],
    settings: Mapping[str, Any],
    heard: Mapping[str, Any],
    seed: int,
    bass: np.ndarray,
    rows: int | None = None,
) -> dict[str, Any]:
    """A record of one bass. It has no date, so that the same bass has the same record.

    Args:
      words: Options of `bassdiff generate` that differ from their defaults.
      files: Hashes of the files that were read, by path.
      version: The version of bassdiff.
      weights: Their name, fingerprints and licence.
      settings: All settings of sampling.
      heard: Estimates and choices about the mix: tuning, chords, ...
      seed: The seed of this bass.
      bass: `[N]` float32.
      rows: How many were sampled at once, which decides the rounding; None for this one alone.
    """
    return {
        "kind": _KIND,
        "bassdiff": version,
        "seed": seed,
        "words": {**words, "seed": seed},
        "files": dict(files),
        "weights": dict(weights),
        "settings": dict(settings),
        "heard": dict(heard),
        **({"rows": rows} if rows else {}),
        "samples_sha256": hashlib.sha256(np.ascontiguousarray(bass, "<f4").data).hexdigest(),
    }


def tags_of(record: Mapping[str, Any], mix: Path) -> dict[str, str]:
    """The tags of the audio file: for players to show, and the record for us to read.

    The settings are left out, since options and weights determine them, and so are long estimates;
    the JSON beside the file has everything.
    """
    tags = {"title": f"{mix.stem} (bass)", "software": f"bassdiff {record['bassdiff']}"}
    if "licence" in record["weights"]:
        tags["license"] = record["weights"]["licence"]
    left_out: tuple[str, ...]
    for left_out in (("settings",), ("settings", "heard")):
        kept = {name: value for name, value in record.items() if name not in left_out}
        comment = json.dumps(kept, sort_keys=True, separators=(",", ":"))
        if len(comment) <= _MAX_COMMENT:
            return {**tags, "comment": comment}
    return tags


def read_record(path: Path) -> dict[str, Any]:
    """Reads the record of a bass: from the JSON beside it, or from its tags.

    Args:
      path: The audio file, or its `.json`.

    Raises:
      InputError: There is none.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; {_REMEDY}")
    beside = path.with_suffix(".json")
    texts = [read_text(beside)] if beside.is_file() else []
    for text in [*texts, *([] if path == beside else [_comment(path)])]:
        try:
            record = parse_json(text)
        except ValueError:
            continue
        if isinstance(record, dict) and record.get("kind") == _KIND:
            record = {"settings": {}, "heard": {}, **record}
            for name, kind in _PARTS.items():
                if not isinstance(record.get(name), kind):
                    raise InputError(f"{path}: its record has no {name}; {_REMEDY}")
            if record.get("rows") not in (None, *range(1, _MAX_ROWS + 1)):
                raise InputError(f"{path}: its record has rows that are none; {_REMEDY}")
            if not all(isinstance(digest, str) for digest in record["files"].values()):
                raise InputError(f"{path}: its record has files without a hash; {_REMEDY}")
            return record
    raise InputError(f"{path}: nothing says how it was made; {_REMEDY}")


def _comment(path: Path) -> str:
    try:
        with soundfile.SoundFile(path) as file:
            return str(file.comment)
    except soundfile.LibsndfileError:
        return ""
