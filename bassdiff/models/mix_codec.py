"""The mix's autoencoder: waveforms to an unbounded latent sequence that conditions a bass.

A latent frame covers 2048 samples. Its channels are computed from log-magnitudes and do not hold
the waveform's phase. Generation needs only the encoder; the decoder makes audible what it keeps:
tones a quarter tone apart and a noise, whose levels come from the latents and are corrected by a
network. All of it is convolutional.
"""

from __future__ import annotations

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from bassdiff.audio.filters import hann
from bassdiff.audio.stft import istft, log_magnitude, stft
from bassdiff.diffusion.types import Array
from bassdiff.models.features import (
    LATENT_HOP,
    LONG_FMAX_HZ,
    NUM_BANDS,
    STFT_HOP,
    STFT_LENGTH,
    SUBFRAMES,
    band_interpolation,
    bank_log_power,
    log_power,
    long_centres_hz,
    short_centres_hz,
    spectral_features,
)
from bassdiff.models.layers import ChannelNorm, Downsample, ResidualBlock, Upsample
from bassdiff.models.tones import frame_noise, sound_bank


class MixEncoder(nn.Module):
    """Waveform to latents.

    Attributes:
      num_envelope_channels: Channels computed from log-magnitudes.
      num_long_bands: Narrow bands of the long-window features.
      width: Channels of the convolutional part at the STFT's rate.
    """

    num_envelope_channels: int
    num_long_bands: int
    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, audio: Array) -> Array:
        """Maps `[B, N]` to `[B, N / 2048, C]` float32."""
        features = spectral_features(audio, self.num_long_bands)
        envelope = nn.Dense(self.num_envelope_channels, name="projection")(features)
        # A correction of the projection: three stride-2 stages over the full log-magnitudes.
        h = log_magnitude(stft(audio, STFT_LENGTH, STFT_HOP)).astype(self.dtype)
        h = nn.Dense(self.width, dtype=self.dtype)(h)
        width = self.width
        for _ in range(3):
            h = ResidualBlock(width, self.dtype)(h)
            width = width * 3 // 2
            h = Downsample(width, self.dtype)(h)
        h = nn.silu(ChannelNorm(self.dtype)(ResidualBlock(width, self.dtype)(h)))
        envelope = envelope + nn.Dense(
            self.num_envelope_channels, kernel_init=nn.initializers.zeros_init(), name="refinement"
        )(h.astype(jnp.float32))
        return envelope


class MixDecoder(nn.Module):
    """Latents to waveform.

    Amplitudes of the tones and the noise come from the features that the envelope channels
    encode; a network corrects both.

    Attributes:
      num_long_bands: As in the encoder.
      width: Channels of the network at the STFT's rate.
      num_blocks: Residual blocks at each of the three higher frame rates.
      dtype: Compute type; signals stay float32.
    """

    num_long_bands: int
    width: int
    num_blocks: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, latents: Array, first_frame: Array) -> Array:
        """Maps latents `[B, T, C]` to a waveform `[B, 2048 T]` float32.

        Args:
          latents: Latents of the encoder.
          first_frame: `[B]` int32, the number of the first latent frame; it selects the noise.
        """
        batch, num_frames, _ = latents.shape
        num_features = SUBFRAMES * NUM_BANDS + self.num_long_bands
        features = nn.Dense(num_features, name="expansion")(latents)
        short = features[..., : SUBFRAMES * NUM_BANDS]
        short = log_power(short).reshape(batch, num_frames * SUBFRAMES, NUM_BANDS)

        h = nn.Dense(2 * self.width, dtype=self.dtype)(latents)
        h = ResidualBlock(2 * self.width, self.dtype)(h)
        for _ in range(3):
            h = Upsample(self.width, self.dtype)(h)
            for _ in range(self.num_blocks):
                h = ResidualBlock(self.width, self.dtype)(h)
        h = nn.silu(ChannelNorm(self.dtype)(h)).astype(jnp.float32)  # [B, 8 T, width]

        def correction(name: str, size: int) -> Array:
            return nn.Dense(size, kernel_init=nn.initializers.zeros_init(), name=name)(h)

        level = bank_log_power(short, features[..., SUBFRAMES * NUM_BANDS :])
        level = level + correction("tones", self.num_long_bands)
        amplitudes = jnp.exp(0.5 * jnp.clip(level, -25.0, 3.0))
        centres_hz = long_centres_hz(self.num_long_bands)
        tone = sound_bank(centres_hz, amplitudes, first_frame * SUBFRAMES)
        # A tone takes most of the power of its band, so little is left to the noise under it.
        level = short - np.log(float(np.sum(hann(STFT_LENGTH) ** 2)))
        level = level - 3.0 * (short_centres_hz() < LONG_FMAX_HZ)[None, None]
        level = level + correction("noise", NUM_BANDS)
        gains = jnp.exp(0.5 * jnp.clip(level, -25.0, 3.0)) @ band_interpolation()
        noise = frame_noise(first_frame[:, None] + jnp.arange(num_frames)[None], LATENT_HOP)
        noise = noise.reshape(batch, -1)
        noise = istft(stft(noise, STFT_LENGTH, STFT_HOP) * gains, STFT_LENGTH, STFT_HOP)
        return tone + noise


class MixCodec(nn.Module):
    """Encoder and decoder with one set of fields. Sizes are in `configs/autoencoder.py`."""

    kind: ClassVar[str] = "mix"

    num_envelope_channels: int = 128
    num_long_bands: int = 156
    encoder_width: int = 32
    decoder_width: int = 128
    decoder_blocks: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        """Makes the two halves."""
        self.encoder = MixEncoder(
            self.num_envelope_channels,
            self.num_long_bands,
            self.encoder_width,
            self.dtype,
        )
        self.decoder = MixDecoder(
            self.num_long_bands,
            self.decoder_width,
            self.decoder_blocks,
            self.dtype,
        )

    @property
    def num_channels(self) -> int:
        """C, the width of a latent frame."""
        return self.num_envelope_channels

    @property
    def hop(self) -> int:
        """Samples that a latent frame stands for."""
        return LATENT_HOP

    def encode(self, audio: Array) -> Array:
        """`[B, N]` waveform at 44.1 kHz, N a multiple of 2048, to `[B, N / 2048, C]`."""
        return self.encoder(audio)

    def decode(self, latents: Array, phase: Array, first_frame: Array, anchor: int = 0) -> Array:
        """`[B, T, C]` latents to a `[B, 2048 T]` waveform; `phase` is unused."""
        del phase, anchor
        return self.decoder(latents, first_frame)

    def decode_whole(self, latents: Array) -> Array:
        """Decodes latents that begin where the sound does: `[B, T, C]` to `[B, 2048 T]`."""
        rows = latents.shape[0]
        return self.decode(latents, jnp.zeros(rows), jnp.zeros(rows, jnp.int32))

    def __call__(self, audio: Array) -> tuple[Array, Array]:
        """The round trip: `(reconstruction [B, N], latents [B, T, C])`."""
        latents = self.encode(audio)
        return self.decode_whole(latents), latents
