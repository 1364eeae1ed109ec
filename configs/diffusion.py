"""Latent diffusion.

    bassdiff encode --data midi:SONGS --weights runs/codecs --out runs/latents
    bassdiff encode --data midi:SONGS --split validation --weights runs/codecs --out runs/unseen
    bassdiff train diffusion --config configs/diffusion.py:small \
        --config.data.latents=runs/latents --config.data.validation_latents=runs/unseen \
        --config.data.codecs=runs/codecs --workdir runs/unet

size   parameters  hardware            time      expected
tiny   0.1 M       anything            seconds   nothing: for tests
small  15 M        2 CPU cores         90 min    see bassdiff/pretrained/small/CARD.md
base   190 M       v5e-16 or one H100  not run   not measured
"""

from ml_collections import ConfigDict

from bassdiff.training.run_config import default_sampling, latent_data, run_config


def get_config(size: str = "small") -> ConfigDict:
    """The configuration of one size."""
    config = run_config("diffusion")
    config.init = ""
    config.adapter_rank = 0
    config.model = ConfigDict(
        {
            "tiny": dict(widths=(16, 24), num_blocks=1, attention_levels=(1,), num_heads=2,
                         reach_frames=64),
            "small": dict(widths=(128, 192, 256, 384), num_blocks=2, attention_levels=(2, 3),
                          num_heads=4, reach_frames=256),
            # Widths and heads are multiples of 128, the size of a TPU's matrix unit.
            "base": dict(widths=(256, 512, 1024, 1024), num_blocks=3, attention_levels=(2, 3),
                         num_heads=8, reach_frames=512),
        }[size]
    )  # fmt: skip
    config.bfloat16 = size == "base"
    config.levels = "cosine"
    config.conditioning = ConfigDict(
        dict(drop_mix=0.1, drop_mix_low=0.7, mix_noise=0.4, drop_style=0.5)
    )
    config.learning_rate = {"tiny": 1e-3, "small": 6e-4, "base": 2e-4}[size]
    config.warmup_steps = {"tiny": 2, "small": 200, "base": 5_000}[size]
    config.weight_decay = 0.01
    config.ema_decay = {"tiny": 0.9, "small": 0.999, "base": 0.9999}[size]
    config.num_steps = {"tiny": 8, "small": 8_000, "base": 400_000}[size]
    config.batch_size = {"tiny": 8, "small": 8, "base": 512}[size]
    # Parts that a batch is processed in, and recomputation of blocks in the backward pass: both
    # trade time for memory.
    config.num_parts = 1
    config.model.remat = config.model.keep_products = size == "base"
    config.crop_frames = {"tiny": 32, "small": 512, "base": 512}[size]
    # Crops to which the linear part of a fresh network is fitted, in closed form.
    config.num_fit_crops = {"tiny": 16, "small": 256, "base": 1024}[size]
    config.checkpoint_every = {"tiny": 4, "small": 250, "base": 1_000}[size]
    config.validate_every = {"tiny": 8, "small": 500, "base": 5_000}[size]
    # Steps between scores of harmony and rhythm on the validation mixes; 0 for none.
    config.evaluate_every = {"tiny": 8, "small": 1_000, "base": 10_000}[size]
    config.log_every = {"tiny": 2, "small": 20, "base": 100}[size]
    config.sampling = default_sampling()
    config.data = latent_data(codecs="small")
    return config
