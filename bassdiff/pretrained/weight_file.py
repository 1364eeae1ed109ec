"""The file format of weights: one safetensors file per model, with everything to rebuild it.

Arrays are float16. The metadata holds the format's version, the model's fields and a checksum of
the whole file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from bassdiff.diffusion.types import PyTree
from bassdiff.pretrained.checks import parse_metadata, strange
from bassdiff.runtime.atomic import atomic_file
from bassdiff.runtime.errors import InputError

# 3: a bass's latents are independent of the phase; each codec has a model of its own.
FORMAT = 3


def flatten(params: PyTree) -> dict[str, np.ndarray]:
    """Nested parameters as float16 arrays by path, such as `encoder/conv/kernel`."""
    flat = flax.traverse_util.flatten_dict(params, sep="/")
    # Values that overflow float16 are refused by `write_file`.
    with np.errstate(over="ignore"):
        return {name: np.asarray(leaf, np.float16) for name, leaf in flat.items()}


def unflatten(tensors: Mapping[str, np.ndarray]) -> PyTree:
    """The inverse of `flatten`, in float32."""
    full = {name: leaf.astype(np.float32) for name, leaf in tensors.items()}
    return flax.traverse_util.unflatten_dict(full, sep="/")


def latent_fingerprint(tensors: Mapping[str, np.ndarray], fields: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that identify a codec's latent space.

    They cover the format, the model's fields, the encoder and the statistics of the latents. The
    decoder is left out: it may improve without making diffusion weights invalid.
    """
    fields = {name: value for name, value in fields.items() if not name.startswith("decoder_")}
    digest = hashlib.sha256(json.dumps([FORMAT, fields], sort_keys=True).encode())
    for name in sorted(tensors):
        if name.startswith(("encoder/", "latents/")):
            digest.update(name.encode() + np.ascontiguousarray(tensors[name]).tobytes())
    return digest.hexdigest()[:16]


def file_checksum(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that identify a file's tensors and metadata."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        leaf = tensors[name]
        digest.update(f"{name} {leaf.dtype} {leaf.shape}".encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()[:16]


def write_file(
    path: Path, tensors: dict[str, np.ndarray], fields: Mapping[str, Any], **rest: Any
) -> None:
    """Writes a file whole or not at all.

    Args:
      path: The file; its folder is created.
      tensors: From `flatten`.
      fields: The model's fields, from which its network can be rebuilt.
      **rest: Other metadata.

    Raises:
      InputError: If a tensor is not finite in float16, or the file cannot be written.
    """
    for name, leaf in tensors.items():
        if not np.all(np.isfinite(leaf)):
            raise InputError(
                f"{name} of {path.name} is not finite in float16, so these weights cannot be used; "
                "train again with a lower learning rate"
            )
    metadata = {"format": FORMAT, "fields": dict(fields), **rest}
    metadata["checksum"] = file_checksum(tensors, metadata)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path.parent} cannot be created ({error.strerror}); choose another folder"
        ) from error
    with atomic_file(path) as file:
        file.write(save(tensors, metadata={"bassdiff": json.dumps(metadata)}))


def read_file(path: Path, essential: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads a file's tensors and metadata, and checks them.

    Args:
      path: The file.
      essential: A key that the metadata of this kind of weights must hold.

    Raises:
      InputError: If the file is missing, damaged, of another format or of another kind.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; check the path of the weights")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = parse_metadata(path, file.metadata()["bassdiff"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        version, stored, _ = metadata["format"], metadata.pop("checksum"), metadata[essential]
    except InputError:
        raise
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged or holds other weights than these; get it again"
        ) from error
    if version != FORMAT:
        raise InputError(
            f"{path} has format {version} and this bassdiff reads {FORMAT}; get weights and "
            "package of one release"
        )
    if stored != file_checksum(tensors, metadata):
        raise InputError(f"{path} is damaged: its checksum does not match; get it again")
    if not {"fields", "training"} <= set(metadata):
        raise strange(path, "no fields")
    names = {(*name.split("/"),) for name in tensors}
    if any(name[:end] in names for name in names for end in range(1, len(name))):
        raise strange(path, "a tensor inside another one")
    for name, leaf in tensors.items():
        if leaf.dtype != np.float16 or not np.isfinite(leaf).all():
            raise strange(path, f"{name} that is not float16, or not finite")
    return tensors, metadata
