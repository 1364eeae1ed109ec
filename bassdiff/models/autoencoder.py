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

import functools

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.stft import band_filters, hann, istft, log_magnitude, stft
from bassdiff.models.layers import ChannelNorm, Downsample, ResidualBlock, Upsample
from bassdiff.models.pitch import (
    CODE_SIZE,
    LOWEST_HZ,
    PITCH_HOP,
    decode_pitch,
    encode_pitch,
    place,
    settle,
    track,
)
from bassdiff.models.tones import (
    advance_phase,
    band_power_of_tones,
    frame_noise,
    oscillate,
    sound_bank,
    tone_in_lowest_band,
)
from bassdiff.types import Array

LATENT_HOP = 2048
STFT_LENGTH = 1024
STFT_HOP = 256
LONG_LENGTH = 8192
SUBFRAMES = LATENT_HOP // STFT_HOP  # STFT frames per latent frame: three stride-2 stages
PITCHES = LATENT_HOP // PITCH_HOP  # per latent frame
NUM_PITCH_CHANNELS = PITCHES * CODE_SIZE
NUM_BANDS = 24
BAND_FMIN_HZ, BAND_FMAX_HZ = 60.0, 14000.0
LONG_FMIN_HZ, LONG_FMAX_HZ = 40.0, 3520.0
NUM_PARTIALS = 40
HALO_FRAMES = 16
VOICED_SLOPE = 6.0
# Between the low C and C sharp. A decoder learns what the lowest narrow band misses of most notes;
# to lower ones, a twentieth of its training, the released one gave 6 to 18 dB too little.
RARE_BELOW_HZ = 33.7
# Nepers of power, 9 dB, and not all that may be missed: where a bass has no fundamental to speak
# of, as much of something else is made one.
MOST_MADE_UP = 2.1
SLOWEST_PERIOD = 4  # STFT frames that a period of a bass's low E lasts


def spectral_features(audio: Array, num_long_bands: int) -> Array:
    """Fixed log-magnitude features of each latent frame.

    Eight short frames resolve onsets in 24 broad bands; one long frame (8192 samples)
    resolves pitch in narrow ones, which a 1024-sample window cannot do below 300 Hz.

    Args:
      audio: `[B, N]` float32, N a multiple of 2048.
      num_long_bands: Narrow bands between 40 Hz and 3.5 kHz.

    Returns:
      `[B, N / 2048, 8 * 24 + num_long_bands]` float32: 0 (silence) to about 1.3.
    """
    batch, num_samples = audio.shape
    num_frames = num_samples // LATENT_HOP

    def log_bands(spectrum: Array, filters: np.ndarray) -> Array:
        power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
        return (10.0 * jnp.log10(power @ filters + 1e-5) + 50.0) / 75.0

    short = log_bands(
        stft(audio, STFT_LENGTH, STFT_HOP),
        band_filters(STFT_LENGTH, SAMPLE_RATE_HZ, NUM_BANDS, BAND_FMIN_HZ, BAND_FMAX_HZ),
    )
    long = log_bands(
        stft(audio, LONG_LENGTH, LATENT_HOP),
        band_filters(LONG_LENGTH, SAMPLE_RATE_HZ, num_long_bands, LONG_FMIN_HZ, LONG_FMAX_HZ),
    )
    return jnp.concatenate([short.reshape(batch, num_frames, -1), long], axis=-1)


def log_power(features: Array) -> Array:
    """Inverts the scale of `spectral_features`: natural logarithm of the mean power of a band."""
    return (75.0 * features - 50.0) * (np.log(10.0) / 10.0)


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


def loudness_rise(short: Array) -> Array:
    """How much louder, in nepers of power, each 256 samples are than those before: `[B, M]`.

    Args:
      short: `[B, M, 24]` log-power of the broad bands.
    """
    edges = jnp.pad(short, ((0, 0), (1, 1), (0, 0)), mode="edge")
    return jnp.mean(jnp.maximum(edges[:, 2:] - edges[:, :-2], 0.0), axis=-1)


