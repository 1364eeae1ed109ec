"""Distils weights to a few evaluations: an adapter that samples fast.

    bassdiff encode --data midi:SONGS --weights small --out runs/latents
    bassdiff encode --data midi:SONGS --split validation --weights small --out runs/unseen
    bassdiff train distillation --config configs/distillation.py:small \
        --config.data.latents=runs/latents --config.data.validation_latents=runs/unseen \
        --workdir runs/fast

size   adapter  hardware     time    expected
tiny   rank 2   anything     seconds nothing: for tests
small  rank 16  2 CPU cores  50 min  bassdiff/docs/experiments.md

The levels are those between which the teacher's Euler steps had the least error: the
dynamic program of arXiv 2106.03802 on the error of arXiv 2404.14507, with four unseen clips and 56
levels from 80 to 0.3.
"""

from ml_collections import ConfigDict

from bassdiff.training.run_config import latent_data, run_config


def get_config(size: str = "small") -> ConfigDict:
    """The configuration of one size."""
    config = run_config("distillation")
    config.teacher = "small"
    config.rank = {"tiny": 2, "small": 16}[size]
    config.levels = {"tiny": (80.0, 1.0), "small": (80.0, 4.207, 1.376, 0.45)}[size]
    # Guidance of the student in sampling, on top of the guidance that it has learned: 1 is none,
    # and other values take two evaluations a level. 1.5 gains less than 28 clips differ.
    config.extra_guidance = 1.0
    config.num_substeps = {"tiny": 2, "small": 4}[size]
    config.learning_rate = {"tiny": 1e-3, "small": 1e-3}[size]
    config.warmup_steps = {"tiny": 2, "small": 50}[size]
    config.weight_decay = 0.0
    config.ema_decay = {"tiny": 0.9, "small": 0.995}[size]
    config.num_steps = {"tiny": 4, "small": 2_000}[size]
    config.batch_size = {"tiny": 8, "small": 8}[size]
    config.crop_frames = {"tiny": 32, "small": 192}[size]
    config.checkpoint_every = {"tiny": 4, "small": 100}[size]
    config.validate_every = {"tiny": 4, "small": 250}[size]
    config.log_every = {"tiny": 2, "small": 20}[size]
    config.data = latent_data()
    return config
