"""The autoencoder's starting point, in closed form: principal components of its features.

A codec trained from noise needs hours to become usable. One whose linear paths are fitted
reconstructs its features as well as any linear map of that width can, at once; training
then only has to improve on it.
"""

from __future__ import annotations

import jax
import numpy as np

from bassdiff.models.autoencoder import Autoencoder, spectral_features
from bassdiff.types import PyTree


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
    analyse = jax.jit(spectral_features, static_argnums=1)
    features = np.concatenate(
        [np.asarray(analyse(clip[None], model.num_long_bands))[0] for clip in clips]
    )
    directions, variances = principal_components(features, model.num_envelope_channels)
    weights = variances**-whitening
    weights = weights / np.sqrt(np.mean(variances * weights**2))
    mean = features.mean(axis=0)
    kernel = directions * weights
    return {
        "encoder": {
            "projection": {
                "kernel": kernel.astype(np.float32),
                "bias": (-mean @ kernel).astype(np.float32),
            }
        },
        "decoder": {
            "expansion": {
                "kernel": (directions / weights).T.astype(np.float32),
                "bias": mean.astype(np.float32),
            }
        },
    }


def overwrite(params: PyTree, values: PyTree) -> PyTree:
    """`params` with the leaves that `values` names replaced, all others kept."""
    if not isinstance(values, dict):
        return values
    return {
        key: overwrite(leaf, values[key]) if key in values else leaf for key, leaf in params.items()
    }
