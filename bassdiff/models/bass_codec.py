"""The bass's autoencoder: a waveform to a short, steady latent sequence, and back.

A latent frame stands for 2048 samples. Its channels, in this order, are

* the *pitch code*: two pitches, one per 1024 samples, and whether they sound;
* the *spectrum*: principal components of the levels of partials and bands and of their noise;
* the *dynamics*: principal components of how these levels move inside the frame.

None of them depends on the phase of the waveform (see `harmonics.py`), so a held note is a
constant, which a diffusion model can predict. Means of spectrum channels over sounding frames
describe a timbre. The decoder makes its own phase: an oscillator follows the pitch, its partials
and a noise get the levels that the latents hold, and a network corrects both.
"""

from __future__ import annotations

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.stft import istft, stft
from bassdiff.diffusion.types import Array
from bassdiff.models.features import LATENT_HOP
from bassdiff.models.harmonics import FLOOR_POWER, NOISE_CENTRES_HZ, NUM_NOISE_BANDS, analyse
from bassdiff.models.layers import ChannelNorm, ResidualBlock, Upsample
from bassdiff.models.partial_levels import (
    BAND_CENTRES_HZ,
    LEVELS_PER_FRAME,
    NUM_BANDS,
    NUM_DYNAMICS,
    NUM_LEVELS,
    NUM_SINGLE_PARTIALS,
    at_partials,
    interpolate,
    join_time,
    split_time,
)
from bassdiff.models.pitch import CODE_SIZE, PITCH_HOP, decode_pitch, encode_pitch
from bassdiff.models.tones import SPAN, advance_phase, frame_noise, oscillate

PITCHES_PER_FRAME = LATENT_HOP // PITCH_HOP
NUM_PITCH_CHANNELS = PITCHES_PER_FRAME * CODE_SIZE
NUM_SPECTRUM = NUM_LEVELS + NUM_NOISE_BANDS
# Up to 4 kHz for the low E; higher partials of it sound like noise.
NUM_PARTIALS = 96
SPANS_PER_FRAME = LATENT_HOP // SPAN
# In nepers of power, 39 dB below full scale: without this offset, the sum of a hundred partials
# of fresh networks would be far above full scale.
_FRESH_LEVEL = -9.0
_STFT_LENGTH, _STFT_HOP = 1024, 256


class BassEncoder(nn.Module):
    """Waveform to latents: a fixed analysis and linear maps of its result.

    Attributes:
      num_spectrum_channels: Channels of the spectrum, 44 at most.
      num_dynamics_channels: Channels of the dynamics, 16 at most.
    """

    num_spectrum_channels: int
    num_dynamics_channels: int

    @nn.compact
    def __call__(self, audio: Array) -> Array:
        """Maps `[B, N]` to `[B, N / 2048, C]` float32."""
        semitones, known, sounds, levels, noise = analyse(audio)
        code = encode_pitch(semitones, known, sounds)
        spectrum, dynamics = split_time(levels)
        return jnp.concatenate(
            [
                code.reshape(code.shape[0], -1, NUM_PITCH_CHANNELS),
                nn.Dense(self.num_spectrum_channels, name="spectrum")(
                    jnp.concatenate([spectrum, noise], axis=-1)
                ),
                nn.Dense(self.num_dynamics_channels, name="dynamics")(dynamics),
            ],
            axis=-1,
        )


