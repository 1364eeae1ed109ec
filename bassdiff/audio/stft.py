"""Framed transforms in JAX: STFT, its inverse, and log-magnitudes.

One convention serves every transform of the project: a signal of `num_frames * hop`
samples has `num_frames` frames, frame m being centred on the middle of hop m, and
samples outside the signal are zero. Frames therefore sit at absolute positions, which
is what makes chunked processing equal to whole-file processing.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array

from bassdiff.audio.filters import hann

FLOOR_POWER = 1e-10


def frames(signal: Array, frame_length: int, hop: int) -> Array:
    """Cuts a signal into centred, overlapping frames.

    Args:
      signal: `[..., N]`, N a multiple of `hop`.
      frame_length: Samples per frame, a multiple of `hop` of the same parity
        of padding: `frame_length - hop` must be even.
      hop: Samples between frames.

    Returns:
      `[..., N // hop, frame_length]`.

    Raises:
      ValueError: If the lengths do not fit each other.
    """
    num_samples = signal.shape[-1]
    if num_samples % hop or frame_length % hop or (frame_length - hop) % 2:
        raise ValueError(f"{num_samples=} and {frame_length=} must be multiples of {hop=}")
    overlap = frame_length // hop
    num_frames = num_samples // hop
    half = (frame_length - hop) // 2
    padding = [(0, 0)] * (signal.ndim - 1) + [(half, half)]
    # Slices of a reshape, not a gather: every accelerator does these at memory speed.
    blocks = jnp.pad(signal, padding).reshape(*signal.shape[:-1], -1, hop)
    return jnp.concatenate([blocks[..., i : i + num_frames, :] for i in range(overlap)], axis=-1)


def overlap_add(framed: Array, hop: int) -> Array:
    """Sums frames back into a signal: the transpose of `frames`.

    Args:
      framed: `[..., T, frame_length]`.
      hop: Samples between frames.

    Returns:
      `[..., T * hop]`.
    """
    *batch, num_frames, frame_length = framed.shape
    overlap = frame_length // hop
    parts = framed.reshape(*batch, num_frames, overlap, hop)
    total = jnp.zeros((*batch, num_frames + overlap - 1, hop), framed.dtype)
    for i in range(overlap):
        total = total.at[..., i : i + num_frames, :].add(parts[..., i, :])
    half = (frame_length - hop) // 2
    return total.reshape(*batch, -1)[..., half : half + num_frames * hop]


def stft(signal: Array, frame_length: int, hop: int) -> Array:
    """Short-time Fourier transform with a Hann window.

    Args:
      signal: `[..., N]` float32, N a multiple of `hop`.
      frame_length: FFT size in samples.
      hop: Samples between frames.

    Returns:
      `[..., N // hop, frame_length // 2 + 1]` complex64.
    """
    return jnp.fft.rfft(_windowed(frames(signal, frame_length, hop), hann(frame_length)))


def istft(spectrum: Array, frame_length: int, hop: int) -> Array:
    """Inverse of `stft` away from the signal's ends.

    The overlapping squared windows are compensated by their constant sum, not by
    the sum at the ends, so that a sample's value never depends on where a chunk ends.

    Args:
      spectrum: `[..., T, frame_length // 2 + 1]` complex64.
      frame_length: FFT size in samples, at least four hops.
      hop: Samples between frames.

    Returns:
      `[..., T * hop]` float32.
    """
    window = hann(frame_length)
    compensation = float(np.sum(window**2)) / hop
    framed = _windowed(jnp.fft.irfft(spectrum, frame_length), window / compensation)
    return overlap_add(framed, hop)


def log_magnitude(spectrum: Array) -> Array:
    """Normalised log-power, `(10 log10(max(|X|^2, 1e-10)) + 25) / 75`.

    Source: the normalisation of Musika (arXiv 2208.08706), from which the paper's
    autoencoder descends.
    """
    power = jnp.maximum(jnp.square(spectrum.real) + jnp.square(spectrum.imag), FLOOR_POWER)
    return (10.0 * jnp.log10(power) + 25.0) / 75.0


def _windowed(framed: Array, window: np.ndarray) -> Array:
    return framed * jnp.expand_dims(window, range(framed.ndim - 1))
