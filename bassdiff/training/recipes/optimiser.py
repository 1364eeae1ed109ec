"""The optimiser and the compute type of a config."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from bassdiff.diffusion.types import PyTree
from bassdiff.runtime.errors import InputError


def compute_dtype(config: ConfigDict) -> jnp.dtype:
    """The type in which networks compute; parameters are float32."""
    return jnp.bfloat16 if config.bfloat16 else jnp.float32


def check_optimiser(config: ConfigDict) -> None:
    """Checks the numbers that `adam` takes.

    Raises:
      InputError: One is out of range.
    """
    for key, is_right, remedy in (
        ("learning_rate", 0.0 < config.learning_rate < 1.0, "between 0 and 1"),
        ("gradient_clip", 0.0 < config.gradient_clip < np.inf, "above 0"),
        ("weight_decay", 0.0 <= config.weight_decay < np.inf, "of 0 or more"),
        ("warmup_steps", config.warmup_steps >= 0, "of 0 or more"),
    ):
        if not is_right:
            raise InputError(f"config.{key} is {config[key]}; choose a number {remedy}")
    if config.num_steps <= config.warmup_steps:
        raise InputError(
            f"config.num_steps is {config.num_steps} and the learning rate is warmed up for "
            f"{config.warmup_steps}; train longer or lower config.warmup_steps"
        )


def adam(config: ConfigDict, b1: float, b2: float) -> optax.GradientTransformation:
    """AdamW on clipped gradients with warm-up and cosine decay.

    Weight decay applies to kernels only, not to gains, biases and closed-form parameters.
    """
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, config.warmup_steps, config.num_steps, config.learning_rate / 20
    )
    return optax.chain(
        optax.clip_by_global_norm(config.gradient_clip),
        optax.adamw(schedule, b1=b1, b2=b2, weight_decay=config.weight_decay, mask=_kernels),
    )


def _kernels(params: PyTree) -> PyTree:
    """True for every leaf that is a kernel."""
    return jax.tree.map_with_path(lambda path, _: path[-1].key == "kernel", params)