class BassDecoder(nn.Module):
    """Latents to waveform.

    Attributes:
      num_spectrum_channels: As in the encoder.
      width: Channels of the network that corrects levels.
      num_blocks: Residual blocks at each of its three higher frame rates.
      dtype: Compute type; signals stay float32.
    """

    num_spectrum_channels: int
    width: int
    num_blocks: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, latents: Array, phase: Array, first_frame: Array, anchor: int) -> Array:
        """Maps latents `[B, T, C]` to a waveform `[B, 2048 T]` float32.

        Args:
          latents: Latents of the encoder.
          phase: `[B]` cycles, the oscillator's phase at the start of frame `anchor`.
          first_frame: `[B]` int32, the number of the first latent frame; it selects the noise.
          anchor: A frame of this piece.
        """
        batch, num_frames, _ = latents.shape
        code, spectrum, dynamics = jnp.split(
            latents, [NUM_PITCH_CHANNELS, NUM_PITCH_CHANNELS + self.num_spectrum_channels], axis=-1
        )
        softly = nn.initializers.constant(_FRESH_LEVEL)
        features = nn.Dense(NUM_SPECTRUM, bias_init=softly, name="spectrum")(spectrum)
        moved = nn.Dense(NUM_DYNAMICS, name="dynamics")(dynamics)
        levels = join_time(features[..., :NUM_LEVELS], moved)  # [B, 4 T, 36]
        noise = jnp.repeat(features[..., NUM_LEVELS:], LEVELS_PER_FRAME, axis=1)

        h = nn.Dense(2 * self.width, dtype=self.dtype)(latents)
        h = ResidualBlock(2 * self.width, self.dtype)(h)
        for _ in range(3):
            h = Upsample(self.width, self.dtype)(h)
            for _ in range(self.num_blocks):
                h = ResidualBlock(self.width, self.dtype)(h)
        h = nn.silu(ChannelNorm(self.dtype)(h)).astype(jnp.float32)  # [B, 8 T, width]

        def corrected(values: Array, name: str) -> Array:
            size = values.shape[-1]
            correction = nn.Dense(size, kernel_init=nn.initializers.zeros_init(), name=name)(h)
            return _doubled(values) + correction

        levels = corrected(levels, "level_correction")  # [B, 8 T, 36]
        noise = corrected(noise, "noise_correction")  # [B, 8 T, 8]

        frequency, sounds = decode_pitch(code.reshape(batch, -1, CODE_SIZE))  # [B, 2 T]
        f0_hz = jnp.repeat(frequency, PITCH_HOP // SPAN, axis=1)  # [B, 8 T]
        # 1 or -1, and seldom between in generated latents, where both voice and noise sound.
        voiced = jnp.repeat(jnp.clip(0.5 + sounds, 0.0, 1.0), PITCH_HOP // SPAN, axis=1)
        amplitudes, gains = _mixture(levels, noise, f0_hz, voiced)

        cycles = advance_phase(f0_hz, anchor * SPANS_PER_FRAME) + phase[:, None]
        tone = oscillate(f0_hz, cycles, amplitudes)
        white = frame_noise(first_frame[:, None] + jnp.arange(num_frames)[None], LATENT_HOP)
        spectra = stft(white.reshape(batch, -1), _STFT_LENGTH, _STFT_HOP)
        hiss = istft(spectra * gains, _STFT_LENGTH, _STFT_HOP)
        return tone + hiss


def _mixture(levels: Array, noise: Array, f0_hz: Array, voiced: Array) -> tuple[Array, Array]:
    """Divides levels between partials and noise.

    Args:
      levels: `[B, M, 36]` log-powers.
      noise: `[B, M, 8]` log-amplitudes of noise relative to the whole.
      f0_hz: `[B, M]`.
      voiced: `[B, M]`, 0 to 1; without a voice all is noise.

    Returns:
      Amplitudes `[B, M, 96]` of partials, and gains `[B, M, 513]` of a white noise's spectrum.
    """
    partial = jnp.arange(1, NUM_PARTIALS + 1, dtype=jnp.float32)[None, None]
    power = _power(at_partials(levels, f0_hz, NUM_PARTIALS))
    share = jnp.exp(2.0 * interpolate(noise, NOISE_CENTRES_HZ, f0_hz[..., None] * partial))
    tonal = (1.0 - jnp.minimum(share, 1.0)) * voiced[..., None]
    amplitudes = _root(2.0 * power * tonal)

    centres = jnp.broadcast_to(
        jnp.asarray(BAND_CENTRES_HZ, jnp.float32)[None, None], (*f0_hz.shape, NUM_BANDS)
    )
    share = jnp.minimum(jnp.exp(2.0 * interpolate(noise, NOISE_CENTRES_HZ, centres)), 1.0)
    sounding = voiced[..., None] * (centres < NUM_PARTIALS * f0_hz[..., None])
    share = 1.0 - sounding * (1.0 - share)
    # A band's level is the power per partial: over f0, per hertz.
    density = _power(levels[..., NUM_SINGLE_PARTIALS:]) / f0_hz[..., None]
    gains = _root(density * share * (SAMPLE_RATE_HZ / 2.0)) @ _band_interpolation()
    return amplitudes, gains


def _power(levels: Array) -> Array:
    # Decoded levels do not exceed full scale.
    return jnp.maximum(jnp.exp(jnp.minimum(levels, 1.0)) - FLOOR_POWER, 0.0)


def _root(power: Array) -> Array:
    # The slope of a root is infinite at zero.
    return jnp.sqrt(power + 1e-12) - 1e-6


def _doubled(values: Array) -> Array:
    """`[B, M, D]` to `[B, 2 M, D]`: a value is in the middle of its span, lines join middles."""
    edges = jnp.pad(values, ((0, 0), (1, 1), (0, 0)), mode="edge")
    first = 0.75 * values + 0.25 * edges[:, :-2]
    second = 0.75 * values + 0.25 * edges[:, 2:]
    batch, count, size = values.shape
    return jnp.stack([first, second], axis=2).reshape(batch, 2 * count, size)


def _band_interpolation() -> np.ndarray:
    """`[20, 513]`: gains of bands to gains of STFT bins, by lines in log-frequency."""
    bins_hz = np.arange(_STFT_LENGTH // 2 + 1) * SAMPLE_RATE_HZ / _STFT_LENGTH
    position = np.log(np.maximum(bins_hz, 1.0))
    rows = [np.interp(position, np.log(BAND_CENTRES_HZ), row) for row in np.eye(NUM_BANDS)]
    return np.stack(rows).astype(np.float32)


class BassCodec(nn.Module):
    """Encoder and decoder with one set of fields. Sizes are in `configs/autoencoder.py`."""

    kind: ClassVar[str] = "bass"

    num_spectrum_channels: int = 32
    num_dynamics_channels: int = 8
    decoder_width: int = 128
    decoder_blocks: int = 1
    dtype: jnp.dtype = jnp.float32

    def setup(self) -> None:
        """Makes the two halves."""
        self.encoder = BassEncoder(self.num_spectrum_channels, self.num_dynamics_channels)
        self.decoder = BassDecoder(
            self.num_spectrum_channels, self.decoder_width, self.decoder_blocks, self.dtype
        )

    @property
    def num_channels(self) -> int:
        """C, the width of a latent frame."""
        return NUM_PITCH_CHANNELS + self.num_spectrum_channels + self.num_dynamics_channels

    @property
    def hop(self) -> int:
        """Samples that a latent frame stands for."""
        return LATENT_HOP

    def encode(self, audio: Array) -> Array:
        """`[B, N]` waveform at 44.1 kHz, N a multiple of 2048, to `[B, N / 2048, C]`."""
        return self.encoder(audio)

    def decode(self, latents: Array, phase: Array, first_frame: Array, anchor: int = 0) -> Array:
        """`[B, T, C]` latents to a `[B, 2048 T]` waveform; see `BassDecoder`."""
        return self.decoder(latents, phase, first_frame, anchor)

    def decode_whole(self, latents: Array) -> Array:
        """Decodes latents that begin where the sound does: `[B, T, C]` to `[B, 2048 T]`."""
        rows = latents.shape[0]
        return self.decode(latents, jnp.zeros(rows), jnp.zeros(rows, jnp.int32))

    def __call__(self, audio: Array) -> tuple[Array, Array]:
        """The round trip: `(reconstruction [B, N], latents [B, T, C])`."""
        latents = self.encode(audio)
        return self.decode_whole(latents), latents
