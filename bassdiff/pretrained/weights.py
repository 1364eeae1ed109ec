"""Weights on disk: one self-describing safetensors file per model, bound by fingerprints.

Arrays are stored in float16; the file's metadata holds the model's fields, so that a file
is enough to rebuild its network, and a checksum of all of it. A codec's fingerprint covers all
that decides what a latent means (the format, the model's fields, the encoder and the statistics)
and not the decoder, which may improve later without making diffusion weights invalid.
"""

from __future__ import annotations

import dataclasses
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
from bassdiff.models.bass_codec import BassCodec
from bassdiff.models.matching import MatchingModel
from bassdiff.models.mix_codec import MixCodec
from bassdiff.models.unet import UNet
from bassdiff.runtime.atomic import atomic_file
from bassdiff.runtime.errors import InputError

# 3: a bass's latents do not see the phase; each codec has a model of its own.
FORMAT = 3
_CODECS: dict[str, type[BassCodec] | type[MixCodec]] = {"bass": BassCodec, "mix": MixCodec}


@dataclasses.dataclass(frozen=True)
class CodecWeights:
    """An autoencoder ready to use.

    Attributes:
      model: The module; its `kind` is "bass" or "mix".
      params: Its parameters, float32. The mix's codec may come without a decoder.
      mean: `[C]` mean of its latents over the training data.
      std: Their global standard deviation around that mean.
      fingerprint: Identifies the latent space.
      training: How it was trained.
      checksum: Identifies the file, decoder and all; empty for what was never in one.
    """

    model: BassCodec | MixCodec
    params: PyTree
    mean: np.ndarray
    std: float
    fingerprint: str
    training: dict[str, Any]
    checksum: str = ""


@dataclasses.dataclass(frozen=True)
class UNetWeights:
    """A denoising network ready to use, with the codecs and defaults it is bound to.

    Attributes:
      model: The module.
      params: Its parameters, float32, corrected by its adapters if there are any.
      bindings: Codec fingerprints and sampling defaults.
      training: How it was trained.
      parts: Checksums of the network's own file and then of its adapters'.
    """

    model: UNet
    params: PyTree
    bindings: dict[str, Any]
    training: dict[str, Any]
    parts: tuple[str, ...]

    @property
    def checksum(self) -> str:
        """Identifies what plays, so that scores can say what they are of."""
        # An adapter's checksum covers that of the network it belongs to.
        return "+".join(self.parts[1:] or self.parts)


@dataclasses.dataclass(frozen=True)
class AdapterWeights:
    """A correction of a U-Net, for `models/adapter.py`.

    Attributes:
      params: The low-rank matrices, float32.
      bindings: `unet`: checksum of the network it corrects; `base`: the name of its weights;
        `sampling`: defaults that replace the network's, if it brings any.
      training: How it was trained.
      checksum: Identifies the file.
    """

    params: PyTree
    bindings: dict[str, Any]
    training: dict[str, Any]
    checksum: str


@dataclasses.dataclass(frozen=True)
class MatchingWeights:
    """A matching model ready to use.

    Attributes:
      model: The two towers.
      params: Their parameters, float32.
      mean: `{"mix": [C'], "bass": [C]}` of the features it reads.
      std: Likewise.
      bindings: `features`: by side, the fingerprint of the codec or the name of the features.
      training: How it was trained.
      checksum: Identifies the file.
    """

    model: MatchingModel
    params: PyTree
    mean: dict[str, np.ndarray]
    std: dict[str, np.ndarray]
    bindings: dict[str, Any]
    training: dict[str, Any]
    checksum: str


def save_codec(
    path: Path,
    model: BassCodec | MixCodec,
    params: PyTree,
    mean: np.ndarray,
    std: float,
    training: Mapping[str, Any],
) -> str:
    """Writes a codec and returns its fingerprint."""
    tensors = _flatten({**params, "latents": {"mean": mean, "std": np.asarray([std])}})
    fields = {"kind": model.kind, **_fields(model)}
    fingerprint = _fingerprint(tensors, fields)
    _write(path, tensors, fields, training=dict(training), fingerprint=fingerprint)
    return fingerprint


def load_codec(path: Path) -> CodecWeights:
    """Reads a codec.

    Raises:
      InputError: If the file is missing, damaged, or its fingerprint does not match.
    """
    tensors, metadata = _read(path, "fingerprint")
    fields = dict(metadata["fields"])
    if _fingerprint(tensors, fields) != metadata["fingerprint"]:
        raise InputError(f"{path} is damaged: its fingerprint does not match; get it again")
    params = _unflatten(tensors)
    latents = params.pop("latents")
    return CodecWeights(
        _CODECS[fields.pop("kind")](**fields),
        params,
        latents["mean"],
        float(latents["std"][0]),
        metadata["fingerprint"],
        metadata["training"],
        _checksum(tensors, metadata),
    )


def save_unet(
    path: Path,
    model: UNet,
    params: PyTree,
    bindings: Mapping[str, Any],
    training: Mapping[str, Any],
) -> None:
    """Writes a U-Net with its bindings: codec fingerprints and sampling defaults."""
    _write(path, _flatten(params), _fields(model), training=dict(training), bindings=dict(bindings))


