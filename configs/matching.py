"""The matching model: a contrastive judge of how well a bass fits a mix.

    bassdiff encode --features spectrum --data midi:SONGS --keys 2 --out runs/keys
    bassdiff encode --features spectrum --data midi:SONGS --keys 2 --split validation \
        --out runs/unseen_keys
    bassdiff train matching --config configs/matching.py:small \
        --config.data.latents=runs/keys --config.data.validation_latents=runs/unseen_keys \
        --workdir runs/matching

With `--features latents` it reads the latents of codecs instead, from which it learns the key
sooner and rhythm hardly: `evaluate` takes the mean of both models.

size   parameters  hardware     time     expected
tiny   0.05 M      anything     seconds  nothing: for tests
small  1.6 M       2 CPU cores  60 min   see bassdiff/pretrained/small/CARD.md
"""

from ml_collections import ConfigDict


def get_config(size: str = "small") -> ConfigDict:
    """The configuration of one size."""
    config = ConfigDict()
    config.objective = "matching"
    config.seed = 0
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
    config.gradient_clip = 1.0
    config.ema_decay = {"tiny": 0.9, "small": 0.998}[size]
    config.num_steps = {"tiny": 8, "small": 6_000}[size]
    # Songs, each of which gives `ConfusableCrops.NUM_VIEWS` pairs.
    config.batch_size = {"tiny": 8, "small": 16}[size]
    config.mesh = ConfigDict(dict(data=-1, fsdp=1))
    config.checkpoint_every = {"tiny": 4, "small": 500}[size]
    config.validate_every = {"tiny": 8, "small": 500}[size]
    config.log_every = {"tiny": 2, "small": 50}[size]
    config.step_seconds = 600.0
    # Processes that read; threads do where there are none, which is enough for latents.
    config.num_read_workers = 0
    # Each is a folder, or several as DIR*2+DIR*1, weighted.
    config.data = ConfigDict(dict(latents="", validation_latents=""))
    return config
