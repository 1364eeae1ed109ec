"""The verb `train`: from a config to a run in its workdir."""

from __future__ import annotations

import argparse
from pathlib import Path

from bassdiff.cli.config_values import config_words
from bassdiff.cli.configs import read_config
from bassdiff.runtime.compilation_cache import keep_programs
from bassdiff.runtime.devices import check_devices
from bassdiff.runtime.errors import InputError
from bassdiff.runtime.jobs import distributed_job


def train(arguments: argparse.Namespace) -> None:
    """Trains an autoencoder, a diffusion model, its fast form or a matching model."""
    from bassdiff.training import recipes

    keep_programs()
    init = [] if arguments.init is None else [f"--config.init={arguments.init}"]
    values = config_words(Path(arguments.values)) if arguments.values else []
    config = read_config(arguments.config, [*values, *init, *arguments.overrides])
    if config.objective != arguments.objective:
        raise InputError(
            f"{arguments.config} configures {config.objective}; run "
            f"`bassdiff train {config.objective}`"
        )
    with distributed_job():
        check_devices()
        recipes.run(config, Path(arguments.workdir), arguments.profile)


def train_words(sub: argparse.ArgumentParser) -> None:
    """Adds the options of `train`."""
    sub.add_argument(
        "objective",
        choices=("autoencoder", "diffusion", "distillation", "matching"),
        help="the model to train",
    )
    sub.add_argument(
        "--config",
        required=True,
        metavar="FILE:SIZE",
        help="a Python file, or the name of a config of the package; reading a config runs it, so "
        "use only files that you trust",
    )
    sub.add_argument(
        "--values",
        metavar="FILE",
        help="settings of the config as JSON or YAML, which are safe to read",
    )
    sub.add_argument("--workdir", required=True, help="checkpoints, logs and weights go here")
    sub.add_argument(
        "--profile",
        type=_steps,
        metavar="steps=A:B",
        help="write a profiler trace of these steps for TensorBoard",
    )
    sub.add_argument(
        "--init",
        metavar="NAME_OR_DIR",
        help="weights to start from instead of noise (autoencoder, diffusion); a resumed run keeps "
        "those that it began with",
    )
    sub.epilog = "Any key of the config can be set: --config.key=value."


def _steps(word: str) -> tuple[int, int]:
    start, _, end = word.removeprefix("steps=").partition(":")
    if not (start.isdecimal() and end.isdecimal() and 0 < int(start) <= int(end)):
        raise argparse.ArgumentTypeError(
            f"{word!r} is not a range of steps; write it as steps=100:105"
        )
    return int(start), int(end)
