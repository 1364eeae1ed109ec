"""The record of a checkpoint: sizes and fingerprints of its arrays, with a checksum."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jax

from bassdiff.diffusion.types import PyTree
from bassdiff.training.leaf_fingerprints import fingerprints, leaf_path

Record = dict[str, Any]


def make_record(state: PyTree, data: dict[str, Any], metrics: dict[str, float]) -> Record:
    """Makes the record of a state to be saved.

    Args:
      state: Arrays on any mesh; all processes must call this together.
      data: JSON-able position of the data iterator.
      metrics: Metrics of this state.

    Returns:
      A JSON-able dictionary: sizes and fingerprints by path of the array, `data`, `metrics`,
      and a checksum of all these.
    """
    record: Record = {"sizes": _sizes(state), "fingerprints": fingerprints(state), "data": data}
    record["metrics"] = {name: float(value) for name, value in metrics.items()}
    return {**record, "checksum": _checksum(record)}


def read_record(folder: Path) -> Record:
    """The record of the checkpoint in `folder`.

    Raises:
      Exception: Any type, depending on the damage to the file.
    """
    record = json.loads((folder / "record" / "metadata").read_text())
    if record.pop("checksum") != _checksum(record):
        raise ValueError("its record is not what was saved")
    return record


def fits(record: Record, target: PyTree) -> bool:
    """Whether the recorded arrays have the paths, shapes and types of `target`."""
    return record["sizes"] == _sizes(target)


def changed_leaves(record: Record, state: PyTree) -> list[str]:
    """Paths of the arrays that are not, bit for bit, what was recorded.

    All processes must call this together, and all get the same answer.
    """
    return [p for p, value in fingerprints(state).items() if value != record["fingerprints"][p]]


def _sizes(tree: PyTree) -> dict[str, str]:
    """Type and shape of every array, such as `float32[512, 256]`, by its path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {leaf_path(path): f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves}


def _checksum(record: Record) -> str:
    # Through JSON, like the file's content: keys become text, tuples lists.
    content = json.dumps(json.loads(json.dumps(record)), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()
