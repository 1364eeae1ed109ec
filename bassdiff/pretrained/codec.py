"""A codec at work: waveforms of any length to normalised latents, and back."""

from __future__ import annotations

import functools

import jax
import numpy as np

from bassdiff.models.autoencoder import HALO_FRAMES, LATENT_HOP, Autoencoder
from bassdiff.models.chunked import chunked
from bassdiff.pretrained.weights import CodecWeights
from bassdiff.types import Array, PyTree


@functools.partial(jax.jit, static_argnums=0)
def _encode(model: Autoencoder, params: PyTree, mean: Array, std: Array, audio: Array) -> Array:
    return (model.apply({"params": params}, audio, method="encode") - mean[None, None]) / std


@functools.partial(jax.jit, static_argnums=0)
def _decode(model: Autoencoder, params: PyTree, mean: Array, std: Array, latents: Array) -> Array:
    return model.apply({"params": params}, latents * std + mean[None, None], method="decode")


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
        """`[N]` at 44.1 kHz to `[T, C]` float32, T = ceil(N / 2048); the end is padded with zeros."""
        num_frames = -(-len(audio) // LATENT_HOP)
        padded = np.pad(audio.astype(np.float32), (0, num_frames * LATENT_HOP - len(audio)))
        run = functools.partial(_encode, *self._arguments)
        return chunked(run, padded, LATENT_HOP, 1, HALO_FRAMES)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """`[T, C]` to `[2048 T]` float32 at 44.1 kHz."""
        run = functools.partial(_decode, *self._arguments)
        return chunked(run, latents, 1, LATENT_HOP, HALO_FRAMES)
