"""A codec at work: waveforms of any length to normalised latents, and back."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from bassdiff.models.autoencoder import (
    HALO_FRAMES,
    LATENT_HOP,
    NOISE_FRAMES,
    PITCHES,
    Autoencoder,
    advance_phase,
)
from bassdiff.models.chunked import chunked
from bassdiff.pretrained.weights import CodecWeights
from bassdiff.types import Array, PyTree


@functools.partial(jax.jit, static_argnums=0)
def _encode(model: Autoencoder, params: PyTree, mean: Array, std: Array, audio: Array) -> Array:
    return (model.apply({"params": params}, audio, method="encode") - mean[None, None]) / std


@functools.partial(jax.jit, static_argnums=0)
def _frequency(model: Autoencoder, latents: Array) -> Array:
    return model.apply({}, latents, method="frequency")


@functools.partial(jax.jit, static_argnums=0)
def _decode(model: Autoencoder, params: PyTree, latents_and_state: Array) -> Array:
    latents, phase, noise_index = jnp.split(
        latents_and_state, (model.num_channels, model.num_channels + PITCHES), axis=-1
    )
    phase = phase.reshape(phase.shape[0], -1)
    index = noise_index[..., 0].astype(jnp.int32)
    return model.apply({"params": params}, latents, phase, index, method="decode")


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

    def encode(self, audio: np.ndarray) -> np.ndarray:
        """`[N]` at 44.1 kHz to `[T, C]` float32, T = ceil(N / 2048), zeros after the end."""
        num_frames = -(-len(audio) // LATENT_HOP)
        padded = np.pad(audio.astype(np.float32), (0, num_frames * LATENT_HOP - len(audio)))
        run = functools.partial(_encode, *self._arguments)
        return chunked(run, padded, LATENT_HOP, 1, HALO_FRAMES)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """`[T, C]` to `[2048 T]` float32 at 44.1 kHz.

        Where the oscillator stands at each frame follows from all frames before it, so that
        is worked out first; after that, chunks are independent.
        """
        model, params, mean, std = self._arguments
        latents = (latents * std + mean).astype(np.float32)
        frequency = chunked(
            lambda piece: np.asarray(_frequency(model, piece)), latents, 1, PITCHES, HALO_FRAMES
        )
        phase = advance_phase(frequency.astype(np.float64)).reshape(-1, PITCHES)
        index = np.arange(len(latents))[:, None] % NOISE_FRAMES
        state = np.concatenate([latents, phase, index], axis=1).astype(np.float32)
        return chunked(functools.partial(_decode, model, params), state, 1, LATENT_HOP, HALO_FRAMES)
