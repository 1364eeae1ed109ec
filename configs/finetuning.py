"""Your own bass sound: a low-rank adapter of released or own weights, from a few of your songs.

    bassdiff encode --data stems:MY_SONGS --mixes 8 --out runs/latents
    bassdiff encode --data stems:MY_SONGS --split validation --out runs/unseen
    bassdiff train diffusion --config configs/finetuning.py:small --init small \
        --config.data.latents=runs/latents --config.data.validation_latents=runs/unseen \
        --workdir runs/mine
    bassdiff generate song.wav --adapter runs/mine/weights/adapter.safetensors

size   adapter         hardware     time     expected
tiny   rank 2          anything     seconds  nothing: for tests
small  rank 8, 1.2 MB  2 CPU cores  7 min    not measured with the weights of today

`--config.adapter_rank=0` trains the whole network instead (not measured).

A `--style` needs no training and does most of the work; an adapter and a style together come
closer. Strong guidance weakens what an adapter has learned.
"""

from ml_collections import ConfigDict

from bassdiff.training.run_config import default_sampling, latent_data, run_config


def get_config(size: str = "small") -> ConfigDict:
    """The configuration of one size."""
    config = run_config("diffusion")
    config.init = ""
    config.adapter_rank = {"tiny": 2, "small": 8}[size]
    # The model is that of the weights.
    config.model = ConfigDict()
    config.bfloat16 = False
    config.levels = "cosine"
    # Playing without a mix is not trained: guidance leads away from it.
    config.conditioning = ConfigDict(
        dict(drop_mix=0.0, drop_mix_low=0.0, mix_noise=0.0, drop_style=0.5)
    )
    config.learning_rate = {"tiny": 1e-3, "small": 2e-3}[size]
    config.warmup_steps = {"tiny": 2, "small": 20}[size]
    config.weight_decay = 0.0
    config.ema_decay = {"tiny": 0.9, "small": 0.98}[size]
    config.num_steps = {"tiny": 4, "small": 300}[size]
    config.batch_size = {"tiny": 8, "small": 8}[size]
    config.crop_frames = {"tiny": 32, "small": 192}[size]
    config.checkpoint_every = {"tiny": 4, "small": 50}[size]
    config.validate_every = {"tiny": 4, "small": 150}[size]
    config.evaluate_every = 0
    config.log_every = {"tiny": 2, "small": 10}[size]
    config.num_parts = 1
    # For adapter_rank=0; an adapter is sampled with the settings of the weights that it corrects.
    config.sampling = default_sampling()
    config.data = latent_data(codecs="small")
    return config
