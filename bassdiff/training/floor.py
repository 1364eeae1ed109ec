"""The autoencoder's starting point, in closed form: principal components of its features.

A codec trained from noise needs hours to become usable. One whose linear paths are fitted
reconstructs its features as well as any linear map of that width can, at once; training
then only has to improve on it.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from bassdiff.models.autoencoder import Autoencoder
from bassdiff.models.features import spectral_features
from bassdiff.types import Array, PyTree


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


def expansion_floor(
    model: Autoencoder, encode: Callable[[np.ndarray], Array], clips: np.ndarray
) -> dict[str, PyTree]:
    """Fits a decoder's linear path to an encoder that is there already, by least squares.

    Args:
      model: The autoencoder, for its sizes.
      encode: Waveforms `[1, N]` to latents `[1, T, C]`.
      clips: `[n, N]` float32 waveforms.

    Returns:
      `{"expansion": ...}`: parameters of the decoder to overwrite.
    """
    analyse = jax.jit(spectral_features, static_argnums=1)
    latents, features = (
        np.concatenate([np.asarray(look(clip[None]))[0] for clip in clips])
        for look in (encode, lambda audio: analyse(audio, model.num_long_bands))
    )
    sound = latents[:, -model.num_envelope_channels :]
    ones = np.ones((len(sound), 1), sound.dtype)
    solution = np.linalg.lstsq(np.concatenate([sound, ones], axis=1), features, rcond=None)[0]
    return {"expansion": {"kernel": solution[:-1], "bias": solution[-1]}}


def overwrite(params: PyTree, values: PyTree) -> PyTree:
    """`params` with the leaves that `values` names replaced, all others kept."""
    if not isinstance(values, dict):
        return values
    return {
        key: overwrite(leaf, values[key]) if key in values else leaf for key, leaf in params.items()
    }
