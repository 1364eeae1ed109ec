"""The audio autoencoder: waveforms to an unbounded latent sequence, and back.

A latent frame stands for 2048 samples and has two kinds of channels, both smooth in time:

* *pitch* channels (the bass codec only): the code of two pitches, one per 1024 samples, and
  whether they sound;
* *envelope* channels, computed from log-magnitudes. Their average over a recording describes
  its timbre, which is what style grounding imposes.

Neither carries the waveform's phase. Latents that do (principal components of a lapped
transform) reconstruct it closely, but a diffusion model of 14 M parameters that was trained on
them for 2,000 steps still generated noise. The decoder makes its own phase instead: an
oscillator follows the pitch, a network shapes its partials and a noise, and the inverse STFT
adds them. A mix has no one pitch: tones a quarter tone apart stand in for the oscillator. All
networks are convolutional; of the oscillator, only its phase knows the past.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from bassdiff.audio.stft import hann, istft, log_magnitude, stft
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
    loudness_rise,
    partial_log_power,
    short_centres_hz,
    spectral_features,
)
from bassdiff.models.layers import ChannelNorm, Downsample, ResidualBlock, Upsample
from bassdiff.models.pitch import (
    CODE_SIZE,
    PITCH_HOP,
    decode_pitch,
    encode_pitch,
    place,
    settle,
    track,
)
from bassdiff.models.tones import (
    advance_phase,
    frame_noise,
    oscillate,
    sound_bank,
)
from bassdiff.types import Array

PITCHES = LATENT_HOP // PITCH_HOP  # per latent frame
NUM_PITCH_CHANNELS = PITCHES * CODE_SIZE
NUM_PARTIALS = 40
HALO_FRAMES = 16
VOICED_SLOPE = 6.0


class Encoder(nn.Module):
    """Waveform to latents.

    Attributes:
      has_pitch: Whether the pitch code comes first, as in the bass codec.
      num_envelope_channels: Channels computed from log-magnitudes.
      num_long_bands: Narrow bands of the long-window features.
      width: Channels of the convolutional part at the STFT's rate.
    """

    has_pitch: bool
    num_envelope_channels: int
    num_long_bands: int
    width: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, audio: Array) -> Array:
        """Maps `[B, N]` to `[B, N / 2048, C]` float32, pitch channels first."""
        parts = []
        if self.has_pitch:
            code = encode_pitch(*settle(*track(audio)))
            parts.append(code.reshape(code.shape[0], -1, NUM_PITCH_CHANNELS))
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


class Decoder(nn.Module):
    """Latents to waveform.

    Amplitudes of the partials and the noise are read off the features that the envelope
    channels stand for; a network corrects both.

    Attributes:
      has_pitch: As in the encoder; without a pitch a bank of tones sounds, one per narrow band.
      num_long_bands: As in the encoder.
      width: Channels of the network at the STFT's rate.
      num_blocks: Residual blocks at each of the three higher frame rates.
      dtype: Compute type; signals stay float32.
    """

    has_pitch: bool
    num_long_bands: int
    width: int
    num_blocks: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, latents: Array, phase: Array, first_frame: Array, anchor: int
    ) -> tuple[Array, Array]:
        """Maps latents `[B, T, C]` to `[B, 2048 T]` float32.

        Args:
          latents: As the encoder made them.
          phase: `[B]` cycles, where the oscillator stands when frame `anchor` begins.
          first_frame: `[B]` int32, the number of the first latent frame; it picks the noise.
          anchor: A frame of this piece.

        Returns:
          The waveform, and the phase `[B, T]` when each frame begins.
        """
        batch, num_frames, _ = latents.shape
        start = NUM_PITCH_CHANNELS if self.has_pitch else 0
        num_features = SUBFRAMES * NUM_BANDS + self.num_long_bands
        features = nn.Dense(num_features, name="expansion")(latents[..., start:])
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

        voiced = jnp.zeros((batch, num_frames * SUBFRAMES, 1))
        tone = jnp.zeros((batch, num_frames * LATENT_HOP))
        phases = jnp.zeros((batch, num_frames))
        if self.has_pitch:
            code = latents[..., :NUM_PITCH_CHANNELS].reshape(batch, -1, CODE_SIZE)
            frequency, sounds = decode_pitch(code)  # [B, 2 T]
            frequency = place(frequency, loudness_rise(short))  # [B, 8 T]
            per_pitch = PITCH_HOP // STFT_HOP
            voiced = jnp.repeat(nn.sigmoid(VOICED_SLOPE * sounds), per_pitch, axis=1)[..., None]
            partials = frequency[..., None] * jnp.arange(1, NUM_PARTIALS + 1)[None, None]
            level = partial_log_power(short, features[..., SUBFRAMES * NUM_BANDS :], partials)
            level = level + correction("partials", NUM_PARTIALS)
            amplitudes = jnp.exp(0.5 * jnp.clip(level, -25.0, 3.0)) * voiced
            cycles = advance_phase(frequency, anchor * SUBFRAMES) + phase[:, None]
            tone = oscillate(frequency, cycles, amplitudes)
            phases = cycles[:, ::SUBFRAMES] % 1.0
        else:
            level = bank_log_power(short, features[..., SUBFRAMES * NUM_BANDS :])
            level = level + correction("tones", self.num_long_bands)
            amplitudes = jnp.exp(0.5 * jnp.clip(level, -25.0, 3.0))
            tone = sound_bank(
                long_centres_hz(self.num_long_bands), amplitudes, first_frame * SUBFRAMES
            )
        # Under a tone the noise is mostly what the tone leaves over: little.
        level = short - np.log(float(np.sum(hann(STFT_LENGTH) ** 2))) - 6.0 * voiced
        if not self.has_pitch:
            level = level - 3.0 * (short_centres_hz() < LONG_FMAX_HZ)[None, None]
        level = level + correction("noise", NUM_BANDS)
        gains = jnp.exp(0.5 * jnp.clip(level, -25.0, 3.0)) @ band_interpolation()
        noise = frame_noise(first_frame[:, None] + jnp.arange(num_frames)[None], LATENT_HOP)
        noise = noise.reshape(batch, -1)
        noise = istft(stft(noise, STFT_LENGTH, STFT_HOP) * gains, STFT_LENGTH, STFT_HOP)
        return tone + noise, phases


class Autoencoder(nn.Module):
    """Encoder and decoder with one set of fields. Sizes are in `configs/autoencoder.py`."""

    has_pitch: bool = True
    num_envelope_channels: int = 40
    num_long_bands: int = 80
    encoder_width: int = 32
    decoder_width: int = 128
    decoder_blocks: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        """Makes the two halves."""
        self.encoder = Encoder(
            self.has_pitch,
            self.num_envelope_channels,
            self.num_long_bands,
            self.encoder_width,
            self.dtype,
        )
        self.decoder = Decoder(
            self.has_pitch,
            self.num_long_bands,
            self.decoder_width,
            self.decoder_blocks,
            self.dtype,
        )

    @property
    def num_channels(self) -> int:
        """C, the width of a latent frame."""
        return NUM_PITCH_CHANNELS * self.has_pitch + self.num_envelope_channels

    def encode(self, audio: Array) -> Array:
        """`[B, N]` waveform at 44.1 kHz, N a multiple of 2048, to `[B, N / 2048, C]`."""
        return self.encoder(audio)

    def decode(
        self, latents: Array, phase: Array, first_frame: Array, anchor: int = 0
    ) -> tuple[Array, Array]:
        """`[B, T, C]` latents to a `[B, 2048 T]` waveform and phases; see `Decoder`."""
        return self.decoder(latents, phase, first_frame, anchor)

    def decode_whole(self, latents: Array) -> Array:
        """Decodes latents that begin where the sound does: `[B, T, C]` to `[B, 2048 T]`."""
        rows = latents.shape[0]
        return self.decode(latents, jnp.zeros(rows), jnp.zeros(rows, jnp.int32))[0]

    def __call__(self, audio: Array) -> tuple[Array, Array]:
        """The round trip: `(reconstruction [B, N], latents [B, T, C])`."""
        latents = self.encode(audio)
        return self.decode_whole(latents), latents
