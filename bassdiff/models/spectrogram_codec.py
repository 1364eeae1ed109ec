"""An autoencoder of any sound: its spectrogram to an unbounded latent sequence, and back.

The encoder reads log-magnitudes and the decoder writes a spectrum, of which an inverse STFT makes
the waveform. Both are convolutional and nothing in them knows pitch. It follows the autoencoder of
the paper (arXiv 2402.01412) as far as that is known: unbounded latents are published, a loss on
log-magnitudes and an adversarial one are from a summary, and STFT and hop are measured on its
audio. The scale of log-magnitudes and the hinge are inferred from Musika (arXiv 2208.08706).
Widths, depths, the number of latents and the form of the decoder's output are our choice.
"""

from __future__ import annotations

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp

from bassdiff.audio.stft import istft, log_magnitude, stft
from bassdiff.diffusion.types import Array
from bassdiff.models.features import STFT_HOP, STFT_LENGTH
from bassdiff.models.layers import Downsample, ResidualBlock, Upsample

NUM_BINS = STFT_LENGTH // 2 + 1
# Log-magnitudes of decoded spectra lie between silence and a full-scale sine plus 12 dB, in the
# units of `log_magnitude`.
_SOFTEST, _LOUDEST = -1.0, 1.1
# 39 dB below a full-scale sine: fresh networks hum softly.
_FRESH_MAGNITUDE = 0.3


class SpectrogramEncoder(nn.Module):
    """Waveform to latents.

    Attributes:
      num_channels: C, channels of a latent frame.
      widths: Channels at each frame rate, from the STFT's down to the latents'; each is half of the
        one before.
      num_blocks: Residual blocks at each frame rate.
      dtype: Compute type; signals and latents stay float32.
    """

    num_channels: int
    widths: tuple[int, ...]
    num_blocks: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, audio: Array) -> Array:
        """Maps `[B, N]`, N a multiple of a latent frame, to `[B, T, C]` float32."""
        h = log_magnitude(stft(audio, STFT_LENGTH, STFT_HOP)).astype(self.dtype)
        h = nn.Dense(self.widths[0], dtype=self.dtype)(h)
        for number, width in enumerate(self.widths):
            if number:
                h = Downsample(width, self.dtype)(h)
            for _ in range(self.num_blocks):
                h = ResidualBlock(width, self.dtype)(h)
        # No norm: it would take the level away, and bound the latents.
        return nn.Dense(self.num_channels, name="latents")(h.astype(jnp.float32))


class SpectrogramDecoder(nn.Module):
    """Latents to waveform.

    Attributes:
      widths: As in the encoder, whose order they are in.
      num_blocks: As in the encoder.
      is_polar: Whether the output tells a spectrum by log-magnitudes and the direction of the
        phase, and not by real and imaginary parts.
      dtype: Compute type; signals stay float32.
    """

    widths: tuple[int, ...]
    num_blocks: int
    is_polar: bool
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, latents: Array) -> Array:
        """Maps `[B, T, C]` to `[B, N]` float32."""
        h = nn.Dense(self.widths[-1], dtype=self.dtype)(latents)
        for number, width in enumerate(reversed(self.widths)):
            if number:
                h = Upsample(width, self.dtype)(h)
            for _ in range(self.num_blocks):
                h = ResidualBlock(width, self.dtype)(h)
        h = h.astype(jnp.float32)
        if self.is_polar:
            softly = nn.initializers.constant(_FRESH_MAGNITUDE)
            level = nn.Dense(NUM_BINS, bias_init=softly, name="magnitude")(h)
            real = nn.Dense(NUM_BINS, name="cosine")(h)
            imaginary = nn.Dense(NUM_BINS, name="sine")(h)
            # Without the offset, the slope at zero would be infinite.
            length = jnp.sqrt(jnp.square(real) + jnp.square(imaginary) + 1e-6)
            scale = _magnitude(jnp.clip(level, _SOFTEST, _LOUDEST)) / length
        else:
            real = nn.Dense(NUM_BINS, name="real")(h)
            imaginary = nn.Dense(NUM_BINS, name="imaginary")(h)
            scale = _magnitude(jnp.full((), _FRESH_MAGNITUDE))
        return istft((real + 1j * imaginary) * scale, STFT_LENGTH, STFT_HOP)


def _magnitude(level: Array) -> Array:
    """The inverse of `log_magnitude`."""
    return 10.0 ** ((75.0 * level - 25.0) / 20.0)


class SpectrogramCodec(nn.Module):
    """Encoder and decoder with one set of fields. Sizes are in `configs/autoencoder.py`."""

    kind: ClassVar[str] = "spectrogram"

    num_channels: int = 64
    widths: tuple[int, ...] = (128, 192, 256, 384)
    num_blocks: int = 1
    is_polar: bool = True
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        """Makes the two halves."""
        widths = tuple(self.widths)
        self.encoder = SpectrogramEncoder(self.num_channels, widths, self.num_blocks, self.dtype)
        self.decoder = SpectrogramDecoder(widths, self.num_blocks, self.is_polar, self.dtype)

    @property
    def hop(self) -> int:
        """Samples that a latent frame stands for."""
        return STFT_HOP * 2 ** max(0, len(self.widths) - 1)

    def encode(self, audio: Array) -> Array:
        """`[B, N]` waveform at 44.1 kHz, N a multiple of the hop, to `[B, T, C]`."""
        return self.encoder(audio)

    def decode(self, latents: Array, phase: Array, first_frame: Array, anchor: int = 0) -> Array:
        """`[B, T, C]` latents to a waveform `[B, N]`; there is no oscillator and no noise."""
        del phase, first_frame, anchor
        return self.decoder(latents)

    def decode_whole(self, latents: Array) -> Array:
        """`[B, T, C]` latents to a waveform `[B, N]`."""
        return self.decoder(latents)

    def __call__(self, audio: Array) -> tuple[Array, Array]:
        """The round trip: `(reconstruction [B, N], latents [B, T, C])`."""
        latents = self.encode(audio)
        return self.decode_whole(latents), latents
