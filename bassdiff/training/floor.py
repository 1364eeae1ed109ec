"""The autoencoder's starting point, in closed form: the best linear codec of the data.

A neural codec trained from noise needs long to keep a low note's pitch at all; principal
components of a lapped transform keep it at once. Training then only has to improve on this.
"""

from __future__ import annotations

import numpy as np

from bassdiff.models.autoencoder import (
    LAPPED_LENGTH,
    LAPPED_SCALE,
    LATENT_HOP,
    Autoencoder,
    lapped_window,
    spectral_features,
)
from bassdiff.types import PyTree


def mdct_basis() -> np.ndarray:
    """The orthonormal lapped basis `[4096, 2048]`: windowed cosines, one column per frequency."""
    sample = np.arange(LAPPED_LENGTH) + 0.5 + LATENT_HOP / 2
    frequency = np.arange(LATENT_HOP) + 0.5
    cosines = np.cos(np.pi / LATENT_HOP * sample[:, None] * frequency[None, :])
    return np.sqrt(2.0 / LATENT_HOP) * lapped_window()[:, None] * cosines


def principal_components(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` largest principal directions `[D, count]` of rows `[n, D]`, and variances."""
    covariance = np.cov(values, rowvar=False)
    variances, directions = np.linalg.eigh(covariance)
    order = np.argsort(variances)[::-1][:count]
    return directions[:, order], np.maximum(variances[order], 1e-12)


def linear_floor(
    model: Autoencoder, clips: np.ndarray, whitening: float
) -> dict[str, dict[str, PyTree]]:
    """Fits the linear paths of encoder and decoder to clips of audio.

    Components are divided by their variance to the power of `whitening` and scaled to unit
    mean variance: 0.5 makes all equally loud, 0 keeps their natural sizes. At 0.25 the strong
    components still dominate, and those are the ones that noise should reach last.

    Args:
      model: The autoencoder, for its sizes.
      clips: `[n, N]` float32 waveforms.
      whitening: Exponent, 0 to 0.5.

    Returns:
      `{"encoder": ..., "decoder": ...}`: parameters to overwrite.
    """
    encoder: dict[str, PyTree] = {}
    decoder: dict[str, PyTree] = {}
    if model.num_waveform_channels:
        basis = mdct_basis()
        half = (LAPPED_LENGTH - LATENT_HOP) // 2
        padded = np.pad(clips, ((0, 0), (half, half)))
        blocks = padded.reshape(len(clips), -1, LATENT_HOP // 2)
        # Window 4096, hop 2048: four half-hop blocks, two half-hops apart.
        count = clips.shape[1] // LATENT_HOP
        framed = np.concatenate([blocks[:, i : i + 2 * count : 2] for i in range(4)], axis=-1)
        coefficients = framed.reshape(-1, LAPPED_LENGTH) @ basis.astype(np.float32)
        directions, variances = principal_components(coefficients, model.num_waveform_channels)
        weights = variances**-whitening
        weights = weights / np.sqrt(np.mean(variances * weights**2))
        scaled = basis / LAPPED_SCALE
        encoder["analysis"] = (scaled @ (directions * weights)).astype(np.float32)
        decoder["synthesis"] = (scaled @ (directions / weights)).T.astype(np.float32)
    features = np.concatenate(
        [np.asarray(spectral_features(clip[None], model.num_long_bands))[0] for clip in clips]
    )
    directions, variances = principal_components(features, model.num_envelope_channels)
    weights = variances**-whitening
    weights = weights / np.sqrt(np.mean(variances * weights**2))
    kernel = directions * weights
    encoder["projection"] = {
        "kernel": kernel.astype(np.float32),
        "bias": (-features.mean(axis=0) @ kernel).astype(np.float32),
    }
    return {"encoder": encoder, "decoder": decoder}


def overwrite(params: PyTree, values: PyTree) -> PyTree:
    """`params` with the leaves that `values` names replaced, all others kept."""
    if not isinstance(values, dict):
        return values
    return {
        key: overwrite(leaf, values[key]) if key in values else leaf for key, leaf in params.items()
    }
