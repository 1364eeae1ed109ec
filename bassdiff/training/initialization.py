"""Initial weights of a run, and their record.

The name and checksum of the weights are kept next to the checkpoints, so that a resumed run uses
the weights that it started from.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from bassdiff.pretrained.weights import CodecWeights, UNetWeights
from bassdiff.runtime.atomic import atomic_file
from bassdiff.runtime.errors import InputError

RECORD = "init.json"
# `init`: name of the weights; `init_checksum`: their checksum; `init_training`: how they were
# trained, including their own origin. Empty for random initialisation.
Origin: TypeAlias = dict[str, Any]
Weights = TypeVar("Weights", UNetWeights, CodecWeights)


def start(
    workdir: Path, init: str, load: Callable[[str], Weights]
) -> tuple[Weights | None, Origin]:
    """Loads the initial weights of a new run, or those that a resumed run started from.

    Args:
      workdir: Folder of the run; the run is resumed if it holds a checkpoint.
      init: Name or folder of the weights; empty for random initialisation.
      load: Loads the weights.

    Returns:
      The weights, or None for random initialisation, and their origin.

    Raises:
      InputError: If the weights cannot be loaded, or have changed since the run started.
    """
    begun = _origin(workdir)
    name = init if begun is None else begun.get("init", "")
    if not name:
        return None, {}
    weights = load(name)
    origin = {
        "init": name,
        "init_checksum": weights.checksum,
        "init_training": weights.training,
    }
    if begun is not None and begun != origin:
        raise InputError(
            f"{name} has changed since the run in {workdir} started from it; restore it or use "
            "another --workdir"
        )
    return weights, origin


def remember(workdir: Path, origin: Origin) -> None:
    """Records the origin of a run."""
    with atomic_file(workdir / RECORD) as file:
        file.write(json.dumps(origin).encode())


def _origin(workdir: Path) -> Origin | None:
    """The origin of the run in a folder; None if it has no checkpoint."""
    checkpoints = workdir / "checkpoints"
    if not checkpoints.is_dir() or not any(path.name.isdigit() for path in checkpoints.iterdir()):
        return None
    record = workdir / RECORD
    origin: Origin = json.loads(record.read_text()) if record.is_file() else {}
    return origin
