"""Saves and loads the weights of each kind of model, and checks that they belong together.

Diffusion weights record the fingerprints of the codecs whose latents they were trained on.
`weight_file` describes the file format.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bassdiff.diffusion.types import Cond, PyTree
from bassdiff.models.codecs import CODECS, CodecModel
from bassdiff.models.matching import MatchingModel
from bassdiff.models.unet import UNet
from bassdiff.pretrained.checks import (
    build,
    check_params,
    check_sampling,
    check_statistics,
    strange,
)
from bassdiff.pretrained.weight_file import (
    file_checksum,
    flatten,
    latent_fingerprint,
    read_file,
    unflatten,
    write_file,
)
from bassdiff.runtime.errors import InputError


@dataclasses.dataclass(frozen=True)
class CodecWeights:
    """An autoencoder ready to use.

    Attributes:
      model: The module.
      params: Its parameters, float32. The mix's codec may come without a decoder.
      mean: `[C]` mean of its latents over the training data.
      std: Their global standard deviation around that mean.
      fingerprint: Identifies the latent space.
      training: How it was trained.
      checksum: Identifies the file, including the decoder; empty if it was never saved.
    """

    model: CodecModel
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
        """Identifies the network and its adapters, for the record of scores."""
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
    model: CodecModel,
    params: PyTree,
    mean: np.ndarray,
    std: float,
    training: Mapping[str, Any],
) -> str:
    """Writes a codec and returns its fingerprint."""
    tensors = flatten({**params, "latents": {"mean": mean, "std": np.asarray([std])}})
    fields = {"kind": model.kind, **_fields(model)}
    fingerprint = latent_fingerprint(tensors, fields)
    write_file(path, tensors, fields, training=dict(training), fingerprint=fingerprint)
    return fingerprint


def load_codec(path: Path) -> CodecWeights:
    """Reads a codec.

    Raises:
      InputError: If the file is missing, damaged, or its fingerprint does not match.
    """
    tensors, metadata = read_file(path, "fingerprint")
    fields = dict(metadata["fields"])
    if latent_fingerprint(tensors, fields) != metadata["fingerprint"]:
        raise InputError(f"{path} is damaged: its fingerprint does not match; get it again")
    params = unflatten(tensors)
    latents = params.pop("latents", {})
    kind = CODECS.get(str(fields.pop("kind", None)))
    if kind is None or not isinstance(latents, dict) or set(latents) != {"mean", "std"}:
        raise strange(path, "no codec")
    model = build(path, kind, fields)
    check_statistics(path, latents["mean"], latents["std"], model.num_channels)
    if not _is_ours(path):
        audio = jax.ShapeDtypeStruct((1, 8 * model.hop), np.float32)
        # A codec may come without a decoder: a mix's is not needed, and another may be trained.
        check_params(path, model, params, audio, optional="decoder")
    return CodecWeights(
        model,
        params,
        latents["mean"],
        float(latents["std"][0]),
        metadata["fingerprint"],
        metadata["training"],
        file_checksum(tensors, metadata),
    )


def save_unet(
    path: Path,
    model: UNet,
    params: PyTree,
    bindings: Mapping[str, Any],
    training: Mapping[str, Any],
) -> None:
    """Writes a U-Net with its bindings: codec fingerprints and sampling defaults."""
    write_file(
        path,
        flatten(params),
        _fields(model),
        training=dict(training),
        bindings=dict(bindings),
    )


def load_unet(path: Path, mix_codec: CodecWeights, bass_codec: CodecWeights) -> UNetWeights:
    """Reads a U-Net and checks that it was trained on these codecs' latents.

    Raises:
      InputError: If the file is missing or damaged, or belongs to other codecs.
    """
    tensors, metadata = read_file(path, "bindings")
    bindings = metadata["bindings"]
    for role, codec in (("mix", mix_codec), ("bass", bass_codec)):
        wanted = bindings.get(f"{role}_codec")
        if wanted != codec.fingerprint:
            raise InputError(
                f"{path} was trained on the latents of {role} codec {wanted}, "
                f"not on those of {codec.fingerprint}; use the codec it was released with"
            )
    check_sampling(path, bindings)
    model = build(path, UNet, metadata["fields"])
    params = unflatten(tensors)
    if model.num_channels != bass_codec.model.num_channels:
        raise strange(path, f"{model.num_channels} channels")
    if not _is_ours(path):
        x, mix, row = (
            jax.ShapeDtypeStruct(shape, np.float32)
            for shape in ((1, 64, model.num_channels), (1, 64, len(mix_codec.mean)), (1,))
        )
        style = jax.ShapeDtypeStruct((1, model.num_channels), np.float32)
        frames = jax.ShapeDtypeStruct((1,), np.int32)
        check_params(path, model, params, x, row, Cond(mix, row, frames, style, row, row))
    return UNetWeights(
        model,
        params,
        bindings,
        metadata["training"],
        (file_checksum(tensors, metadata),),
    )


def save_adapter(
    path: Path, params: PyTree, bindings: Mapping[str, Any], training: Mapping[str, Any]
) -> None:
    """Writes an adapter with the network it belongs to and what it changes of its sampling."""
    write_file(path, flatten(params), {}, training=dict(training), bindings=dict(bindings))


def load_adapter(path: Path) -> AdapterWeights:
    """Reads an adapter.

    Raises:
      InputError: If the file is missing or damaged, or holds something else.
    """
    tensors, metadata = read_file(path, "bindings")
    bindings = metadata["bindings"]
    if not all(isinstance(bindings.get(name), str) for name in ("unet", "base")):
        raise InputError(f"{path} holds no adapter; name an adapter.safetensors")
    if "sampling" in bindings:
        check_sampling(path, bindings)
    return AdapterWeights(
        unflatten(tensors),
        metadata["bindings"],
        metadata["training"],
        file_checksum(tensors, metadata),
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
    """Writes a matching model with the statistics and the origin of its features."""
    tensors = flatten({"towers": params, "mean": dict(mean), "std": dict(std)})
    write_file(path, tensors, _fields(model), training=dict(training), bindings=dict(bindings))


def load_matching(path: Path) -> MatchingWeights:
    """Reads a matching model.

    Raises:
      InputError: If the file is missing or damaged, or holds another kind of model.
    """
    tensors, metadata = read_file(path, "bindings")
    params = unflatten(tensors)
    if not {"towers", "mean", "std"} <= set(params):
        raise InputError(f"{path} holds no matching model; name a matching_*.safetensors")
    origin = metadata["bindings"].get("features")
    is_known = isinstance(origin, dict) and set(origin) == {"mix", "bass"}
    if not is_known or not all(isinstance(name, str) for name in origin.values()):
        raise strange(path, "no features")
    model = build(path, MatchingModel, metadata["fields"])
    sides = {}
    for side in ("mix", "bass"):
        mean, std = (params[name].get(side, np.zeros(0, np.float32)) for name in ("mean", "std"))
        check_statistics(path, mean, std, max(1, mean.size))
        sides[side] = jax.ShapeDtypeStruct((1, model.window_frames, mean.size), np.float32)
    if not _is_ours(path):
        frames = jax.ShapeDtypeStruct((1,), np.int32)
        check_params(path, model, params["towers"], sides["mix"], sides["bass"], frames)
    return MatchingWeights(
        model,
        params["towers"],
        params["mean"],
        params["std"],
        metadata["bindings"],
        metadata["training"],
        file_checksum(tensors, metadata),
    )


def _is_ours(path: Path) -> bool:
    """Whether weights came with the package: those need not be checked at every start."""
    return Path(__file__).parent in path.resolve().parents


def _fields(model: CodecModel | UNet | MatchingModel) -> dict[str, Any]:
    names = [f.name for f in dataclasses.fields(model) if f.name not in ("parent", "name", "dtype")]
    return {name: getattr(model, name) for name in names}
