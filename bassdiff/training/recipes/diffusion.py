"""From a config to the training of a U-Net, or of an adapter of one."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import grain
import numpy as np
from ml_collections import ConfigDict

from bassdiff.diffusion.schedules import LEVELS
from bassdiff.diffusion.settings import Sampling
from bassdiff.models.stationary import stationary_init
from bassdiff.models.unet import UNet
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.release import UNET, find, has_adapter_only, load_codecs
from bassdiff.pretrained.weights import CodecWeights, UNetWeights, load_unet
from bassdiff.runtime.errors import InputError
from bassdiff.training import initialization
from bassdiff.training.diffusion import Conditioning, DiffusionObjective
from bassdiff.training.recipes.optimiser import adam, compute_dtype
from bassdiff.training.recipes.stores import (
    check_codecs,
    latent_crops,
    open_stores,
    target,
    unseen_clips,
)
from bassdiff.training.recipes.weights import check_model


def build(config: ConfigDict, workdir: Path) -> tuple[DiffusionObjective, grain.MapDataset]:
    """The diffusion objective and its crops of pre-encoded latents."""
    Sampling(**config.sampling)
    if config.levels not in LEVELS:
        raise InputError(f"config.levels={config.levels!r}; choose among {', '.join(LEVELS)}")
    mix_codec, bass_codec = codecs = load_codecs(config.data.codecs)
    unet, origin = initialization.start(
        workdir, config.init, functools.partial(_unet, config, codecs)
    )
    if unet is not None:
        model = unet.model.clone(
            dtype=compute_dtype(config),
            remat=config.model.get("remat", False),
            keep_products=config.model.get("keep_products", False),
        )
    elif config.adapter_rank or not config.model:
        raise InputError(
            "there are no weights for this run to adapt; name some by --init in a new --workdir"
        )
    else:
        model = new_model(config, bass_codec)
    if config.crop_frames < 1 or config.crop_frames % model.stride:
        raise InputError(
            f"config.crop_frames={config.crop_frames}; choose a multiple of {model.stride}"
        )
    mixtures = open_stores(config)
    check_codecs(config, mixtures, config.data.codecs, *codecs)
    crops = latent_crops(config, mixtures["train"])
    stationary = {}
    if unet is None:
        basses = np.stack([crops[i]["bass"] for i in range(config.num_fit_crops)])
        stationary = stationary_init(basses)
    sampling = config.sampling.to_dict()
    if unet is not None and config.adapter_rank:
        # An adapter is sampled as the network that it corrects.
        sampling = unet.bindings["sampling"]
    objective = new_objective(
        config,
        model,
        Codec(bass_codec),
        unseen_clips(config, mixtures),
        bindings={
            "mix_codec": mix_codec.fingerprint,
            "bass_codec": bass_codec.fingerprint,
            "target": target(mixtures["train"]),
            "sampling": sampling,
        },
        start=None if unet is None else unet.params,
        origin=origin,
        stationary=stationary,
    )
    return objective, crops


def new_model(config: ConfigDict, bass_codec: CodecWeights) -> UNet:
    """The network that a config describes, for the latents of a codec."""
    channels = bass_codec.model.num_channels
    return UNet(num_channels=channels, **config.model, dtype=compute_dtype(config))


def new_objective(
    config: ConfigDict,
    model: UNet,
    codec: Codec,
    validation: dict[str, np.ndarray],
    **of_weights: Any,
) -> DiffusionObjective:
    """The objective that a config describes.

    Args:
      config: The configuration.
      model: The model to train.
      codec: Codec of the basses.
      validation: See `DiffusionObjective`.
      of_weights: Initial weights and bindings.
    """
    return DiffusionObjective(
        model=model,
        optimizer=adam(config, b1=0.9, b2=0.99),
        levels=LEVELS[config.levels],
        ema_decay=config.ema_decay,
        conditioning=Conditioning(**config.conditioning),
        num_mix_channels=validation["mix"].shape[-1],
        crop_frames=config.crop_frames,
        validation=validation,
        decode=codec.decode,
        layout=codec.layout,
        num_parts=config.num_parts,
        adapter_rank=config.adapter_rank,
        **of_weights,
    )


def _unet(config: ConfigDict, codecs: tuple[CodecWeights, CodecWeights], name: str) -> UNetWeights:
    """Loads the U-Net to start from and checks its sizes and codecs."""
    folder = find(name)
    if has_adapter_only(folder):
        raise InputError(
            f"{name} only corrects a U-Net and has none to start from; name the weights that it "
            "corrects"
        )
    unet = load_unet(folder / UNET, *codecs)
    check_model(name, unet.model, config.model)
    return unet
