"""Audio autoencoders.

    bassdiff train autoencoder --config configs/autoencoder.py:small \
        --config.data.source=midi:SONGS --workdir runs/codecs/bass
    bassdiff train autoencoder --config configs/autoencoder.py:small,mix \
        --config.data.source=midi:SONGS+mixes:RECORDINGS --workdir runs/codecs/mix
    bassdiff train autoencoder --config configs/autoencoder.py:small,paper,both \
        --config.data.source=midi:SONGS --workdir runs/codecs

size   bass, mix      paper   hardware            time      expected
tiny   0.01, 0.02 M   0.05 M  anything            seconds   nothing: for tests
small  0.8, 1.1 M     4.2 M   2 CPU cores         30 min    see bassdiff/pretrained/small/CARD.md
base   23, 61 M       80 M    v5e-16 or one H100  not run   not measured
"""

from ml_collections import ConfigDict

from bassdiff.training.run_config import run_config


def get_config(which: str = "small") -> ConfigDict:
    """`which` is SIZE for the bass codec, SIZE,mix for the codec of mixes, or SIZE,paper.

    The paper's codec, of any sound, is trained on basses, with ",mix" on mixes, and with ",both" on
    all, as one codec for both. Its size, left out, is base.
    """
    size, *options = which.split(",")
    if size == "paper":
        size, options = "base", ["paper", *options]
    config = run_config("autoencoder")
    is_paper = "paper" in options
    config.side = next((side for side in ("mix", "both") if side in options), "bass")
    config.codec = "spectrogram" if is_paper else config.side
    config.init = ""
    # Take only the encoder of `init`, and fit a decoder to it.
    config.fresh_decoder = False
    config.model = ConfigDict(
        {
            # A mix has no single pitch and is only encoded: channels of equal variance, from narrow
            # bands a quarter tone apart.
            "tiny,mix": dict(num_envelope_channels=8, num_long_bands=16,
                             encoder_width=8, decoder_width=8, decoder_blocks=1),
            "small,mix": dict(num_envelope_channels=128, num_long_bands=156,
                              encoder_width=32, decoder_width=128, decoder_blocks=1),
            "base,mix": dict(num_envelope_channels=128, num_long_bands=156,
                             encoder_width=256, decoder_width=768, decoder_blocks=3),
            "tiny": dict(num_spectrum_channels=6, num_dynamics_channels=2,
                         decoder_width=8, decoder_blocks=1),
            "small": dict(num_spectrum_channels=32, num_dynamics_channels=8,
                          decoder_width=128, decoder_blocks=1),
            "base": dict(num_spectrum_channels=32, num_dynamics_channels=12,
                         decoder_width=512, decoder_blocks=3),
            # 64 latents for 2048 samples; with a fifth width, for 4096.
            "tiny,paper": dict(num_channels=8, widths=(8, 16, 24, 32), num_blocks=1),
            "small,paper": dict(num_channels=64, widths=(128, 192, 256, 384), num_blocks=1),
            "base,paper": dict(num_channels=64, widths=(384, 512, 768, 1024), num_blocks=3),
        }[f"{size},paper" if is_paper and set(options) <= {"paper", "mix", "both"} else which]
    )  # fmt: skip
    config.whitening = 0.5 if config.side == "mix" else 0.125
    config.discriminator = ConfigDict(
        dict(frame_lengths=(512, 1024, 2048), width={"tiny": 2, "small": 8, "base": 32}[size])
    )
    config.bfloat16 = size == "base"
    # For `small`, the latent space stays at its closed-form fit: diffusion training can start at
    # once, while the decoder is still being trained.
    config.train_encoder = is_paper or size != "small"
    config.loss = ConfigDict(
        dict(log_magnitude=5.0, multi_scale=1.0, waveform=0.0, in_step=0.0 if is_paper else 10.0,
             adversarial=0.0 if size == "small" and not is_paper else 0.1,
             feature_matching=1.0)
    )  # fmt: skip
    config.adversarial_from_step = {"tiny": 2, "small": 1500, "base": 50_000}[size]
    config.learning_rate = {"tiny": 1e-3, "small": 5e-4, "base": 2e-4}[size]
    config.weight_decay = 0.0
    config.warmup_steps = {"tiny": 2, "small": 100, "base": 2_000}[size]
    config.ema_decay = 0.999
    config.num_steps = {"tiny": 8, "small": 3_000, "base": 500_000}[size]
    config.batch_size = {"tiny": 8, "small": 8, "base": 256}[size]
    config.num_parts = 1
    config.crop_samples = 65536
    # Share, 0 to 1, of crops that are changed to another sound, so that the codec meets more sounds
    # than its songs have. Without `init`, the encoder is fitted to them too.
    config.varied_share = 0.0
    # Weights of a diffusion model: in `sampled_share` of the crops, it samples the sound that the
    # decoder learns from. Empty to use encoded latents only.
    config.denoiser = ""
    config.sampled_share = 0.5
    config.num_fit_clips = {"tiny": 16, "small": 256, "base": 1024}[size]
    config.checkpoint_every = {"tiny": 4, "small": 250, "base": 1_000}[size]
    config.validate_every = {"tiny": 8, "small": 250, "base": 5_000}[size]
    config.log_every = {"tiny": 2, "small": 20, "base": 100}[size]
    config.data = ConfigDict(
        # The stem, or several as in guitar+keys, whose codec it is; a mix is all the rest.
        dict(
            source="composed:200",
            target="bass",
            soundfonts=(),
            variants=1,
            num_mixes=2,
            max_seconds=120.0,
        )
    )
    return config
