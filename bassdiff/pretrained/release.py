"""Finding weights by name or folder, and releasing those of finished runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from bassdiff.errors import InputError
from bassdiff.models.adapter import adapted
from bassdiff.pretrained.weights import (
    CodecWeights,
    MatchingWeights,
    UNetWeights,
    load_adapter,
    load_codec,
    load_matching,
    load_unet,
    save_codec,
    save_matching,
    save_unet,
)

UNET = "unet.safetensors"
ADAPTER = "adapter.safetensors"


@dataclasses.dataclass(frozen=True)
class Weights:
    """What a bassist is made of, checked to belong together."""

    mix_codec: CodecWeights
    bass_codec: CodecWeights
    unet: UNetWeights


def released() -> list[str]:
    """The names of the weights inside the package."""
    root = resources.files("bassdiff.pretrained")
    return sorted(
        item.name
        for item in root.iterdir()
        if (item / UNET).is_file() or (item / ADAPTER).is_file()
    )


def find(name_or_folder: str | Path) -> Path:
    """The folder that a name or path means; names of released weights win.

    Raises:
      InputError: If it is neither.
    """
    if str(name_or_folder) in released():
        return Path(str(resources.files("bassdiff.pretrained"))) / str(name_or_folder)
    folder = Path(name_or_folder)
    if not folder.is_dir():
        raise InputError(
            f"{name_or_folder} is neither a folder nor released weights; "
            f"choose among {', '.join(released())}"
        )
    return folder


def load_codecs(name_or_folder: str | Path) -> tuple[CodecWeights, CodecWeights]:
    """The mix's and the bass's codec of some weights."""
    folder = find(name_or_folder)
    mix_codec, bass_codec = (
        load_codec(folder / f"{kind}_codec.safetensors") for kind in ("mix", "bass")
    )
    return mix_codec, bass_codec


def load_weights(name_or_folder: str | Path) -> Weights:
    """Loads all three models of some weights.

    A folder with an adapter and no U-Net corrects the weights that it was trained on.

    Raises:
      InputError: If one is missing or damaged, or they do not belong together.
    """
    folder = find(name_or_folder)
    if (folder / ADAPTER).is_file() and not (folder / UNET).is_file():
        return _corrected(folder / ADAPTER)
    mix_codec, bass_codec = load_codecs(name_or_folder)
    unet = load_unet(find(name_or_folder) / UNET, mix_codec, bass_codec)
    return Weights(mix_codec, bass_codec, unet)


def _corrected(path: Path) -> Weights:
    adapter = load_adapter(path)
    base = load_weights(adapter.bindings["base"])
    if base.unet.checksum != adapter.bindings["unet"]:
        raise InputError(
            f"{path} was trained on other weights than {adapter.bindings['base']} has now; get "
            "adapter and weights of one release"
        )
    unet = dataclasses.replace(
        base.unet,
        params=adapted(base.unet.params, adapter.params),
        bindings={**base.unet.bindings, "sampling": adapter.bindings["sampling"]},
        training=adapter.training,
        checksum=adapter.checksum,
    )
    return dataclasses.replace(base, unet=unet)


def release(codecs: Path, unet: Path, folder: Path, matching: Sequence[Path] = ()) -> None:
    """Gathers the weights of finished runs into one folder.

    The mix's decoder is left out: playing needs only its encoder.

    Args:
      codecs: Folder with `mix_codec.safetensors` and `bass_codec.safetensors`.
      unet: The U-Net's file, or the folder that holds it.
      folder: Receives all of them; created.
      matching: Files of matching models, over latents of these codecs or over the spectrum.

    Raises:
      InputError: If they do not belong together.
    """
    mix_codec, bass_codec = load_codecs(codecs)
    judges = [load_matching(path) for path in matching]
    kinds = [
        _features(path, judge, mix_codec, bass_codec)
        for path, judge in zip(matching, judges, strict=True)
    ]
    if unet.is_dir():
        unet = unet / UNET
    network = load_unet(unet, mix_codec, bass_codec)
    mix_encoder = {"encoder": mix_codec.params["encoder"]}
    for kind, codec, params in (
        ("mix", mix_codec, mix_encoder),
        ("bass", bass_codec, bass_codec.params),
    ):
        path = folder / f"{kind}_codec.safetensors"
        save_codec(path, codec.model, params, codec.mean, codec.std, codec.training)
    save_unet(
        folder / UNET,
        network.model,
        network.params,
        network.bindings,
        network.training,
    )
    for kind, judge in zip(kinds, judges, strict=True):
        save_matching(
            folder / matching_name(kind),
            judge.model,
            judge.params,
            judge.mean,
            judge.std,
            judge.bindings,
            judge.training,
        )


def matching_name(kind: str) -> str:
    """The file of a matching model that reads features of a kind, "latents" or "spectrum"."""
    return f"matching_{kind}.safetensors"


def _features(
    path: Path, judge: MatchingWeights, mix_codec: CodecWeights, bass_codec: CodecWeights
) -> str:
    """The kind of features that a matching model reads; latents must be of these codecs."""
    origin = judge.bindings["features"]
    if origin == {"mix": "spectrum", "bass": "spectrum"}:
        return "spectrum"
    if origin != {"mix": mix_codec.fingerprint, "bass": bass_codec.fingerprint}:
        raise InputError(f"{path} was trained on the latents of other codecs; train it on these")
    return "latents"