def band_interpolation() -> np.ndarray:
    """`[24, 513]`: gains of the broad bands to gains of STFT bins, by lines in log-frequency."""
    centres = np.log(short_centres_hz())
    bins_hz = np.arange(STFT_LENGTH // 2 + 1) * SAMPLE_RATE_HZ / STFT_LENGTH
    position = np.log(np.maximum(bins_hz, 1.0))
    rows = [np.interp(position, centres, row) for row in np.eye(NUM_BANDS)]
    return np.stack(rows).astype(np.float32)


def partial_log_power(short: Array, long: Array, partials_hz: Array) -> Array:
    """What the features say about the squared amplitude of each partial.

    The long window tells partials apart but smears them over 190 ms; the short one follows
    their attack and decay. So: the long level at the partial's frequency, plus the short
    level there relative to its own average over the long window.

    Args:
      short: `[B, 8 T, 24]` log-power of the broad bands.
      long: `[B, T, L]` normalised levels of the narrow bands.
      partials_hz: `[B, 8 T, K]`.

    Returns:
      `[B, 8 T, K]` natural logarithm of the squared amplitude.
    """
    long_edges = np.geomspace(LONG_FMIN_HZ, LONG_FMAX_HZ, long.shape[-1] + 2)
    width_bins = np.maximum(np.diff(long_edges)[1:] * LONG_LENGTH / SAMPLE_RATE_HZ, 1.0)
    # A sine of amplitude a puts 1.5 (a N / 4)^2 into the Hann window's three bins.
    sine = np.log(width_bins / (1.5 * (LONG_LENGTH / 4) ** 2)).astype(np.float32)[None, None]
    levels = jnp.repeat(log_power(long) + sine, SUBFRAMES, axis=1)
    rises = _at(
        dynamics(short), np.geomspace(BAND_FMIN_HZ, BAND_FMAX_HZ, NUM_BANDS + 2), partials_hz
    )
    made_up = jnp.interp(partials_hz[..., 0], *missed_below_bands(long.shape[-1]))
    return (_at(levels, long_edges, partials_hz) + rises).at[..., 0].add(made_up)


@functools.lru_cache
def missed_below_bands(num_long_bands: int) -> tuple[np.ndarray, np.ndarray]:
    """What to make up for of a low fundamental, of which the lowest narrow band sees little.

    Returns:
      Frequencies in Hz that rise, and nepers of power, of which the last is 0.
    """
    frequency_hz = np.geomspace(LOWEST_HZ, 1.015 * RARE_BELOW_HZ, 32)
    seen = tone_in_lowest_band(
        LONG_LENGTH, num_long_bands, LONG_FMIN_HZ, LONG_FMAX_HZ, frequency_hz
    )
    common = np.interp(frequency_hz / RARE_BELOW_HZ, [0.985, 1.015], [0.0, 1.0])
    return frequency_hz, np.minimum(-seen, MOST_MADE_UP) * (1.0 - common)


def bank_log_power(short: Array, long: Array) -> Array:
    """What the features say about the squared amplitude of a tone in each narrow band.

    A tone lights the bands beside its own too, so only bands that stand above both neighbours
    sound; the others are 52 dB softer, from where training may fetch them.

    Args:
      short: `[B, 8 T, 24]` log-power of the broad bands.
      long: `[B, T, L]` normalised levels of the narrow bands.

    Returns:
      `[B, 8 T, L]` natural logarithms.
    """
    num_bands = long.shape[-1]
    edges = jnp.pad(long, ((0, 0), (0, 0), (1, 1)), constant_values=-1.0)
    is_peak = (long >= edges[..., :-2]) & (long > edges[..., 2:])
    of_tone = band_power_of_tones(LONG_LENGTH, num_bands, LONG_FMIN_HZ, LONG_FMAX_HZ)
    level = log_power(long) - of_tone[None, None]
    amplitude = jnp.exp(0.5 * (level - 12.0 * (1.0 - is_peak)))
    ends = jnp.pad(amplitude, ((0, 0), (1, 1), (0, 0)), mode="edge")
    # A frame's window is in its middle: lines join the middles.
    place = ((np.arange(SUBFRAMES) + 0.5) / SUBFRAMES - 0.5)[None, None, :, None]
    before, after = np.maximum(-place, 0.0), np.maximum(place, 0.0)
    joined = (
        amplitude[:, :, None] * (1.0 - before - after)
        + ends[:, :-2, None] * before
        + ends[:, 2:, None] * after
    ).reshape(short.shape[0], -1, num_bands)
    centres_hz = jnp.asarray(long_centres_hz(num_bands), jnp.float32)
    rises = _at(
        dynamics(short),
        np.geomspace(BAND_FMIN_HZ, BAND_FMAX_HZ, NUM_BANDS + 2),
        jnp.broadcast_to(centres_hz[None, None], joined.shape),
    )
    return 2.0 * jnp.log(joined + 1e-9) + jnp.clip(rises, -8.0, 3.0)


def long_centres_hz(num_long_bands: int) -> np.ndarray:
    """The middles of the narrow bands."""
    return np.geomspace(LONG_FMIN_HZ, LONG_FMAX_HZ, num_long_bands + 2)[1:-1]


def short_centres_hz() -> np.ndarray:
    """The middles of the broad bands."""
    return np.geomspace(BAND_FMIN_HZ, BAND_FMAX_HZ, NUM_BANDS + 2)[1:-1]


def dynamics(short: Array) -> Array:
    """How far each moment's log-power is from its mean over a long window, `[B, M, 24]`."""
    count = short.shape[1]

    def smoothed(window: np.ndarray) -> Array:
        size = len(window)
        edges = ((0, 0), (size // 2, size - 1 - size // 2), (0, 0))
        power = jnp.pad(jnp.exp(short), edges, "edge")
        total = sum(power[:, i : i + count] * window[i] for i in range(size))
        return jnp.log(total / float(window.sum()) + 1e-9)

    # A low note's window sees single periods come and go: not an envelope, but the pitch itself.
    return smoothed(np.ones(SLOWEST_PERIOD)) - smoothed(hann(4 * SUBFRAMES))


def _at(levels: Array, edges_hz: np.ndarray, frequency_hz: Array) -> Array:
    """Interpolates levels `[B, M, bands]` at frequencies `[B, M, K]`, by lines in log-frequency."""
    first, step = np.log(edges_hz[1]), np.log(edges_hz[1] / edges_hz[0])
    position = jnp.clip((jnp.log(frequency_hz) - first) / step, 0.0, levels.shape[-1] - 1.0)
    lower = jnp.minimum(position.astype(jnp.int32), levels.shape[-1] - 2)
    share = position - lower
    below = jnp.take_along_axis(levels, lower, axis=-1)
    above = jnp.take_along_axis(levels, lower + 1, axis=-1)
    return below + share * (above - below)


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
