"""A codec at work: waveforms of any length to normalised latents, and back."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.diffusion.request import LatentLayout
from bassdiff.diffusion.statistics import Sounding
from bassdiff.diffusion.types import Array, PyTree
from bassdiff.models.bass_codec import NUM_PITCH_CHANNELS, PITCHES_PER_FRAME, BassCodec
from bassdiff.models.chunked import CHUNK_FRAMES, HALO_FRAMES, chunked
from bassdiff.models.codecs import CodecModel
from bassdiff.models.pitch import (
    CODE_SIZE,
    NUM_WAVES,
    PERIODS_SEMITONES,
    PITCH_HOP,
    RANGE_SEMITONES,
    decode_pitch,
    wave_table,
)
from bassdiff.pretrained.weights import CodecWeights
from bassdiff.runtime.traced_programs import run_kept


@functools.partial(jax.jit, static_argnums=0)
def _encode(model: CodecModel, params: PyTree, mean: Array, std: Array, audio: Array) -> Array:
    return (model.apply({"params": params}, audio, method="encode") - mean[None, None]) / std


@functools.partial(jax.jit, static_argnums=0)
def _decode(
    model: CodecModel, params: PyTree, latents: Array, phase: Array, first_frame: Array
) -> Array:
    return model.apply(
        {"params": params}, latents, phase, first_frame, HALO_FRAMES, method="decode"
    )


@jax.jit
def _pitch(code: Array) -> Array:
    return jnp.stack(decode_pitch(code), axis=-1)


class Codec:
    """Encodes and decodes whole signals, in batches of chunks of one compiled shape.

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
    def hop(self) -> int:
        """Samples that a latent frame stands for."""
        return self.weights.model.hop

    @property
    def sound_channels(self) -> np.ndarray:
        """`[C]` float32, 1 for channels that hold sound and 0 for those that hold notes."""
        channels = np.ones(self.num_channels, np.float32)
        if isinstance(self.weights.model, BassCodec):
            channels[:NUM_PITCH_CHANNELS] = 0.0
        return channels

    @property
    def dynamics_channels(self) -> np.ndarray:
        """`[C]` float32, 1 for channels that tell how levels move inside a frame."""
        channels = np.zeros(self.num_channels, np.float32)
        if isinstance(self.weights.model, BassCodec):
            channels[NUM_PITCH_CHANNELS + self.weights.model.num_spectrum_channels :] = 1.0
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
    def note_channels(self) -> np.ndarray:
        """`[2, C]` float32, 1 for channels that say which note a half of a frame is.

        They do not say whether it sounds.
        """
        channels = np.zeros((PITCHES_PER_FRAME, self.num_channels), np.float32)
        if isinstance(self.weights.model, BassCodec):
            is_note = np.tile(np.arange(CODE_SIZE) < NUM_WAVES, PITCHES_PER_FRAME)
            half = np.repeat(np.arange(PITCHES_PER_FRAME), CODE_SIZE)
            halves = np.arange(PITCHES_PER_FRAME)[:, None] == half
            channels[:, :NUM_PITCH_CHANNELS] = halves & is_note
        return channels

    def note_codes(self) -> np.ndarray:
        """`[48, C]` float32: normalised latents that hold each semitone from 27.5 Hz up.

        Only `note_channels` of them mean anything.
        """
        _, _, mean, std = self._arguments
        codes = np.zeros((RANGE_SEMITONES, self.num_channels), np.float32)
        if isinstance(self.weights.model, BassCodec):
            waves = wave_table(np.arange(RANGE_SEMITONES))
            codes[:, self.note_channels.any(axis=0)] = np.tile(waves, PITCHES_PER_FRAME)
        normalised: np.ndarray = (codes - mean) / std
        return normalised

    @property
    def pitch_channels(self) -> np.ndarray:
        """`[C]` bool, whether a channel holds the pitch or whether it sounds."""
        is_pitch: np.ndarray = self.sound_channels == 0.0
        return is_pitch

    def line(self, semitones: np.ndarray, known: np.ndarray, sounds: np.ndarray) -> np.ndarray:
        """Normalised latents `[T, C]` that hold a line's pitches; only `pitch_channels` of them do.

        Args:
          semitones: `[2 T]` above 27.5 Hz, one per 1024 samples.
          known: `[2 T]`, 1 where there is a pitch, and for a while after it.
          sounds: `[2 T]`, 1 where it sounds, else 0.
        """
        _, _, mean, std = self._arguments
        waves = wave_table(semitones) * np.asarray(known, np.float32)[:, None]
        code = np.concatenate([waves, 2.0 * np.asarray(sounds, np.float32)[:, None] - 1.0], axis=1)
        latents = np.zeros((len(semitones) // PITCHES_PER_FRAME, self.num_channels), np.float32)
        latents[:, self.pitch_channels] = code.reshape(len(latents), -1)
        normalised: np.ndarray = (latents - mean) / std
        return normalised

    @property
    def has_pitch(self) -> bool:
        """Whether some channels hold the pitch of one voice, which a line may be given by."""
        return bool(self.pitch_channels.any())

    @property
    def layout(self) -> LatentLayout:
        """The meaning of the channels of its normalised latents."""
        return LatentLayout(
            self.sound_channels,
            self.dynamics_channels,
            self.note_channels,
            self.note_codes(),
            self.sounding,
        )

    def encode(self, audio: np.ndarray) -> np.ndarray:
        """`[N]` at 44.1 kHz to `[T, C]` float32, T = ceil(N / hop), zeros after the end."""
        return self.encode_all([audio])[0]

    def encode_all(
        self, signals: Sequence[np.ndarray], gains: Sequence[float] | None = None
    ) -> list[np.ndarray]:
        """`encode` of several signals, each times its gain, whose chunks share calls."""

        def run(audio: np.ndarray, gain: np.ndarray) -> Array:
            arguments = (*self._arguments[1:], audio * gain[:, None])
            return run_kept(_encode, self._arguments[:1], arguments, like=gain)

        def about(signal: int, chunk: int) -> tuple[np.ndarray, ...]:
            return (np.asarray(1.0 if gains is None else gains[signal], np.float32),)

        waves = [np.asarray(audio, np.float32) for audio in signals]
        return chunked(run, waves, self.hop, 1, HALO_FRAMES, extras=about)

    def pitch(self, latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pitch that latents hold, without decoding them.

        Args:
          latents: `[T, C]` of a codec that has a pitch.

        Returns:
          Frequency `[2 T]` in Hz, one per 1024 samples, and whether it sounds, `[2 T]` bool.
        """
        found = self._spans([self._stored(latents)])[0]
        return found[:, 0], found[:, 1] > 0.0

    def turns(self, latents: np.ndarray) -> float:
        """How many times the oscillator turns in latents `[T, C]` of a codec that has a pitch."""
        spans = self._spans([self._stored(latents)])[0]
        return float(spans[:, 0].astype(np.float64).sum() * (PITCH_HOP / SAMPLE_RATE_HZ))

    def transposed(self, latents: np.ndarray, semitones: float) -> np.ndarray:
        """Latents `[T, C]` of a codec that has a pitch, `semitones` higher, in the same sound."""
        _, _, mean, std = self._arguments
        stored = self._stored(latents)
        code = stored[:, self.note_channels.any(axis=0)]
        code = code.reshape(len(code), PITCHES_PER_FRAME, 2, NUM_WAVES // 2)
        cosine, sine = code[:, :, 0], code[:, :, 1]
        # A note's code is an angle for each of its periods.
        turn = 2.0 * np.pi * semitones / np.asarray(PERIODS_SEMITONES)[None, None]
        turned = [
            cosine * np.cos(turn) - sine * np.sin(turn),
            sine * np.cos(turn) + cosine * np.sin(turn),
        ]
        moved = stored.copy()
        moved[:, self.note_channels.any(axis=0)] = np.stack(turned, axis=2).reshape(len(code), -1)
        normalised: np.ndarray = ((moved - mean) / std).astype(np.float32)
        return normalised

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """`[T, C]` to `[hop T]` float32 at 44.1 kHz."""
        return self.decode_all([latents])[0]

    def decode_all(self, signals: Sequence[np.ndarray]) -> list[np.ndarray]:
        """`decode` of several signals, whose chunks share calls.

        Where a chunk's oscillator begins is known beforehand from the pitches before it.
        """
        stored = [self._stored(latents) for latents in signals]
        phases = self._phases(stored)

        def about(signal: int, chunk: int) -> tuple[np.ndarray, ...]:
            first_frame = np.asarray(chunk * CHUNK_FRAMES - HALO_FRAMES, np.int32)
            return phases[signal][chunk * CHUNK_FRAMES], first_frame

        model, params, _, _ = self._arguments

        def run(latents: np.ndarray, phase: np.ndarray, first_frame: np.ndarray) -> Array:
            arguments = (params, latents, phase, first_frame)
            return run_kept(_decode, (model,), arguments, like=phase)

        # Zeros are not silence to a decoder: they would be heard where the song begins and ends.
        return chunked(run, stored, 1, self.hop, HALO_FRAMES, edge="edge", extras=about)

    def _stored(self, latents: np.ndarray) -> np.ndarray:
        """Normalised latents as the network has them."""
        _, _, mean, std = self._arguments
        return (latents * std + mean).astype(np.float32)

    def _spans(self, stored: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Frequency in Hz and whether it sounds of every 1024 samples: `[2 T, 2]` of each."""
        spans = [rows[:, :NUM_PITCH_CHANNELS].reshape(-1, CODE_SIZE) for rows in stored]
        return chunked(lambda code: run_kept(_pitch, (), (code,), like=code), spans, 1, 1, 0)

    def _phases(self, stored: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The oscillator's phase `[T]` in cycles, when each frame begins."""
        if not isinstance(self.weights.model, BassCodec):
            return [np.zeros(len(rows), np.float32) for rows in stored]
        cycles = [
            spans[:, 0].reshape(-1, PITCHES_PER_FRAME).astype(np.float64).sum(axis=1)
            * (PITCH_HOP / SAMPLE_RATE_HZ)
            for spans in self._spans(stored)
        ]
        return [((np.cumsum(turns) - turns) % 1.0).astype(np.float32) for turns in cycles]


class CodecPair:
    """The codecs of mixes and of basses, or of another target, at work."""

    def __init__(self, mix_codec: CodecWeights, bass_codec: CodecWeights) -> None:
        self.mix_codec, self.bass_codec = Codec(mix_codec), Codec(bass_codec)

    def round_trip(self, bass: np.ndarray) -> np.ndarray:
        """The bass codec's reconstruction of a waveform `[N]` at 44.1 kHz, `[N]`."""
        return self.bass_codec.decode(self.bass_codec.encode(bass))[: len(bass)]
