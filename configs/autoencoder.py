"""Audio autoencoders.

    bassdiff train autoencoder --config configs/autoencoder.py:small \
        --config.data.source=midi:SONGS --workdir runs/codecs/bass
    bassdiff train autoencoder --config configs/autoencoder.py:small,mix \
        --config.data.source=midi:SONGS+mixes:RECORDINGS --workdir runs/codecs/mix

size   bass, mix      hardware            time      expected
tiny   0.01, 0.02 M   anything            seconds   nothing: for tests
small  0.8, 1.1 M     2 CPU cores         30 min    see bassdiff/pretrained/small/CARD.md
base   23, 61 M       v5e-16 or one H100  not run   not measured
"""

from ml_collections import ConfigDict


def get_config(which: str = "small") -> ConfigDict:
    """`which` is SIZE for the bass codec or SIZE,mix for the codec of mixes."""
    size, _, kind = which.partition(",")
    config = ConfigDict()
    config.objective = "autoencoder"
    config.kind = kind or "bass"
    config.seed = 0
    config.init = ""
    # Of the weights that `init` names, the encoder alone is taken; a decoder is fitted to it.
    config.fresh_decoder = False
    config.model = ConfigDict(
        {
            # A mix has no one pitch and is only listened to: channels that are each as loud as any
            # other, of narrow bands a quarter tone apart.
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
        }[which]
    )  # fmt: skip
    config.whitening = 0.5 if kind == "mix" else 0.125
    config.discriminator = ConfigDict(
        dict(frame_lengths=(512, 1024, 2048), width={"tiny": 2, "small": 8, "base": 32}[size])
    )
    config.bfloat16 = size == "base"
    # The latent space stays at its closed-form fit for `small`: diffusion training can start
    # at once, while the decoder is still learning.
    config.train_encoder = size != "small"
    config.loss = ConfigDict(
        dict(log_magnitude=5.0, multi_scale=1.0, waveform=0.0, in_step=10.0,
             adversarial=0.0 if size == "small" else 0.1,
             feature_matching=1.0)
    )  # fmt: skip
    config.adversarial_from_step = {"tiny": 2, "small": 1500, "base": 50_000}[size]
    config.learning_rate = {"tiny": 1e-3, "small": 5e-4, "base": 2e-4}[size]
    config.weight_decay = 0.0
    config.gradient_clip = 1.0
    config.warmup_steps = {"tiny": 2, "small": 100, "base": 2_000}[size]
    config.ema_decay = 0.999
    config.num_steps = {"tiny": 8, "small": 3_000, "base": 500_000}[size]
    config.batch_size = {"tiny": 8, "small": 8, "base": 256}[size]
    config.num_parts = 1
    config.crop_samples = 65536
    # The share, 0 to 1, of crops that are heard in another sound: what a codec is trained on is not
    # all that will come. Without `init`, the encoder too is fitted to them.
    config.varied_share = 0.0
    # Weights whose diffusion model samples the sound, in this share of the crops, that the decoder
    # learns from; empty for encoded latents alone.
    config.denoiser = ""
    config.sampled_share = 0.5
    config.num_fit_clips = {"tiny": 16, "small": 256, "base": 1024}[size]
    config.mesh = ConfigDict(dict(data=-1, fsdp=1))
    config.checkpoint_every = {"tiny": 4, "small": 250, "base": 1_000}[size]
    config.validate_every = {"tiny": 8, "small": 250, "base": 5_000}[size]
    config.log_every = {"tiny": 2, "small": 20, "base": 100}[size]
    config.step_seconds = 600.0
    # Processes that read; threads do where there are none.
    config.num_read_workers = 0
    config.data = ConfigDict(
        dict(source="composed:200", soundfonts=(), variants=1, num_mixes=2, max_seconds=120.0)
    )
    return config
