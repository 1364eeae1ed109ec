"""The folder of a run: one run at a time, and the same one when it goes on."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import jax
import jax.numpy as jnp

from bassdiff.diffusion.types import PyTree
from bassdiff.runtime.atomic import atomic_file
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.strangers_json import parse_json

RECORD = "run.json"


@contextlib.contextmanager
def owned(workdir: Path) -> Iterator[None]:
    """Keeps other runs out of a folder.

    The processes of one job are one run; the first of them holds the lock, which is gone with it
    however it ends.

    Raises:
      InputError: Another run is in it.
    """
    if jax.process_index():
        yield
        return
    lock = filelock.FileLock(workdir / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise InputError(
            f"another run is in {workdir}; wait until it ends, or choose another --workdir"
        ) from error
    except (OSError, NotImplementedError) as error:
        # Some file systems of clusters have none.
        warnings.warn(
            f"{workdir} cannot be locked ({error}); see to it that no other run is in it",
            stacklevel=2,
        )
    try:
        yield
    finally:
        lock.release()


def check_same_run(workdir: Path, run: dict[str, Any]) -> None:
    """Checks that a run that goes on is the one that began, and remembers one that begins.

    Args:
      workdir: Of the run; it is under way if there is a checkpoint in it.
      run: What makes it this one, by the names of the settings; values that JSON holds.

    Raises:
      InputError: It began with something else.
    """
    record = workdir / RECORD
    checkpoints = workdir / "checkpoints"
    is_begun = checkpoints.is_dir() and any(p.name.isdigit() for p in checkpoints.iterdir())
    if is_begun and record.is_file():
        try:
            begun = parse_json(record.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(
                f"{record} is damaged; delete it, and the run goes on as it is configured now"
            ) from error
        for name, value in run.items():
            before = begun.get(name, value) if isinstance(begun, dict) else value
            if before != value:
                raise InputError(
                    f"the run in {workdir} began with {name}={before}, and it is {value} now; set "
                    "it back, or choose another --workdir"
                )
    if jax.process_index() == 0:
        with atomic_file(record) as file:
            file.write(json.dumps(run).encode())


def finite(tree: PyTree) -> bool:
    """Whether all numbers of a tree of arrays are; all processes must call this together."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    all_of = jax.jit(lambda arrays: jnp.stack([jnp.isfinite(array).all() for array in arrays]))
    return not leaves or bool(all_of(leaves).all())
