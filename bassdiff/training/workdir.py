"""The folder of a run: one run at a time, and the same settings when it resumes."""

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
from bassdiff.runtime.text_files import read_text

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
        # Some network file systems have no locks.
        warnings.warn(
            f"{workdir} cannot be locked ({error}); make sure that no other run uses it",
            stacklevel=2,
        )
    try:
        yield
    finally:
        lock.release()


def check_same_run(workdir: Path, run: dict[str, Any]) -> None:
    """Checks that a run resumes with the settings that it began with, and records them.

    Args:
      workdir: The run's folder; the run has begun if there is a checkpoint in it.
      run: Settings by name that must not change; JSON values.

    Raises:
      InputError: The run began with other settings.
    """
    record = workdir / RECORD
    checkpoints = workdir / "checkpoints"
    is_begun = checkpoints.is_dir() and any(p.name.isdigit() for p in checkpoints.iterdir())
    if is_begun and record.is_file():
        try:
            begun = parse_json(read_text(record))
        except ValueError as error:
            raise InputError(
                f"{record} is damaged; delete it to resume with the present settings"
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
