"""From a config to a run: the only place where config keys meet the library's arguments."""

from __future__ import annotations

import functools
from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict
from tqdm import tqdm

from bassdiff.appraisal.rehearsal import Rehearsal
from bassdiff.audio.atomic import check_folder
from bassdiff.data import latents, pipeline, store
from bassdiff.data.sources import open_source
from bassdiff.diffusion.schedules import LEVELS
from bassdiff.errors import InputError
from bassdiff.models.autoencoder import Autoencoder
from bassdiff.models.discriminator import Discriminator
from bassdiff.models.matching import MatchingModel
from bassdiff.models.unet import UNet
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.release import UNET, find, has_adapter_only, load_codecs, load_weights
from bassdiff.pretrained.weights import CodecWeights, UNetWeights, load_codec, load_unet
from bassdiff.runtime import agree, first_process_first
from bassdiff.sampling import FITTED, Sampling
from bassdiff.training import partition, start
from bassdiff.training.autoencoder import AutoencoderObjective, LossWeights
from bassdiff.training.diffusion import DiffusionObjective
from bassdiff.training.distillation import DistillationObjective
from bassdiff.training.loop import Objective, Schedule, train
from bassdiff.training.matching import MatchingObjective
from bassdiff.training.state import TrainState

NUM_VALIDATION_CLIPS = 16
NUM_VALIDATION_SONGS = 32
NUM_STATISTICS_SONGS = 64


def run(config: ConfigDict, workdir: Path, profile: tuple[int, int] | None = None) -> TrainState:
    """Trains what the config describes; resumes if `workdir` holds a checkpoint.

    Args:
      config: The configuration.
      workdir: Receives everything.
      profile: First and last step of a profiler trace.

    Raises:
      InputError: If the config or its data cannot be used, or the run diverges.
      Preempted: If the job was asked to end, after saving.
    """
    agree("configuration", config.to_json_best_effort(sort_keys=True))
    for key in ("num_steps", "batch_size", "checkpoint_every", "validate_every", "log_every"):
        if config[key] < 1:
            raise InputError(f"config.{key} is {config[key]}; choose 1 or more")
    if config.get("evaluate_every", 0) % config.validate_every:
        raise InputError(
            f"config.evaluate_every is {config.evaluate_every}; choose a multiple of "
            f"config.validate_every, {config.validate_every}, or 0"
        )
    if profile and profile[1] > config.num_steps:
        raise InputError(
            f"--profile asks for step {profile[1]} of a run of {config.num_steps} steps; choose "
            "earlier ones"
        )
    build = {
        "autoencoder": autoencoder,
        "diffusion": diffusion,
        "distillation": distillation,
        "matching": matching,
    }[config.objective]
    mesh = partition.make_mesh(config.mesh.data, config.mesh.fsdp)
    if config.batch_size % mesh.size:
        raise InputError(
            f"config.batch_size is {config.batch_size}; choose a multiple of the {mesh.size} "
            "devices"
        )
    check_folder(workdir)
    objective, dataset = build(config, workdir)
    # Not before: a configuration that cannot be used leaves nothing behind.
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{workdir} cannot be created ({error.strerror}); choose another --workdir"
        ) from error
    if isinstance(objective, AutoencoderObjective | DiffusionObjective):
        start.remember(workdir, objective.origin)
    schedule = Schedule(
        num_steps=config.num_steps,
        checkpoint_every=config.checkpoint_every,
        log_every=config.log_every,
        validate_every=config.validate_every,
        evaluate_every=config.get("evaluate_every", 0),
        profile=profile,
        step_seconds=config.step_seconds,
    )
    evaluate = None
    if isinstance(objective, DiffusionObjective) and schedule.evaluate_every:
        mix_codec, _ = load_codecs(config.data.codecs)
        guidance = Sampling.of_weights(objective.bindings).guidance
        evaluate = Rehearsal(objective, Codec(mix_codec).decode, guidance)
    return train(
        objective,
        dataset,
        workdir,
        schedule,
        seed=config.seed,
        batch_size=config.batch_size,
        mesh_shape=(config.mesh.data, config.mesh.fsdp),
        evaluate=evaluate,
    )


