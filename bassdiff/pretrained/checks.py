"""Validates the contents of weight files, which may come from an untrusted source."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import flax
import jax
import numpy as np

from bassdiff.diffusion.settings import Sampling
from bassdiff.diffusion.types import PyTree
from bassdiff.runtime.errors import InputError

# Far beyond any network here, and far below what fills a memory.
_LARGEST_FIELD, _MOST_BLOCKS, _LONGEST_FIELD, _LONGEST_METADATA = 1 << 16, 64, 16, 1 << 20
_NOT_FIELDS = ("parent", "name", "dtype")
Model = TypeVar("Model")


def strange(path: Path, what: str) -> InputError:
    """The error of a file that does not hold the expected weights."""
    return InputError(f"{path} is damaged or holds other weights than these ({what}); get it again")


def parse_metadata(path: Path, text: str) -> dict[str, Any]:
    """Parses the metadata of a file and checks the types of its required parts.

    Raises:
      InputError: A part is missing or has another type.
    """
    if len(text) > _LONGEST_METADATA:
        raise strange(path, f"{len(text)} bytes of metadata")
    try:
        metadata = json.loads(text)
    except RecursionError as error:
        raise strange(path, "metadata nested too deeply") from error
    if not isinstance(metadata, dict):
        raise strange(path, "metadata that is not an object")
    kinds = {"fields": dict, "training": dict, "bindings": dict, "fingerprint": str}
    for name, kind in {**kinds, "checksum": str}.items():
        if not isinstance(metadata.get(name, kind()), kind):
            raise strange(path, f"{name} that is not a {kind.__name__}")
    return metadata


def build(path: Path, kind: type[Model], fields: Mapping[str, Any]) -> Model:
    """A network from its fields.

    Raises:
      InputError: A field is unknown, missing, or has no possible value.
    """
    known = {
        field.name: field
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
        if field.name not in _NOT_FIELDS
    }
    needed = {name for name, field in known.items() if field.default is dataclasses.MISSING}
    if unknown := sorted(set(fields) - set(known)):
        raise strange(path, f"a field {unknown[0]!r}")
    if missing := sorted(needed - set(fields)):
        raise strange(path, f"no field {missing[0]!r}")
    values = {}
    for name, value in fields.items():
        is_many = "tuple" in str(known[name].type)
        parts = value if isinstance(value, list) and is_many else [value]
        if is_many != isinstance(value, list) or len(parts) > _LONGEST_FIELD:
            raise strange(path, f"{name}={str(value)[:40]}")
        for part in parts:
            wanted = (bool,) if "bool" in str(known[name].type) else (int,)
            most = _MOST_BLOCKS if name.endswith("blocks") else _LARGEST_FIELD
            if type(part) not in wanted or not 0 <= part <= most:
                raise strange(path, f"{name}={str(value)[:40]}")
        values[name] = tuple(value) if is_many else value
    return kind(**values)


def check_params(path: Path, model: Any, params: PyTree, *inputs: Any, optional: str = "") -> None:
    """Checks that parameters are those of a network.

    Args:
      path: The file that they are from.
      model: The network.
      params: Its parameters.
      *inputs: Shapes of the network's inputs.
      optional: A part that may be missing as a whole.

    Raises:
      InputError: One is missing, unknown or of another shape.
    """
    try:
        wanted = dict(_shapes(model, inputs))
    except (TypeError, ValueError, ZeroDivisionError, IndexError, AssertionError) as error:
        raise strange(path, "fields that do not describe a network") from error
    held = {name: leaf.shape for name, leaf in _flat(params).items()}
    if optional and not any(name.startswith(f"{optional}/") for name in held):
        wanted = {k: v for k, v in wanted.items() if not k.startswith(f"{optional}/")}
    for name in sorted(wanted.keys() | held.keys()):
        if name not in held:
            raise strange(path, f"no {name}")
        if name not in wanted:
            raise strange(path, f"an unknown {name}")
        if wanted[name] != held[name]:
            raise strange(path, f"{name} of shape {held[name]}, not {wanted[name]}")


# Tracing a network takes a second, and many weights share one.
@functools.lru_cache(maxsize=16)
def _shapes(model: Any, inputs: tuple[Any, ...]) -> dict[str, tuple[int, ...]]:
    """The shapes of a network's parameters by name, for inputs of these shapes."""
    params = jax.eval_shape(lambda *xs: model.init(jax.random.key(0), *xs), *inputs)["params"]
    return {name: leaf.shape for name, leaf in _flat(params).items()}


def check_adapter(path: Path, params: PyTree, adapter: PyTree) -> None:
    """Checks that an adapter corrects matrices that a network has.

    Raises:
      InputError: One is unknown, lacks a side, or has another shape.
    """
    matrices, parts = _flat(params), _flat(adapter)
    for name, part in parts.items():
        where, _, side = name.rpartition("/")
        other = parts.get(f"{where}/{'up' if side == 'down' else 'down'}")
        if side not in ("down", "up") or where not in matrices or other is None:
            raise strange(path, f"a correction {name!r} of no layer")
        shape = matrices[where].shape
        down, up = (part, other) if side == "down" else (other, part)
        size_out = shape[-1] if shape else 0
        size_in = math.prod(shape[:-1])
        if (
            down.ndim != 2
            or up.ndim != 2
            or (down.shape[0], up.shape[1]) != (size_in, size_out)
            or down.shape[1] != up.shape[0]
        ):
            raise strange(path, f"a correction {name!r} of another shape")


def check_sampling(path: Path, bindings: Mapping[str, Any]) -> None:
    """Checks the settings that weights bring.

    Raises:
      InputError: There are none, or they cannot be used.
    """
    try:
        Sampling.of_weights(bindings)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise strange(path, f"settings of sampling that cannot be used: {error}") from error


def check_statistics(path: Path, mean: np.ndarray, std: np.ndarray, num_channels: int) -> None:
    """Checks that latents can be normalised with these.

    Raises:
      InputError: They have another length, or a deviation is not positive and finite.
    """
    if mean.shape != (num_channels,) or std.ndim != 1 or len(std) not in (1, num_channels):
        raise strange(path, f"statistics of shapes {mean.shape} and {std.shape}")
    if not np.isfinite(mean).all() or not (np.isfinite(std) & (std > 0)).all():
        raise strange(path, "a standard deviation of 0, or one that is not finite")


def _flat(tree: PyTree) -> dict[str, Any]:
    return dict(flax.traverse_util.flatten_dict(tree, sep="/"))
