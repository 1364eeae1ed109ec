"""The matching model: a contrastive judge of how well a bass fits a mix.

    bassdiff encode --features spectrum --data midi:SONGS --keys 2 --out runs/keys
    bassdiff encode --features spectrum --data midi:SONGS --keys 2 --split validation \
        --out runs/unseen_keys
    bassdiff train matching --config configs/matching.py:small \
        --config.data.latents=runs/keys --config.data.validation_latents=runs/unseen_keys \
        --workdir runs/matching

With `--features latents` it reads the latents of codecs, which teach it the key sooner but hardly
any rhythm: `evaluate` takes the mean of both models.

size   parameters  hardware     time     expected
tiny   0.05 M      anything     seconds  nothing: for tests
small  1.6 M       2 CPU cores  60 min   see bassdiff/pretrained/small/CARD.md
"""

from ml_collections import ConfigDict

from bassdiff.training.run_config import latent_data, run_config


def get_config(size: str = "small") -> ConfigDict:
    """The configuration of one size."""
    config = run_config("matching")
    config.model = ConfigDict(
        {
            "tiny": dict(width=16, num_blocks=1, num_heads=2, reach_frames=16,
                         embedding_size=16, window_frames=16),
            "small": dict(width=96, num_blocks=2, num_heads=4, reach_frames=128,
                          embedding_size=128, window_frames=128),
        }[size]
    )  # fmt: skip
    config.bfloat16 = False
    config.noise = 0.3
    config.learning_rate = {"tiny": 1e-3, "small": 1e-3}[size]
    config.warmup_steps = {"tiny": 2, "small": 200}[size]
    config.weight_decay = 0.05
    config.ema_decay = {"tiny": 0.9, "small": 0.998}[size]
    config.num_steps = {"tiny": 8, "small": 6_000}[size]
    # In songs; each gives `ConfusableCrops.NUM_VIEWS` pairs.
    config.batch_size = {"tiny": 8, "small": 16}[size]
    config.checkpoint_every = {"tiny": 4, "small": 500}[size]
    config.validate_every = {"tiny": 8, "small": 500}[size]
    config.log_every = {"tiny": 2, "small": 50}[size]
    config.data = latent_data()
    return config
