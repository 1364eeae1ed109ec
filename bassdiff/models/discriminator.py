"""Multi-resolution spectrogram discriminators."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from bassdiff.audio.stft import stft
from bassdiff.diffusion.types import Array


class SpectrogramDiscriminator(nn.Module):
    """Judges patches of one complex spectrogram, its magnitudes compressed.

    Attributes:
      frame_length: FFT size in samples; the hop is a quarter of it.
      width: Channels of the first 2-D convolution.
    """

    frame_length: int
    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, audio: Array) -> tuple[Array, tuple[Array, ...]]:
        """Maps `[B, N]` to patch scores `[B, T', F']` and the features of earlier layers."""
        spectrum = stft(audio, self.frame_length, self.frame_length // 4)
        magnitude = jnp.sqrt(jnp.square(spectrum.real) + jnp.square(spectrum.imag) + 1e-6)
        # |X|^0.3 with the phase kept: quiet overtones weigh as much as loud fundamentals.
        compressed = magnitude**-0.7
        h = jnp.stack([spectrum.real * compressed, spectrum.imag * compressed], axis=-1)
        features = []
        for i in range(4):
            width = min(self.width * 2**i, 4 * self.width)
            h = nn.Conv(width, (3, 9), strides=(1 if i == 0 else 2, 4 if i == 0 else 2),
                        dtype=self.dtype)(h)  # fmt: skip
            h = nn.leaky_relu(h, 0.2)
            features.append(h)
        score = nn.Conv(1, (3, 3), dtype=self.dtype)(h)[..., 0]
        return score.astype(jnp.float32), tuple(features)


class Discriminator(nn.Module):
    """One `SpectrogramDiscriminator` per FFT size."""

    frame_lengths: tuple[int, ...] = (512, 1024, 2048)
    width: int = 16
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, audio: Array) -> list[tuple[Array, tuple[Array, ...]]]:
        """Maps `[B, N]` to (scores, features) at each resolution."""
        return [
            SpectrogramDiscriminator(length, self.width, self.dtype)(audio)
            for length in self.frame_lengths
        ]
