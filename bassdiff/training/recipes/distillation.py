"""From a config to the distillation of a model."""

from __future__ import annotations

from pathlib import Path

import grain
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from bassdiff.diffusion.sampling import make_guidance
from bassdiff.diffusion.settings import FITTED, Sampling
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.release import load_weights
from bassdiff.training.distillation import DistillationObjective
from bassdiff.training.recipes.optimiser import adam
from bassdiff.training.recipes.stores import check_codecs, latent_crops, open_stores, unseen_clips


def build(config: ConfigDict, workdir: Path) -> tuple[DistillationObjective, grain.MapDataset]:
    """The distillation objective and its crops of pre-encoded latents."""
    del workdir
    mixtures = open_stores(config)
    weights = load_weights(config.teacher)
    defaults = Sampling.of_weights(weights.unet.bindings)
    check_codecs(config, mixtures, config.teacher, weights.mix_codec, weights.bass_codec)
    objective = DistillationObjective(
        model=weights.unet.model,
        teacher=jax.tree.map(jnp.asarray, weights.unet.params),
        optimizer=adam(config, b1=0.9, b2=0.99),
        ema_decay=config.ema_decay,
        rank=config.rank,
        levels=np.asarray(config.levels, np.float32),
        sigma_min=defaults.sigma_min,
        num_substeps=config.num_substeps,
        contrast=make_guidance(defaults),
        layout=Codec(weights.bass_codec).layout,
        validation=unseen_clips(config, mixtures),
        bindings={
            "base": config.teacher,
            "unet": weights.unet.checksum,
            "sampling": {
                **weights.unet.bindings["sampling"],
                "solver": "euler",
                "schedule": FITTED,
                "levels": [float(level) for level in config.levels],
                "steps": len(config.levels),
                "guidance_kind": "none" if config.extra_guidance == 1.0 else "cfg",
                "guidance": config.extra_guidance,
            },
        },
    )
    return objective, latent_crops(config, mixtures["train"])
