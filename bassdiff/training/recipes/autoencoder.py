"""From a config to the training of a codec."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import grain
import numpy as np
from ml_collections import ConfigDict
from tqdm.auto import tqdm

from bassdiff.data import latents, pipeline, store_building
from bassdiff.data.sources import open_source
from bassdiff.data.store import Store
from bassdiff.data.target import BASS, aimed
from bassdiff.diffusion.types import Array, Cond
from bassdiff.models.codecs import CODECS
from bassdiff.models.discriminator import Discriminator
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.features import target_of
from bassdiff.pretrained.release import find, load_weights
from bassdiff.pretrained.weights import CodecWeights, UNetWeights, load_codec
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.jobs import first_process_first
from bassdiff.training import initialization
from bassdiff.training.autoencoder import AutoencoderObjective, LossWeights
from bassdiff.training.recipes.optimiser import adam, compute_dtype
from bassdiff.training.recipes.stores import NUM_VALIDATION_CLIPS
from bassdiff.training.recipes.weights import check_model
from bassdiff.training.sampled_latents import SampledLatents

# What codecs of each kind are trained on; "both" is one codec for basses and mixes.
_SIDES = {"bass": ("bass",), "mix": ("mix",), "spectrogram": ("bass", "mix", "both")}


def build(config: ConfigDict, workdir: Path) -> tuple[AutoencoderObjective, grain.MapDataset]:
    """The autoencoder's objective and its crops; stores waveforms under `workdir/data`."""
    if config.codec not in CODECS:
        raise InputError(f"config.codec={config.codec!r} is not a codec; use {', '.join(CODECS)}")
    if config.side not in _SIDES[config.codec]:
        raise InputError(
            f"config.side={config.side!r} is nothing that a codec of the kind {config.codec} is "
            f"trained on; use {' or '.join(_SIDES[config.codec])}"
        )
    if not 0.0 <= config.varied_share <= 1.0:
        raise InputError(f"config.varied_share={config.varied_share} is not a share; use 0 to 1")
    if not 0.0 <= config.sampled_share <= 1.0:
        raise InputError(f"config.sampled_share={config.sampled_share} is not a share; use 0 to 1")
    if config.fresh_decoder and config.train_encoder:
        raise InputError(
            "config.fresh_decoder is for an encoder that stays; set train_encoder=False"
        )
    try:
        model = CODECS[config.codec](**config.model, dtype=compute_dtype(config))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"config.model does not describe a codec of the kind {config.codec} ({error}); use "
            "configs/autoencoder.py:SIZE for basses, SIZE,mix for mixes and SIZE,paper for any "
            "sound"
        ) from error
    if config.crop_samples % model.hop:
        raise InputError(
            f"config.crop_samples={config.crop_samples} is not a whole number of latent frames; "
            f"use a multiple of {model.hop}"
        )
    codec, origin = initialization.start(workdir, config.init, functools.partial(_codec, config))
    if config.fresh_decoder and codec is None:
        raise InputError("config.fresh_decoder needs an encoder; name weights by config.init")
    if config.codec == "bass" and config.data.target != BASS:
        raise InputError(
            f"the codec of basses needs one low voice, which {config.data.target} are not; use "
            "configs/autoencoder.py:SIZE,paper"
        )
    stores = {}
    for split in ("train", "validation"):
        source = open_source(
            config.data.source,
            split,
            soundfonts=config.data.soundfonts,
            variants=config.data.variants if split == "train" else 1,
            max_seconds=config.data.max_seconds,
            with_bass=config.side != "mix",
        )
        folder = workdir / "data" / split
        with first_process_first(f"{split} songs"):
            store_building.build(
                folder,
                aimed(source, config.data.target),
                latents.waveform_fields(config.side, config.data.num_mixes),
                {"side": config.side, "split": split, **config.data.to_dict()},
                config.seed,
                functools.partial(tqdm, desc=f"{split} songs", unit="song"),
            )
            stores[split] = Store(folder)

    def crops(split: str, num_samples: int) -> grain.MapDataset:
        share = config.varied_share if split == "train" else 0.0
        crop = pipeline.WaveformCrop(stores[split], num_samples, varied_share=share)
        return pipeline.examples(stores[split], crop, num_samples, config.seed)

    def clips(split: str, count: int, num_samples: int) -> np.ndarray:
        dataset = crops(split, num_samples)
        return np.stack([dataset[i]["audio"] for i in range(count)])

    objective = AutoencoderObjective(
        model=model,
        target=config.data.target,
        side=config.side,
        discriminator=Discriminator(**config.discriminator, dtype=compute_dtype(config)),
        weights=LossWeights(**config.loss),
        optimizer=adam(config, b1=0.8, b2=0.99),
        discriminator_optimizer=adam(config, b1=0.8, b2=0.99),
        ema_decay=config.ema_decay,
        train_encoder=config.train_encoder,
        whitening=config.whitening,
        adversarial_from_step=config.adversarial_from_step,
        fit_clips=clips("train", config.num_fit_clips, 2 * config.crop_samples),
        validation_clips=clips("validation", NUM_VALIDATION_CLIPS, 2 * config.crop_samples),
        num_parts=config.num_parts,
        start=codec,
        origin=origin,
        sampled_latents=_sampled_latents(config, codec),
    )
    return objective, crops("train", config.crop_samples)


def _sampled_latents(config: ConfigDict, codec: CodecWeights | None) -> SampledLatents | None:
    """Shows the decoder latents sampled by `config.denoiser`, if configured."""
    if not config.denoiser:
        return None
    weights = load_weights(config.denoiser)
    fingerprint = None if codec is None else codec.fingerprint
    if config.train_encoder or weights.bass_codec.fingerprint != fingerprint:
        raise InputError(
            f"config.denoiser={config.denoiser} was trained on latents of another codec; name the "
            "codec that it was released with by --init, and set train_encoder=False"
        )
    bass = Codec(weights.bass_codec)
    return SampledLatents(
        functools.partial(_network, weights.unet),
        weights.bass_codec.mean,
        weights.bass_codec.std,
        bass.sound_channels,
        weights.mix_codec.model.num_channels,
        config.sampled_share,
    )


def _network(unet: UNetWeights, x: Array, sigma: Array, cond: Cond) -> Array:
    return unet.model.apply({"params": unet.params}, x, sigma, cond)


def _codec(config: ConfigDict, name: str) -> CodecWeights:
    """Loads the codec to start from and checks its sizes."""
    side = "bass" if config.side == "both" else config.side
    codec = load_codec(find(name) / f"{side}_codec.safetensors")
    if side == "bass" and target_of(codec) not in (None, config.data.target):
        raise InputError(
            f"the codec of {name} was trained on {target_of(codec)}; choose another start for "
            f"config.data.target={config.data.target}"
        )
    check_model(name, codec.model, config.model)
    if config.fresh_decoder:
        codec = dataclasses.replace(codec, params={"encoder": codec.params["encoder"]})
    return codec
