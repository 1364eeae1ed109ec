"""A codec at work: waveforms of any length to normalised latents, and back."""

from __future__ import annotations

import functools

import jax
import numpy as np

from bassdiff.diffusion.statistics import Sounding
from bassdiff.models.bass_codec import NUM_PITCH_CHANNELS, PITCHES_PER_FRAME, BassCodec
from bassdiff.models.chunked import CHUNK_FRAMES, HALO_FRAMES, chunked
from bassdiff.models.features import LATENT_HOP
from bassdiff.models.mix_codec import MixCodec
from bassdiff.models.pitch import (
    CODE_SIZE,
    NUM_WAVES,
    RANGE_SEMITONES,
    decode_pitch,
    wave_table,
)
from bassdiff.pretrained.weights import CodecWeights
from bassdiff.types import Array, PyTree


@functools.partial(jax.jit, static_argnums=0)
def _encode(
    model: BassCodec | MixCodec, params: PyTree, mean: Array, std: Array, audio: Array
) -> Array:
    return (model.apply({"params": params}, audio, method="encode") - mean[None, None]) / std


@functools.partial(jax.jit, static_argnums=0)
def _decode(
    model: BassCodec | MixCodec, params: PyTree, latents: Array, phase: Array, first_frame: Array
) -> tuple[Array, Array]:
    return model.apply(
        {"params": params}, latents, phase, first_frame, HALO_FRAMES, method="decode"
    )


_pitch = jax.jit(decode_pitch)


class Codec:
    """Encodes and decodes whole signals in chunks of one compiled shape.

    Latents are normalised: zero mean per channel and unit variance over all channels.
    """

    def __init__(self, weights: CodecWeights) -> None:
        self.weights = weights
        self._arguments = (weights.model, jax.device_put(weights.params), *map(np.asarray, (
            weights.mean, np.float32(weights.std))))  # fmt: skip

    @property
    def num_channels(self) -> int:
        """C."""
        return self.weights.model.num_channels

    @property
    def sound_channels(self) -> np.ndarray:
        """`[C]` float32, 1 for channels that hold sound and 0 for those that hold notes."""
        channels = np.ones(self.num_channels, np.float32)
        if isinstance(self.weights.model, BassCodec):
            channels[:NUM_PITCH_CHANNELS] = 0.0
        return channels

    @property
    def sounding(self) -> Sounding:
        """Tells from normalised latents how much of a frame sounds: all of it, to codecs of mixes.

        From -1 for a rest to 1 for a sound, averaged over a frame's pitches.
        """
        weights, offset = np.zeros(self.num_channels, np.float32), np.float32(1.0)
        if isinstance(self.weights.model, BassCodec):
            _, _, mean, std = self._arguments
            places = np.arange(PITCHES_PER_FRAME) * CODE_SIZE + NUM_WAVES
            weights[places] = 0.5 * std / PITCHES_PER_FRAME
            offset = np.float32(0.5 + 0.5 * mean[places].mean())
        return Sounding(weights, offset)

    @property
    def wave_channels(self) -> np.ndarray:
        """`[C]` float32, 1 for channels that say which note it is, and not whether it sounds."""
        channels = np.zeros(self.num_channels, np.float32)
        if isinstance(self.weights.model, BassCodec):
            code = np.arange(CODE_SIZE) < NUM_WAVES
            channels[:NUM_PITCH_CHANNELS] = np.tile(code, PITCHES_PER_FRAME)
        return channels

    def note_codes(self) -> np.ndarray:
        """`[48, C]` float32: normalised latents that hold each semitone from 27.5 Hz up.

        Only `wave_channels` of them mean anything.
        """
        _, _, mean, std = self._arguments
        codes = np.zeros((RANGE_SEMITONES, self.num_channels), np.float32)
        if isinstance(self.weights.model, BassCodec):
            waves = wave_table(np.arange(RANGE_SEMITONES))
            codes[:, self.wave_channels > 0] = np.tile(waves, PITCHES_PER_FRAME)
        normalised: np.ndarray = (codes - mean) / std
        return normalised

    def encode(self, audio: np.ndarray) -> np.ndarray:
        """`[N]` at 44.1 kHz to `[T, C]` float32, T = ceil(N / 2048), zeros after the end."""
        num_frames = -(-len(audio) // LATENT_HOP)
        padded = np.pad(audio.astype(np.float32), (0, num_frames * LATENT_HOP - len(audio)))
        run = functools.partial(_encode, *self._arguments)
        return chunked(run, padded, LATENT_HOP, 1, HALO_FRAMES)

    def pitch(self, latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pitch that latents hold, without decoding them.

        Args:
          latents: `[T, C]` of a codec that has a pitch.

        Returns:
          Frequency `[2 T]` in Hz, one per 1024 samples, and whether it sounds, `[2 T]` bool.
        """
        _, _, mean, std = self._arguments
        code = (latents * std + mean).astype(np.float32)[:, :NUM_PITCH_CHANNELS]
        spans = code.reshape(-1, CODE_SIZE)
        found = chunked(lambda piece: np.stack(_pitch(piece), axis=-1), spans, 1, 1, 0)
        return found[:, 0], found[:, 1] > 0.0

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """`[T, C]` to `[2048 T]` float32 at 44.1 kHz.

        Chunks are decoded in order, each from the phase at which the last one left the
        oscillator.
        """
        model, params, mean, std = self._arguments
        latents = (latents * std + mean).astype(np.float32)
        phase, first_frame = np.zeros(1, np.float32), -HALO_FRAMES

        def run(piece: np.ndarray) -> np.ndarray:
            nonlocal phase, first_frame
            number = np.full(1, first_frame, np.int32)
            audio, phases = _decode(model, params, piece, phase, number)
            phase = np.asarray(phases)[:, HALO_FRAMES + CHUNK_FRAMES]
            first_frame += CHUNK_FRAMES
            return np.asarray(audio)

        # Zeros are not silence to a decoder: they would be heard where the song begins and ends.
        return chunked(run, latents, 1, LATENT_HOP, HALO_FRAMES, edge="edge")
