"""Losses of the codecs: distances between spectra, and the discriminator's hinge."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from bassdiff.audio.stft import stft
from bassdiff.diffusion.types import Array
from bassdiff.models.features import STFT_HOP, STFT_LENGTH, SUBFRAMES

FFT_LENGTHS = (256, 512, 1024, 2048, 4096, 8192)
# 70 dB below a full-scale sine, as a power and as a magnitude relative to it. Without a floor
# the logarithm's gradient, 1 / |X|, makes inaudible bins decide the step.
FLOOR_POWER = (10.0**-3.5 * STFT_LENGTH / 4) ** 2
FLOOR_MAGNITUDE = 10.0**-3.5


def log_magnitude_distance(reference: Array, estimate: Array) -> Array:
    """Mean |s(estimate) - s(reference)| of log-magnitudes over a floor of -70 dB: L_rec.

    In units of 75 dB, as `log_magnitude` is.
    """
    return jnp.mean(jnp.abs(_level(estimate) - _level(reference)))


def in_step_distance(reference: Array, estimate: Array) -> Array:
    """The part of the error that repeats with every latent frame.

    It is heard as a buzz at 21.5 Hz and its multiples, but is a small part of a distance of
    spectra.

    Args:
      reference: `[B, N]`, N a multiple of 2048.
      estimate: `[B, N]`.

    Returns:
      A scalar in units of 75 dB: the root mean square, over clips, the eight places of a frame and
      16 bands, of the mean error at a place less the mean error at all places.
    """
    batch = reference.shape[0]
    error = _level(estimate) - _level(reference)  # [B, 8 T, 513]
    bands = error[..., : 16 * (error.shape[-1] // 16)].reshape(batch, -1, SUBFRAMES, 16, 32)
    by_place = jnp.mean(bands, axis=(1, 4))  # [B, 8, 16]
    uneven = by_place - jnp.mean(by_place, axis=1, keepdims=True)
    # The slope of a root is infinite at zero.
    return jnp.sqrt(jnp.mean(jnp.square(uneven)) + 1e-12)


def _level(signal: Array) -> Array:
    """Log-magnitudes `[B, M, 513]` over a floor of -70 dB, in units of 75 dB."""
    spectrum = stft(signal, STFT_LENGTH, STFT_HOP)
    power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
    return 10.0 / 75.0 * jnp.log10(power + FLOOR_POWER)


def multi_scale_distance(reference: Array, estimate: Array) -> Array:
    """Spectral convergence plus mean log-magnitude difference, averaged over FFT sizes.

    ||S| - |S^||_F / ||S|_F + mean |ln|S| - ln|S^||, with hop = size / 4. Sizes up to 8192
    resolve the partials of low notes.

    Args:
      reference: `[B, N]`, N a multiple of a quarter of the largest size.
      estimate: `[B, N]`.

    Returns:
      A scalar, 0 for equal magnitudes.
    """
    total = jnp.zeros(())
    for length in FFT_LENGTHS:
        target, other = (
            jnp.sqrt(jnp.square(s.real) + jnp.square(s.imag) + FLOOR_MAGNITUDE**2)
            # A sine of amplitude 1 has magnitude 1 at every size.
            for s in (stft(x * (4.0 / length), length, length // 4) for x in (reference, estimate))
        )
        convergence = jnp.linalg.norm(target - other) / jnp.linalg.norm(target)
        total = total + convergence + jnp.mean(jnp.abs(jnp.log(target) - jnp.log(other)))
    return total / len(FFT_LENGTHS)


def hinge_discriminator_loss(real: list[Array], fake: list[Array]) -> Array:
    """E[max(0, 1 - D(real))] + E[max(0, 1 + D(fake))], averaged over discriminators."""
    losses = [
        jnp.mean(jax.nn.relu(1.0 - r)) + jnp.mean(jax.nn.relu(1.0 + f))
        for r, f in zip(real, fake, strict=True)
    ]
    return jnp.mean(jnp.stack(losses))