def autoencoder(config: ConfigDict, workdir: Path) -> tuple[Objective, grain.MapDataset]:
    """The autoencoder's objective and its crops; stores waveforms under `workdir/data`."""
    if config.kind not in ("bass", "mix"):
        raise InputError(f"config.kind={config.kind!r} is not a codec; use bass or mix")
    model = Autoencoder(**config.model, dtype=compute_dtype(config))
    codec, origin = start.start(workdir, config.init, functools.partial(_codec, config))
    stores = {}
    for split in ("train", "validation"):
        source = open_source(
            config.data.source,
            split,
            soundfonts=config.data.soundfonts,
            variants=config.data.variants if split == "train" else 1,
            max_seconds=config.data.max_seconds,
        )
        with first_process_first(f"{split} songs"):
            stores[split] = store.build(
                workdir / "data" / split,
                source,
                latents.waveform_fields(config.kind, config.data.num_mixes),
                {"kind": config.kind, "split": split, **config.data.to_dict()},
                config.seed,
                functools.partial(tqdm, desc=f"{split} songs", unit="song"),
            )

    def crops(split: str, num_samples: int) -> grain.MapDataset:
        crop = pipeline.WaveformCrop(stores[split], num_samples)
        return pipeline.examples(stores[split], crop, num_samples, config.seed)

    def clips(split: str, count: int, num_samples: int) -> np.ndarray:
        dataset = crops(split, num_samples)
        return np.stack([dataset[i]["audio"] for i in range(count)])

    objective = AutoencoderObjective(
        model=model,
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
        kind=config.kind,
        start=codec,
        origin=origin,
    )
    return objective, crops("train", config.crop_samples)


def _codec(config: ConfigDict, name: str) -> CodecWeights:
    """The codec to start from, checked to be of the config's model."""
    codec = load_codec(find(name) / f"{config.kind}_codec.safetensors")
    _check_model(name, codec.model, config.model)
    if "decoder" not in codec.params:
        raise InputError(
            f"{name} has no decoder of mixes to start from; name the weights of the run that "
            "trained it"
        )
    return codec


def diffusion(config: ConfigDict, workdir: Path) -> tuple[Objective, grain.MapDataset]:
    """The diffusion objective and its crops of pre-encoded latents."""
    Sampling(**config.sampling)
    if config.levels not in LEVELS:
        raise InputError(f"config.levels={config.levels!r}; choose among {', '.join(LEVELS)}")
    mix_codec, bass_codec = codecs = load_codecs(config.data.codecs)
    unet, origin = start.start(workdir, config.init, functools.partial(_unet, config, codecs))
    if unet is not None:
        model = unet.model.clone(
            dtype=compute_dtype(config), remat=config.model.get("remat", False)
        )
    elif config.adapter_rank or not config.model:
        raise InputError(
            "there are no weights for this run to adapt; name some by --init in a new --workdir"
        )
    else:
        channels = bass_codec.model.num_channels
        model = UNet(num_channels=channels, **config.model, dtype=compute_dtype(config))
    if config.crop_frames < 1 or config.crop_frames % model.stride:
        raise InputError(
            f"config.crop_frames={config.crop_frames}; choose a multiple of {model.stride}"
        )
    stores = _stores(config)
    if stores["train"].manifest["codecs"] != {
        "mix": mix_codec.fingerprint,
        "bass": bass_codec.fingerprint,
    }:
        raise InputError(
            f"{config.data.latents} was not made by the codecs {config.data.codecs}; "
            "name those it was made by in config.data.codecs"
        )

    def crops(split: str) -> grain.MapDataset:
        crop = pipeline.LatentCrop(stores[split], config.crop_frames)
        return pipeline.examples(stores[split], crop, config.crop_frames, config.seed)

    sampling = config.sampling.to_dict()
    if unet is not None and config.adapter_rank:
        # An adapter is sampled as the network that it corrects.
        sampling = unet.bindings["sampling"]
    unseen = [crops("validation")[i] for i in range(NUM_VALIDATION_CLIPS)]
    validation = {name: np.stack([row[name] for row in unseen]) for name in ("bass", "mix")}
    objective = DiffusionObjective(
        model=model,
        optimizer=adam(config, b1=0.9, b2=0.99),
        levels=LEVELS[config.levels],
        ema_decay=config.ema_decay,
        drop_mix=config.drop_mix,
        num_mix_channels=validation["mix"].shape[-1],
        crop_frames=config.crop_frames,
        validation=validation,
        decode=Codec(bass_codec).decode,
        bindings={
            "mix_codec": mix_codec.fingerprint,
            "bass_codec": bass_codec.fingerprint,
            "sampling": sampling,
        },
        sound_channels=Codec(bass_codec).sound_channels,
        num_parts=_parts(config),
        start=None if unet is None else unet.params,
        adapter_rank=config.adapter_rank,
        origin=origin,
    )
    return objective, crops("train")


def _unet(config: ConfigDict, codecs: tuple[CodecWeights, CodecWeights], name: str) -> UNetWeights:
    """The U-Net to start from, checked to be of the config's model and codecs."""
    folder = find(name)
    if has_adapter_only(folder):
        raise InputError(
            f"{name} only corrects a U-Net and has none to start from; name the weights that it "
            "corrects"
        )
    unet = load_unet(folder / UNET, *codecs)
    _check_model(name, unet.model, config.model)
    return unet


