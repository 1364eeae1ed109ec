"""Keeps what JAX has traced, beside the compiled programs, so that later runs need not trace.

Tracing a network takes longer than to play ten seconds with it. A program is found by all that
decides it: the source files of this package, the versions, JAX's settings, the static arguments,
and the structure, shapes and types of the others. Where anything else could decide it, as classes
of a user's own, it is traced as ever.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.export

from bassdiff.runtime.atomic import atomic_file
from bassdiff.runtime.errors import InputError

_DIGEST_BYTES = 32
# Traces of earlier sources are never used again: of files beyond these, those go that were used
# least recently. Each takes up to 3 MB.
_MOST_FILES = 100
# Settings of JAX that change what is traced.
_SETTINGS = (
    *("jax_enable_x64", "jax_default_matmul_precision", "jax_default_prng_impl"),
    *("jax_threefry_partitionable", "jax_numpy_dtype_promotion", "jax_debug_nans"),
)
_PACKAGE = Path(__file__).parents[1]
# Programs of this process, by what decides them.
_known: dict[Any, Callable[..., Any] | None] = {}


def run_kept(program: Any, static: tuple[Any, ...], arguments: tuple[Any, ...], like: Any) -> Any:
    """What `program(*static, *arguments)` returns, without tracing it if an earlier run did.

    Args:
      program: A jitted function of a module, on one device.
      static: Its static arguments, which come first.
      arguments: The others: pytrees of arrays.
      like: A pytree of the result's structure.
    """
    leaves, structure = jax.tree.flatten(arguments)
    folder = jax.config.values.get("jax_compilation_cache_dir")
    is_on = jax.config.values.get("jax_enable_compilation_cache")
    if not (folder and is_on) or _is_spread(leaves) or not _are_ours(static, structure):
        return program(*static, *arguments)
    kinds = tuple((leaf.shape, str(leaf.dtype), leaf.weak_type) for leaf in map(jax.typeof, leaves))
    settings = tuple(str(jax.config.values.get(name)) for name in _SETTINGS)
    about = (program.__module__, program.__name__, static, structure, kinds, settings)
    if about not in _known:
        text = repr((*about, jax.default_backend(), _versions(), _sources()))
        path = Path(folder) / f"traced-{hashlib.sha256(text.encode()).hexdigest()}"
        traced = _read(path) or _traced(program, static, structure, leaves, path)
        _known[about] = None if traced is None else _compiled(program.__name__, traced)
    known = _known[about]
    if known is None:
        return program(*static, *arguments)
    return jax.tree.unflatten(jax.tree.structure(like), known(*leaves))


def _compiled(name: str, traced: Any) -> Callable[..., Any]:
    """A traced program under its own name, by which damaged ones are found in the cache."""

    def call(*leaves: Any) -> Any:
        return traced.call(*leaves)

    call.__name__ = name
    return jax.jit(call)


def _traced(
    program: Any, static: tuple[Any, ...], structure: Any, leaves: list[Any], path: Path
) -> Any:
    """Traces a program, as a function of leaves, and keeps it if the folder lets it.

    None if it cannot be kept, as with operations of which JAX promises no later form.
    """

    def flat(*leaves: Any) -> tuple[Any, ...]:
        return tuple(jax.tree.leaves(program(*static, *jax.tree.unflatten(structure, leaves))))

    try:
        traced = jax.export.export(jax.jit(flat))(*leaves)
    except (ValueError, NotImplementedError):
        return None
    content = bytes(traced.serialize())
    # A cache that cannot be written is told of where compiled programs are not kept.
    with contextlib.suppress(InputError, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            file.write(hashlib.sha256(content).digest() + content)
        _drop_oldest(path.parent)
    return traced


def _drop_oldest(folder: Path) -> None:
    """Deletes the traces that were used least recently, if there are too many."""
    used = []
    for path in folder.glob("traced-*"):
        # Another process may delete it first.
        with contextlib.suppress(OSError):
            used.append((path.stat().st_mtime, path))
    for _, path in sorted(used, reverse=True)[_MOST_FILES:]:
        path.unlink(missing_ok=True)


def _read(path: Path) -> Any:
    """What an earlier run has traced; None if it has not, or if the file is damaged."""
    try:
        kept = path.read_bytes()
    except OSError:
        return None
    digest, content = kept[:_DIGEST_BYTES], kept[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return jax.export.deserialize(bytearray(content))


def _is_spread(leaves: list[Any]) -> bool:
    return any(len(leaf.devices()) > 1 for leaf in leaves if isinstance(leaf, jax.Array))


def _are_ours(static: tuple[Any, ...], structure: Any) -> bool:
    """Whether all classes are this package's, whose sources are known, or Python's own."""
    structures = (structure, *map(jax.tree.structure, static))
    kinds = {type(value) for value in static}
    kinds.update(kind for one in structures for kind in _node_types(one))
    return all(kind.__module__.partition(".")[0] in ("bassdiff", "builtins") for kind in kinds)


def _node_types(structure: Any) -> Iterator[type]:
    node = structure.node_data()
    if node is not None:
        yield node[0]
        for child in structure.children():
            yield from _node_types(child)


@cache
def _versions() -> tuple[str, ...]:
    return tuple(importlib.metadata.version(name) for name in ("jax", "jaxlib", "flax"))


@cache
def _sources() -> str:
    """A digest of all source files of the package."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(_PACKAGE)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
