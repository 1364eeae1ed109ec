"""Opens the stores of latents of a config, for training and validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import grain
import numpy as np
from ml_collections import ConfigDict

from bassdiff.data import pipeline
from bassdiff.data.mixture import Part, open_mixture
from bassdiff.data.quoting import folders_of
from bassdiff.data.store import Store, contents
from bassdiff.data.target import BASS
from bassdiff.pretrained.weights import CodecWeights
from bassdiff.runtime.errors import InputError

NUM_VALIDATION_CLIPS = 16

Mixtures: TypeAlias = dict[str, list[Part]]


def open_stores(config: ConfigDict) -> Mixtures:
    """Opens the stores of both splits and checks that they share codecs but no songs."""
    mixtures = {}
    for split, key in (("train", "latents"), ("validation", "validation_latents")):
        if not config.data[key]:
            raise InputError(
                f"config.data.{key} is empty; make latents with `bassdiff encode --split {split}` "
                "and name their folder"
            )
        mixtures[split] = open_mixture(config.data[key])
    seen, unseen = (
        {name for part in parts for name in part.store.manifest["names"]}
        for parts in mixtures.values()
    )
    if seen & unseen:
        raise InputError(
            f"{config.data.latents} and {config.data.validation_latents} share songs, for "
            f"instance {min(seen & unseen)}; encode different splits"
        )
    if origin(mixtures["train"]) != origin(mixtures["validation"]):
        raise InputError("training and validation latents come from different codecs; encode both")
    targets = sorted({target([part]) for parts in mixtures.values() for part in parts})
    if len(targets) > 1:
        raise InputError(f"latents are of several targets, {' and '.join(targets)}; use one")
    return mixtures


def target(parts: Sequence[Part]) -> str:
    """The stem that is played to the mixes of a mixture, see `data/target.py`."""
    return str(parts[0].store.manifest.get("target", BASS))


def origin(parts: Sequence[Part]) -> dict[str, str]:
    """The codecs, or other features, of a mixture's latents."""
    return parts[0].store.manifest["codecs"]


def data_contents(config: ConfigDict, workdir: Path) -> str:
    """Identifies the songs that a run learns from, and their weights.

    Args:
      config: The configuration.
      workdir: The run's folder, in which an autoencoder stores its songs.
    """
    if "latents" not in config.data:
        return contents([workdir / "data" / "train"])
    folders = folders_of(config.data.latents)
    weights = [weight for _, weight in folders if weight is not None]
    return "*".join([contents(folder for folder, _ in folders), *weights])


def check_codecs(
    config: ConfigDict,
    mixtures: Mixtures,
    weights: str,
    mix_codec: CodecWeights,
    bass_codec: CodecWeights,
) -> None:
    """Checks that latents come from the codecs of `weights`.

    Raises:
      InputError: If they come from other codecs.
    """
    fingerprints = {"mix": mix_codec.fingerprint, "bass": bass_codec.fingerprint}
    if origin(mixtures["train"]) != fingerprints:
        raise InputError(
            f"{config.data.latents} was not made by the codecs of {weights}; encode the songs with "
            f"--weights {weights}, or train on the codecs that made it"
        )


def mixed(
    parts: Sequence[Part], examples: Callable[[Store, int], grain.MapDataset], seed: int
) -> grain.MapDataset:
    """Interleaves the examples of a mixture's stores, each with its own seed.

    Args:
      parts: The mixture.
      examples: Makes the endless examples of a store, given a seed.
      seed: Seed of the first store; the others count up.

    Raises:
      InputError: If a store has no examples.
    """
    datasets = []
    for number, part in enumerate(parts):
        try:
            datasets.append(examples(part.store, seed + number))
        except InputError as error:
            raise InputError(f"{part.folder}: {error}") from error
    return pipeline.mixed(datasets, [part.weight for part in parts])


def latent_crops(config: ConfigDict, parts: Sequence[Part]) -> grain.MapDataset:
    """Pairs of a bass and a mix, `config.crop_frames` long."""

    def examples(store: Store, seed: int) -> grain.MapDataset:
        crop = pipeline.LatentCrop(store, config.crop_frames)
        return pipeline.examples(store, crop, config.crop_frames, seed)

    return mixed(parts, examples, config.seed)


def unseen_clips(config: ConfigDict, mixtures: Mixtures) -> dict[str, np.ndarray]:
    """The crops for validation, with the fields of `LatentCrop`, `[n, T, C]` each."""
    crops = latent_crops(config, mixtures["validation"])
    rows = [crops[i] for i in range(NUM_VALIDATION_CLIPS)]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
