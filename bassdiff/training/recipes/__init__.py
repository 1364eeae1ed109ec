"""Recipes: from a config to a run. Only recipes read config keys."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import grain
from ml_collections import ConfigDict

from bassdiff.diffusion.settings import Sampling
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.release import load_codecs
from bassdiff.runtime.atomic import check_folder, make_folder
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.jobs import agree
from bassdiff.training import initialization, sharding
from bassdiff.training.autoencoder import AutoencoderObjective
from bassdiff.training.diffusion import DiffusionObjective
from bassdiff.training.loop import train
from bassdiff.training.objective import Objective
from bassdiff.training.online_evaluation import OnlineEvaluation
from bassdiff.training.recipes import autoencoder, diffusion, distillation, matching
from bassdiff.training.recipes.optimiser import check_optimiser
from bassdiff.training.recipes.stores import data_contents
from bassdiff.training.schedule import Schedule
from bassdiff.training.state import TrainState
from bassdiff.training.workdir import check_same_run, finite, owned


def run(config: ConfigDict, workdir: Path, profile: tuple[int, int] | None = None) -> TrainState:
    """Trains the model of a config; resumes if `workdir` holds a checkpoint.

    Args:
      config: The configuration.
      workdir: Receives checkpoints, logs and weights.
      profile: First and last step of a profiler trace.

    Raises:
      InputError: If the config or its data cannot be used, or the run diverges.
      Preempted: After saving, if the job was asked to stop.
    """
    agree("configuration", config.to_json_best_effort(sort_keys=True))
    for key in ("num_steps", "batch_size", "checkpoint_every", "validate_every", "log_every"):
        if config[key] < 1:
            raise InputError(f"config.{key} is {config[key]}; choose 1 or more")
    if config.num_read_workers < 0:
        raise InputError(f"config.num_read_workers is {config.num_read_workers}; choose 0 or more")
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
    builders: dict[str, Callable[[ConfigDict, Path], tuple[Objective, grain.MapDataset]]] = {
        "autoencoder": autoencoder.build,
        "diffusion": diffusion.build,
        "distillation": distillation.build,
        "matching": matching.build,
    }
    # Checked before songs are read, on all devices that will train.
    num_devices = sharding.make_mesh(config.mesh.data, config.mesh.fsdp).size
    num_parts = config.get("num_parts", 1)
    if num_parts < 1 or config.batch_size % (num_parts * num_devices):
        raise InputError(
            f"config.batch_size is {config.batch_size}; choose a multiple of config.num_parts "
            f"({num_parts}) times the {num_devices} devices"
        )
    check_optimiser(config)
    check_folder(workdir)
    objective, dataset = builders[config.objective](config, workdir)
    # Only now, so that an invalid configuration leaves nothing behind.
    make_folder(workdir)
    with owned(workdir):
        check_same_run(
            workdir,
            {
                "objective": config.objective,
                "config.seed": config.seed,
                "config.batch_size": config.batch_size,
                "the number of examples": len(dataset),
                "the songs": data_contents(config, workdir),
            },
        )
        if isinstance(objective, AutoencoderObjective | DiffusionObjective):
            initialization.remember(workdir, objective.origin)
        schedule = Schedule(
            num_steps=config.num_steps,
            checkpoint_every=config.checkpoint_every,
            log_every=config.log_every,
            validate_every=config.validate_every,
            evaluate_every=config.get("evaluate_every", 0),
            profile=profile,
            step_seconds=config.step_seconds,
        )
        state = train(
            objective,
            dataset,
            workdir,
            schedule,
            seed=config.seed,
            batch_size=config.batch_size,
            mesh_shape=(config.mesh.data, config.mesh.fsdp),
            num_read_workers=config.num_read_workers,
            evaluate=_online_evaluation(config, objective),
        )
    if not finite((state.params, state.ema)):
        raise InputError(
            f"the weights that were trained in {workdir} are not finite; lower "
            "config.learning_rate, and look at the data"
        )
    return state


def _online_evaluation(config: ConfigDict, objective: Objective) -> OnlineEvaluation | None:
    """Scores a diffusion model's basses, if configured and possible with its codecs."""
    if not isinstance(objective, DiffusionObjective) or not config.evaluate_every:
        return None
    mix_codec, _ = load_codecs(config.data.codecs)
    if "decoder" not in mix_codec.params:
        warnings.warn(
            f"the mix codec of {config.data.codecs} has no decoder, so basses are not scored "
            "during training; score the weights with `bassdiff evaluate music`",
            stacklevel=2,
        )
        return None
    guidance = Sampling.of_weights(objective.bindings).guidance
    return OnlineEvaluation(objective, Codec(mix_codec).decode, guidance)