def load_unet(path: Path, mix_codec: CodecWeights, bass_codec: CodecWeights) -> UNetWeights:
    """Reads a U-Net and checks that it was trained on these codecs' latents.

    Raises:
      InputError: If the file is missing or damaged, or belongs to other codecs.
    """
    tensors, metadata = _read(path, "bindings")
    bindings = metadata["bindings"]
    for role, codec in (("mix", mix_codec), ("bass", bass_codec)):
        wanted = bindings.get(f"{role}_codec")
        if wanted != codec.fingerprint:
            raise InputError(
                f"{path} was trained on the latents of {role} codec {wanted}, "
                f"not on those of {codec.fingerprint}; use the codec it was released with"
            )
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in metadata["fields"].items()}
    return UNetWeights(
        UNet(**fields),
        _unflatten(tensors),
        bindings,
        metadata["training"],
        (_checksum(tensors, metadata),),
    )


def save_adapter(
    path: Path, params: PyTree, bindings: Mapping[str, Any], training: Mapping[str, Any]
) -> None:
    """Writes an adapter with the network it belongs to and what it changes of its sampling."""
    _write(path, _flatten(params), {}, training=dict(training), bindings=dict(bindings))


def load_adapter(path: Path) -> AdapterWeights:
    """Reads an adapter.

    Raises:
      InputError: If the file is missing or damaged, or holds something else.
    """
    tensors, metadata = _read(path, "bindings")
    if "unet" not in metadata["bindings"]:
        raise InputError(f"{path} holds no adapter; name an adapter.safetensors")
    return AdapterWeights(
        _unflatten(tensors),
        metadata["bindings"],
        metadata["training"],
        _checksum(tensors, metadata),
    )


def save_matching(
    path: Path,
    model: MatchingModel,
    params: PyTree,
    mean: Mapping[str, np.ndarray],
    std: Mapping[str, np.ndarray],
    bindings: Mapping[str, Any],
    training: Mapping[str, Any],
) -> None:
    """Writes a matching model with the statistics and the origin of what it reads."""
    tensors = _flatten({"towers": params, "mean": dict(mean), "std": dict(std)})
    _write(path, tensors, _fields(model), training=dict(training), bindings=dict(bindings))


def load_matching(path: Path) -> MatchingWeights:
    """Reads a matching model.

    Raises:
      InputError: If the file is missing or damaged, or holds another kind of model.
    """
    tensors, metadata = _read(path, "bindings")
    params = _unflatten(tensors)
    if "towers" not in params:
        raise InputError(f"{path} holds no matching model; name a matching_*.safetensors")
    return MatchingWeights(
        MatchingModel(**metadata["fields"]),
        params["towers"],
        params["mean"],
        params["std"],
        metadata["bindings"],
        metadata["training"],
        _checksum(tensors, metadata),
    )


def _fields(model: BassCodec | MixCodec | UNet | MatchingModel) -> dict[str, Any]:
    names = [f.name for f in dataclasses.fields(model) if f.name not in ("parent", "name", "dtype")]
    return {name: getattr(model, name) for name in names}


def _flatten(params: PyTree) -> dict[str, np.ndarray]:
    flat = flax.traverse_util.flatten_dict(params, sep="/")
    # What overflows float16 is refused when it is written.
    with np.errstate(over="ignore"):
        return {name: np.asarray(leaf, np.float16) for name, leaf in flat.items()}


def _unflatten(tensors: Mapping[str, np.ndarray]) -> PyTree:
    full = {name: leaf.astype(np.float32) for name, leaf in tensors.items()}
    return flax.traverse_util.unflatten_dict(full, sep="/")


def _fingerprint(tensors: Mapping[str, np.ndarray], fields: Mapping[str, Any]) -> str:
    # The decoder's sizes are its own affair.
    fields = {name: value for name, value in fields.items() if not name.startswith("decoder_")}
    digest = hashlib.sha256(json.dumps([FORMAT, fields], sort_keys=True).encode())
    for name in sorted(tensors):
        if name.startswith(("encoder/", "latents/")):
            digest.update(name.encode() + np.ascontiguousarray(tensors[name]).tobytes())
    return digest.hexdigest()[:16]


def _checksum(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        leaf = tensors[name]
        digest.update(f"{name} {leaf.dtype} {leaf.shape}".encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()[:16]


def _write(
    path: Path, tensors: dict[str, np.ndarray], fields: Mapping[str, Any], **rest: Any
) -> None:
    for name, leaf in tensors.items():
        if not np.all(np.isfinite(leaf)):
            raise InputError(
                f"{name} of {path.name} is not finite in float16, so these weights cannot be used; "
                "train again with a lower learning rate"
            )
    metadata = {"format": FORMAT, "fields": dict(fields), **rest}
    metadata["checksum"] = _checksum(tensors, metadata)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path.parent} cannot be created ({error.strerror}); choose another folder"
        ) from error
    with atomic_file(path) as file:
        file.write(save(tensors, metadata={"bassdiff": json.dumps(metadata)}))


def _read(path: Path, essential: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and metadata of a file whose metadata must hold the key `essential`."""
    if not path.is_file():
        raise InputError(f"{path} does not exist; check the path of the weights")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = json.loads(file.metadata()["bassdiff"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        version, checksum, _ = metadata["format"], metadata.pop("checksum"), metadata[essential]
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged or holds other weights than these; get it again"
        ) from error
    if version != FORMAT:
        raise InputError(
            f"{path} has format {version} and this bassdiff reads {FORMAT}; get weights and "
            "package of one release"
        )
    if checksum != _checksum(tensors, metadata):
        raise InputError(f"{path} is damaged: its checksum does not match; get it again")
    return tensors, metadata
