"""The latents that a config names, of seen and of unseen songs."""

from __future__ import annotations

import grain
import numpy as np
from ml_collections import ConfigDict

from bassdiff.data import pipeline, store
from bassdiff.errors import InputError
from bassdiff.pretrained.weights import CodecWeights

NUM_VALIDATION_CLIPS = 16


def open_stores(config: ConfigDict) -> dict[str, store.Store]:
    """The stores of both splits, which share their codecs and no song."""
    stores = {}
    for split, key in (("train", "latents"), ("validation", "validation_latents")):
        if not config.data[key]:
            raise InputError(
                f"config.data.{key} is empty; make latents with `bassdiff encode --split {split}` "
                "and name their folder"
            )
        stores[split] = store.Store(config.data[key])
    shared = set.intersection(*(set(s.manifest["names"]) for s in stores.values()))
    if shared:
        raise InputError(
            f"{config.data.latents} and {config.data.validation_latents} share songs, for "
            f"instance {min(shared)}; encode different splits"
        )
    codecs = [s.manifest["codecs"] for s in stores.values()]
    if codecs[0] != codecs[1]:
        raise InputError("training and validation latents come from different codecs; encode both")
    return stores


def check_codecs(
    config: ConfigDict,
    stores: dict[str, store.Store],
    weights: str,
    mix_codec: CodecWeights,
    bass_codec: CodecWeights,
) -> None:
    """Checks that latents are of these codecs, which `weights` names.

    Raises:
      InputError: If they are of others.
    """
    fingerprints = {"mix": mix_codec.fingerprint, "bass": bass_codec.fingerprint}
    if stores["train"].manifest["codecs"] != fingerprints:
        raise InputError(
            f"{config.data.latents} was not made by the codecs of {weights}; encode the songs with "
            f"--weights {weights}, or train on the codecs that made it"
        )


def latent_crops(config: ConfigDict, latents: store.Store) -> grain.MapDataset:
    """Pairs of a bass and a mix, `config.crop_frames` long."""
    crop = pipeline.LatentCrop(latents, config.crop_frames)
    return pipeline.examples(latents, crop, config.crop_frames, config.seed)


def unseen_clips(config: ConfigDict, stores: dict[str, store.Store]) -> dict[str, np.ndarray]:
    """The pairs that a run is validated on: `{"bass": [n, T, C], "mix": [n, T, C']}`."""
    crops = latent_crops(config, stores["validation"])
    rows = [crops[i] for i in range(NUM_VALIDATION_CLIPS)]
    return {name: np.stack([row[name] for row in rows]) for name in ("bass", "mix")}
