"""The audio autoencoder: waveforms to an unbounded latent sequence, and back.

A latent frame stands for 2048 samples and has two kinds of channels:

* *waveform* channels, a learned lapped transform of the signal (window 4096, hop 2048).
  They carry the low band with its phase, so pitch survives the round trip exactly;
* *envelope* channels, computed from log-magnitudes. They are smooth in time, and their
  average over a recording describes its timbre, which is what style grounding imposes.

The decoder synthesises the low band linearly and lets a network shape what lies above:
it predicts gains for overtones that waveshaping derives from the low band (so they are
in phase with it), plus a spectrum of its own from a log-magnitude and a phase head. Everything is convolutional.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from bassdiff.audio.stft import band_filters, frames, istft, log_magnitude, overlap_add, stft
from bassdiff.models.layers import ChannelNorm, Downsample, ResidualBlock, Upsample
from bassdiff.types import Array

SAMPLE_RATE_HZ = 44100
LATENT_HOP = 2048
STFT_LENGTH = 1024
STFT_HOP = 256
LONG_LENGTH = 8192
LAPPED_LENGTH = 2 * LATENT_HOP
# Lapped kernels of unit norm have entries of about 1 / 64. They are stored 64 times larger, or
# one step of Adam, as long for every parameter, would wash them out.
LAPPED_SCALE = LAPPED_LENGTH**-0.5
SUBFRAMES = LATENT_HOP // STFT_HOP  # STFT frames per latent frame: three stride-2 stages
NUM_BANDS = 24
LONG_FMIN_HZ, LONG_FMAX_HZ = 40.0, 3520.0
HALO_FRAMES = 16
MAX_LOG_MAGNITUDE = 6.0


def spectral_features(audio: Array, num_long_bands: int) -> Array:
    """Fixed log-magnitude features of each latent frame.

    Eight short frames resolve onsets in 24 broad bands; one long frame (8192 samples)
    resolves pitch in narrow ones, which a 1024-sample window cannot do below 300 Hz.

    Args:
      audio: `[B, N]` float32, N a multiple of 2048.
      num_long_bands: Narrow bands between 40 Hz and 3.5 kHz.

    Returns:
      `[B, N / 2048, 8 * 24 + num_long_bands]` float32, about 0 (silence) to 1.3.
    """
    batch, num_samples = audio.shape
    num_frames = num_samples // LATENT_HOP

    def log_bands(spectrum: Array, filters: np.ndarray) -> Array:
        power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
        return (10.0 * jnp.log10(power @ filters + 1e-5) + 50.0) / 75.0

    short = log_bands(
        stft(audio, STFT_LENGTH, STFT_HOP),
        band_filters(STFT_LENGTH, SAMPLE_RATE_HZ, NUM_BANDS, 60.0, 14000.0),
    )
    long = log_bands(
        stft(audio, LONG_LENGTH, LATENT_HOP),
        band_filters(LONG_LENGTH, SAMPLE_RATE_HZ, num_long_bands, LONG_FMIN_HZ, LONG_FMAX_HZ),
    )
    return jnp.concatenate([short.reshape(batch, num_frames, -1), long], axis=-1)


def lapped_window() -> np.ndarray:
    """The sine window of the lapped transform, `[4096]` float32: its square overlaps to 1."""
    return np.sin(np.pi * (np.arange(LAPPED_LENGTH) + 0.5) / LAPPED_LENGTH).astype(np.float32)


class Encoder(nn.Module):
    """Waveform to latents.

    Attributes:
      num_waveform_channels: Channels of the lapped transform; 0 leaves it out.
      num_envelope_channels: Channels computed from log-magnitudes.
      num_long_bands: Narrow bands of the long-window features.
      width: Channels of the convolutional part at the STFT's rate.
    """

    num_waveform_channels: int
    num_envelope_channels: int
    num_long_bands: int
    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, audio: Array) -> Array:
        """Maps `[B, N]` to `[B, N / 2048, C]` float32, waveform channels first."""
        parts = []
        if self.num_waveform_channels:
            kernel = self.param(
                "analysis",
                nn.initializers.normal(),
                (LAPPED_LENGTH, self.num_waveform_channels),
            )
            parts.append(frames(audio, LAPPED_LENGTH, LATENT_HOP) @ (kernel * LAPPED_SCALE))
        features = spectral_features(audio, self.num_long_bands)
        envelope = nn.Dense(self.num_envelope_channels, name="projection")(features)
        # What the projection misses: three stride-2 stages over the full log-magnitudes.
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
        return jnp.concatenate([*parts, envelope], axis=-1)


def excitations(low: Array) -> tuple[Array, Array]:
    """Odd and mixed overtones of the low band, as loud as it, by soft clipping.

    Args:
      low: `[B, N]` float32.

    Returns:
      Two signals `[B, N]`: a symmetric and an asymmetric waveshaping of `low`.
    """
    hop = 128
    power = jnp.mean(jnp.square(frames(low, 8 * hop, hop)), axis=-1)  # [B, N / hop]
    level = jnp.sqrt(power + 1e-8)
    triangle = 1.0 - np.abs((np.arange(3 * hop) + 0.5) / hop - 1.5)
    triangle = np.maximum(triangle, 0.0).astype(np.float32)
    envelope = overlap_add(level[..., None] * triangle[None, None], hop) + 1e-4
    ratio = low / envelope
    return envelope * jnp.tanh(4.0 * ratio), envelope * jnp.tanh(4.0 * (ratio - 0.7))


class Decoder(nn.Module):
    """Latents to waveform.

    Attributes:
      num_waveform_channels: As in the encoder.
      width: Channels of the network at the STFT's rate.
      num_blocks: Residual blocks at each of the four frame rates.
      dtype: Compute type; signals stay float32.
    """

    num_waveform_channels: int
    width: int
    num_blocks: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, latents: Array) -> Array:
        """Maps `[B, T, C]` to `[B, 2048 T]` float32."""
        h = nn.Dense(2 * self.width, dtype=self.dtype)(latents)
        h = ResidualBlock(2 * self.width, self.dtype)(h)
        for _ in range(3):
            h = Upsample(self.width, self.dtype)(h)
            for _ in range(self.num_blocks):
                h = ResidualBlock(self.width, self.dtype)(h)

        num_bins = STFT_LENGTH // 2 + 1
        low = jnp.zeros((latents.shape[0], latents.shape[1] * LATENT_HOP))
        shaped: tuple[Array, ...] = ()
        if self.num_waveform_channels:
            kernel = self.param(
                "synthesis",
                nn.initializers.normal(),
                (self.num_waveform_channels, LAPPED_LENGTH),
            )
            waveform = latents[..., : self.num_waveform_channels]
            low = overlap_add(waveform @ (kernel * LAPPED_SCALE), LATENT_HOP)
            shaped = tuple(stft(e, STFT_LENGTH, STFT_HOP) for e in excitations(low))
            seen = log_magnitude(stft(low, STFT_LENGTH, STFT_HOP))[..., :64]
            h = h + nn.Dense(self.width, dtype=self.dtype)(seen)
            h = ResidualBlock(self.width, self.dtype)(h)
        h = nn.silu(ChannelNorm(self.dtype)(h))

        def head(name: str, bias: float) -> Array:
            return nn.Dense(
                num_bins,
                kernel_init=nn.initializers.normal(1e-2),
                bias_init=nn.initializers.constant(bias),
                dtype=self.dtype,
                name=name,
            )(h).astype(jnp.float32)

        # Magnitudes are predicted as logarithms: a bass spans 100 dB, and a step of the
        # optimiser must move a quiet overtone no further than a loud one.
        real, imag = head("phase_real", 0.0), head("phase_imag", 0.0)
        modulus = jnp.sqrt(jnp.square(real) + jnp.square(imag) + 1e-6)
        magnitude = jnp.exp(jnp.minimum(head("magnitude", -6.0), MAX_LOG_MAGNITUDE))
        spectrum = jax.lax.complex(magnitude * real / modulus, magnitude * imag / modulus)
        for i, excitation in enumerate(shaped):
            gain = jnp.exp(jnp.minimum(head(f"gain_{i}", -6.0), MAX_LOG_MAGNITUDE))
            spectrum = spectrum + excitation * gain
        return low + istft(spectrum, STFT_LENGTH, STFT_HOP)


class Autoencoder(nn.Module):
    """Encoder and decoder with one set of fields. Sizes are in `configs/autoencoder.py`."""

    num_waveform_channels: int = 48
    num_envelope_channels: int = 16
    num_long_bands: int = 48
    encoder_width: int = 32
    decoder_width: int = 128
    decoder_blocks: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        self.encoder = Encoder(
            self.num_waveform_channels,
            self.num_envelope_channels,
            self.num_long_bands,
            self.encoder_width,
            self.dtype,
        )
        self.decoder = Decoder(
            self.num_waveform_channels, self.decoder_width, self.decoder_blocks, self.dtype
        )

    @property
    def num_channels(self) -> int:
        """C, the width of a latent frame."""
        return self.num_waveform_channels + self.num_envelope_channels

    def encode(self, audio: Array) -> Array:
        """`[B, N]` waveform at 44.1 kHz, N a multiple of 2048, to `[B, N / 2048, C]`."""
        return self.encoder(audio)

    def decode(self, latents: Array) -> Array:
        """`[B, T, C]` latents to a `[B, 2048 T]` waveform."""
        return self.decoder(latents)

    def __call__(self, audio: Array) -> tuple[Array, Array]:
        """The round trip: `(reconstruction [B, N], latents [B, T, C])`."""
        latents = self.encode(audio)
        return self.decode(latents), latents