def distillation(config: ConfigDict, workdir: Path) -> tuple[Objective, grain.MapDataset]:
    """The objective of few steps and its crops of pre-encoded latents."""
    del workdir
    stores = _stores(config)
    weights = load_weights(config.teacher)
    defaults = Sampling.of_weights(weights.unet.bindings)
    if stores["train"].manifest["codecs"] != {
        "mix": weights.mix_codec.fingerprint,
        "bass": weights.bass_codec.fingerprint,
    }:
        raise InputError(
            f"{config.data.latents} was not made by the codecs of {config.teacher}; encode the "
            f"songs with --weights {config.teacher}"
        )

    def crops(split: str) -> grain.MapDataset:
        crop = pipeline.LatentCrop(stores[split], config.crop_frames)
        return pipeline.examples(stores[split], crop, config.crop_frames, config.seed)

    unseen = [crops("validation")[i] for i in range(NUM_VALIDATION_CLIPS)]
    objective = DistillationObjective(
        model=weights.unet.model,
        teacher=jax.tree.map(jnp.asarray, weights.unet.params),
        optimizer=adam(config, b1=0.9, b2=0.99),
        ema_decay=config.ema_decay,
        rank=config.rank,
        levels=np.asarray(config.levels, np.float32),
        sigma_min=defaults.sigma_min,
        num_substeps=config.num_substeps,
        guidance=defaults.guidance,
        rescale=defaults.rescale,
        validation={name: np.stack([row[name] for row in unseen]) for name in ("bass", "mix")},
        bindings={
            "base": config.teacher,
            "unet": weights.unet.checksum,
            "sampling": {
                "solver": "euler",
                "schedule": FITTED,
                "levels": [float(level) for level in config.levels],
                "steps": len(config.levels),
                "guidance_kind": "none",
            },
        },
    )
    return objective, crops("train")


def matching(config: ConfigDict, workdir: Path) -> tuple[Objective, grain.MapDataset]:
    """The matching model's objective and its confusable crops of pre-encoded features."""
    del workdir
    stores = _stores(config)
    model = MatchingModel(**config.model, dtype=compute_dtype(config))

    def crops(split: str) -> grain.MapDataset:
        crop = pipeline.ConfusableCrops(stores[split], model.window_frames)
        return pipeline.examples(stores[split], crop, crop.min_frames, config.seed)

    seen = [crops("train")[i] for i in range(NUM_STATISTICS_SONGS)]
    unseen = [crops("validation")[i] for i in range(NUM_VALIDATION_SONGS)]
    rows = {
        side: np.concatenate([song[side].reshape(-1, song[side].shape[-1]) for song in seen])
        for side in ("mix", "bass")
    }
    objective = MatchingObjective(
        model=model,
        optimizer=adam(config, b1=0.9, b2=0.98),
        ema_decay=config.ema_decay,
        noise=config.noise,
        mean={side: values.mean(axis=0) for side, values in rows.items()},
        # A channel that hardly moves says nothing, and must not be made to shout.
        std={side: np.maximum(values.std(axis=0), 0.02) for side, values in rows.items()},
        validation={side: np.stack([song[side] for song in unseen]) for side in ("mix", "bass")},
        bindings={"features": stores["train"].manifest["codecs"]},
    )
    return objective, crops("train")


def _stores(config: ConfigDict) -> dict[str, store.Store]:
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


def _parts(config: ConfigDict) -> int:
    """Parts of a batch, each of which is still split over all devices."""
    if config.num_parts < 1 or config.batch_size % (config.num_parts * jax.device_count()):
        raise InputError(
            f"config.batch_size is {config.batch_size}; choose a multiple of config.num_parts "
            f"({config.num_parts}) times the {jax.device_count()} devices"
        )
    return int(config.num_parts)


def _check_model(name: str, model: Autoencoder | UNet, wanted: ConfigDict) -> None:
    """Checks that weights are of the model that a config describes; what it leaves out fits."""
    for key, value in wanted.items():
        # How its memory is used is no part of a model.
        if key != "remat" and getattr(model, key) != value:
            raise InputError(
                f"config.model.{key} is {value} and {name} has {getattr(model, key)}; describe "
                "the model of the weights that the run starts from"
            )


def compute_dtype(config: ConfigDict) -> jnp.dtype:
    """The type that networks compute in; parameters are float32."""
    return jnp.bfloat16 if config.bfloat16 else jnp.float32


def adam(config: ConfigDict, b1: float, b2: float) -> optax.GradientTransformation:
    """AdamW on clipped gradients, warmed up and cooled down as the config says."""
    if config.num_steps <= config.warmup_steps:
        raise InputError(
            f"config.num_steps is {config.num_steps} and the learning rate is warmed up for "
            f"{config.warmup_steps}; train longer or lower config.warmup_steps"
        )
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, config.warmup_steps, config.num_steps, config.learning_rate / 20
    )
    return optax.chain(
        optax.clip_by_global_norm(config.gradient_clip),
        optax.adamw(schedule, b1=b1, b2=b2, weight_decay=config.weight_decay),
    )
