"""Finds weights by name or folder, and releases those of finished runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax

from bassdiff.data.target import BASS
from bassdiff.diffusion.settings import Sampling
from bassdiff.models.adapter import adapted
from bassdiff.pretrained.checks import check_adapter
from bassdiff.pretrained.weights import (
    AdapterWeights,
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
from bassdiff.runtime.errors import InputError

UNET = "unet.safetensors"
ADAPTER = "adapter.safetensors"


@dataclasses.dataclass(frozen=True)
class Weights:
    """The weights of a generator, checked to belong together."""

    mix_codec: CodecWeights
    bass_codec: CodecWeights
    unet: UNetWeights

    @property
    def target(self) -> str:
        """The stem that they play, see `data/target.py`."""
        return str(self.unet.bindings.get("target", BASS))

    @property
    def fingerprints(self) -> dict[str, str]:
        """What identifies them."""
        return {
            "unet": self.unet.checksum,
            "mix_codec": self.mix_codec.checksum,
            "bass_codec": self.bass_codec.checksum,
        }


# The licence of released weights; see their card.
LICENCE = "Apache-2.0"


def released() -> list[str]:
    """The names of the weights inside the package."""
    root = resources.files("bassdiff.pretrained")
    return sorted(
        item.name
        for item in root.iterdir()
        if (item / UNET).is_file() or (item / ADAPTER).is_file()
    )


def described(name_or_folder: str, fingerprints: Mapping[str, str]) -> dict[str, str]:
    """What records say of weights: their name, fingerprints and licence."""
    about = {"name": Path(name_or_folder).name, **fingerprints}
    return {**about, "licence": LICENCE} if name_or_folder in released() else about


def find(name_or_folder: str | Path) -> Path:
    """The folder of weights; names of released weights take precedence over paths.

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


def load_weights(name_or_folder: str | Path, adapter: str | Path | None = None) -> Weights:
    """Loads all three models of some weights.

    A folder with an adapter and no U-Net corrects the weights that it was trained on.

    Args:
      name_or_folder: Which weights.
      adapter: File, or its folder, of an adapter of their U-Net. Several adapters of one U-Net
        add up, one that distils with one of a sound, as in arXiv 2311.05556.

    Raises:
      InputError: If one is missing or damaged, or they do not belong together.
    """
    folder = find(name_or_folder)
    if adapter is not None:
        path = Path(adapter) / ADAPTER if Path(adapter).is_dir() else Path(adapter)
        # Before what takes longer to load.
        given = load_adapter(path)
    if has_adapter_only(folder):
        own = load_adapter(folder / ADAPTER)
        base = own.bindings["base"]
        # Only one level: adapters of adapters, or of themselves, would not end.
        if has_adapter_only(find(base)):
            raise InputError(
                f"{folder / ADAPTER} corrects {base}, which is an adapter too; name weights with a "
                f"{UNET} of their own, and give the adapter by --adapter"
            )
        weights = _corrected(load_weights(base), base, own, folder / ADAPTER)
    else:
        mix_codec, bass_codec = load_codecs(folder)
        unet = load_unet(folder / UNET, mix_codec, bass_codec)
        weights = Weights(mix_codec, bass_codec, unet)
    if adapter is None:
        return weights
    return _corrected(weights, name_or_folder, given, path)


def has_adapter_only(folder: Path) -> bool:
    """Whether a folder holds only an adapter of other weights."""
    return (folder / ADAPTER).is_file() and not (folder / UNET).is_file()


def has_codecs_only(folder: Path) -> bool:
    """Whether a folder holds codecs and nothing that plays."""
    has_codecs = (folder / "bass_codec.safetensors").is_file()
    return has_codecs and not (folder / UNET).is_file() and not (folder / ADAPTER).is_file()


def _corrected(weights: Weights, name: str | Path, adapter: AdapterWeights, path: Path) -> Weights:
    unet = weights.unet
    if unet.parts[0] != adapter.bindings["unet"]:
        raise InputError(
            f"{path} was trained on other weights than {name} has, those of "
            f"{adapter.bindings['base']} at that time; use an adapter and weights that belong "
            "together"
        )
    if adapter.checksum in unet.parts:
        raise InputError(f"{path} is part of the weights {name} already; leave out the adapter")
    check_adapter(path, unet.params, adapter.params)
    corrected = dataclasses.replace(
        unet,
        params=adapted(unet.params, adapter.params),
        bindings={
            **unet.bindings,
            "sampling": adapter.bindings.get("sampling", unet.bindings["sampling"]),
        },
        training=adapter.training,
        parts=(*unet.parts, adapter.checksum),
    )
    return dataclasses.replace(weights, unet=corrected)


def release(
    codecs: Path,
    unet: Path,
    folder: Path,
    matching: Sequence[Path] = (),
    average: tuple[str | Path, float] | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Gathers the weights of finished runs into one folder.

    Args:
      codecs: Folder with `mix_codec.safetensors` and `bass_codec.safetensors`.
      unet: The U-Net's file, or the folder that holds it.
      folder: Receives all of them; created.
      matching: Files of matching models, over latents of these codecs or over the spectrum.
      average: Weights whose U-Net is averaged into this one, such as those that its training began
        from, and their share, 0 to 1.
      settings: Defaults of sampling that differ from the run's.

    Raises:
      InputError: If they do not belong together, or a setting is invalid.
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
    if average is not None:
        other = load_unet(find(average[0]) / UNET, mix_codec, bass_codec)
        network = _averaged(network, other, *average)
    Sampling.of_weights(network.bindings).changed(**settings)
    sampling = {**network.bindings["sampling"], **settings}
    for kind, codec in (("mix", mix_codec), ("bass", bass_codec)):
        path = folder / f"{kind}_codec.safetensors"
        save_codec(path, codec.model, codec.params, codec.mean, codec.std, codec.training)
    save_unet(
        folder / UNET,
        network.model,
        network.params,
        {**network.bindings, "sampling": sampling},
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


def _averaged(
    network: UNetWeights, other: UNetWeights, name: str | Path, share: float
) -> UNetWeights:
    """The weighted mean of two networks of one shape, in which `other`, of `name`, has a share."""
    if not 0.0 <= share <= 1.0:
        raise InputError(f"{share} is not a share of the average; use 0 to 1")
    if other.model != network.model:
        raise InputError(f"the U-Net of {name} has another shape; average weights of one config")
    params = jax.tree.map(
        lambda own, others: ((1.0 - share) * own + share * others).astype(own.dtype),
        network.params,
        other.params,
    )
    training = {**network.training, "average": {"of": other.checksum, "share": share}}
    return dataclasses.replace(network, params=params, training=training)


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
