"""What a run starts from instead of noise, and what it remembers of that.

The name and the checksum of the weights are kept beside the checkpoints: a run that goes on knows
what it began with, whatever is asked for by then.
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
# `init`: the name of the weights; `init_checksum`: what they were; `init_training`: how they came
# about, with what they had started from in turn. Empty for noise.
Origin: TypeAlias = dict[str, Any]
Weights = TypeVar("Weights", UNetWeights, CodecWeights)


def start(
    workdir: Path, init: str, load: Callable[[str], Weights]
) -> tuple[Weights | None, Origin]:
    """Loads what a new run is told to start from, or what a run under way did start from.

    Args:
      workdir: Of the run; it is under way if there is a checkpoint in it.
      init: Name or folder of the weights; empty for noise.
      load: Loads them.

    Returns:
      The weights, None for noise, and what to record of them.

    Raises:
      InputError: If they cannot be loaded, or are not any more what the run began with.
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
            f"{name} is not any more what the run in {workdir} began with; bring it back or use "
            "another --workdir"
        )
    return weights, origin


def remember(workdir: Path, origin: Origin) -> None:
    """Keeps what a run started from."""
    with atomic_file(workdir / RECORD) as file:
        file.write(json.dumps(origin).encode())


def _origin(workdir: Path) -> Origin | None:
    """What the run of a folder started from; None if it has no checkpoint."""
    checkpoints = workdir / "checkpoints"
    if not checkpoints.is_dir() or not any(path.name.isdigit() for path in checkpoints.iterdir()):
        return None
    record = workdir / RECORD
    origin: Origin = json.loads(record.read_text()) if record.is_file() else {}
    return origin
