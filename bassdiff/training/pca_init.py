"""Closed-form initialisation of a codec by principal components of its features.

A codec trained from random parameters needs hours to become usable. With fitted linear paths it
reconstructs its features as well as any linear map of that width from the start. A
`SpectrogramCodec` has no such paths and starts from random parameters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from bassdiff.diffusion.types import Array, PyTree
from bassdiff.models.bass_codec import NUM_PITCH_CHANNELS
from bassdiff.models.codecs import CodecModel
from bassdiff.models.features import spectral_features
from bassdiff.models.harmonics import analyse
from bassdiff.models.mix_codec import MixCodec
from bassdiff.models.partial_levels import split_time
from bassdiff.models.spectrogram_codec import SpectrogramCodec

# Standard deviation of dynamics channels; spectrum and pitch channels have 1.
DYNAMICS_STD = 0.7


@dataclasses.dataclass(frozen=True)
class _Path:
    """A linear layer of the encoder, and the one of the decoder that inverts it.

    Attributes:
      encoder_layer: Name of the encoder's layer.
      decoder_layer: Name of the decoder's layer.
      features: `[n, D]`, input of the encoder's layer.
      channels: Latent channels of its output.
      std: Root mean variance of these channels.
    """

    encoder_layer: str
    decoder_layer: str
    features: np.ndarray
    channels: slice
    std: float = 1.0


def pca_init(
    model: CodecModel, clips: np.ndarray, whitening: float
) -> dict[str, dict[str, PyTree]]:
    """Fits the linear paths of encoder and decoder to clips of audio.

    Components are divided by their variance to the power of `whitening` and scaled to one mean
    variance: 0.5 makes all equally loud, 0 keeps their natural sizes. In between, strong
    components still dominate, so that noise affects them last.

    Args:
      model: The codec, for its sizes.
      clips: `[n, N]` float32 waveforms.
      whitening: Exponent, 0 to 0.5.

    Returns:
      `{"encoder": ..., "decoder": ...}`: parameters for `overwrite`.
    """
    fitted: dict[str, dict[str, PyTree]] = {"encoder": {}, "decoder": {}}
    for path in _paths(model, clips):
        count = path.channels.stop - path.channels.start
        directions, variances = principal_components(path.features, count)
        weights = variances**-whitening
        weights = weights * (path.std / np.sqrt(np.mean(variances * weights**2)))
        mean = path.features.mean(axis=0)
        kernel = directions * weights
        fitted["encoder"][path.encoder_layer] = _dense(kernel, -mean @ kernel)
        fitted["decoder"][path.decoder_layer] = _dense((directions / weights).T, mean)
    return fitted


def decoder_init(
    model: CodecModel, encode: Callable[[np.ndarray], Array], clips: np.ndarray
) -> dict[str, PyTree]:
    """Fits a decoder's linear paths to an existing encoder by least squares.

    Args:
      model: The codec, for its sizes.
      encode: Encodes waveforms `[1, N]` to latents `[1, T, C]`.
      clips: `[n, N]` float32 waveforms.

    Returns:
      Parameters of the decoder, to overwrite its own.
    """
    latents = np.concatenate([np.asarray(encode(clip[None]))[0] for clip in clips])
    fitted = {}
    for path in _paths(model, clips):
        read = latents[:, path.channels]
        ones = np.ones((len(read), 1), read.dtype)
        known = np.concatenate([read, ones], axis=1)
        solution = np.linalg.lstsq(known, path.features, rcond=None)[0]
        fitted[path.decoder_layer] = _dense(solution[:-1], solution[-1])
    return fitted


def principal_components(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` largest principal directions `[D, count]` of rows `[n, D]`, and variances."""
    covariance = np.cov(values, rowvar=False)
    variances, directions = np.linalg.eigh(covariance)
    order = np.argsort(variances)[::-1][:count]
    return directions[:, order], np.maximum(variances[order], 1e-12)


def overwrite(params: PyTree, values: PyTree) -> PyTree:
    """`params` with the leaves that `values` names replaced, all others kept."""
    if not isinstance(values, dict):
        return values
    return {
        key: overwrite(leaf, values[key]) if key in values else leaf for key, leaf in params.items()
    }


def _paths(model: CodecModel, clips: np.ndarray) -> list[_Path]:
    """The linear paths of a codec, with their features of clips `[n, N]`."""
    if isinstance(model, SpectrogramCodec):
        return []
    if isinstance(model, MixCodec):
        (features,) = _measured(
            lambda audio: (spectral_features(audio, model.num_long_bands),), clips
        )
        channels = slice(0, model.num_envelope_channels)
        return [_Path("projection", "expansion", features, channels)]

    def of_bass(audio: Array) -> tuple[Array, ...]:
        found = analyse(audio)
        spectrum, dynamics = split_time(found.levels)
        return jnp.concatenate([spectrum, found.noise], axis=-1), dynamics

    spectra, dynamics = _measured(of_bass, clips)
    middle = NUM_PITCH_CHANNELS + model.num_spectrum_channels
    return [
        _Path("spectrum", "spectrum", spectra, slice(NUM_PITCH_CHANNELS, middle)),
        _Path("dynamics", "dynamics", dynamics, slice(middle, model.num_channels), DYNAMICS_STD),
    ]


def _measured(
    features: Callable[[Array], tuple[Array, ...]], clips: np.ndarray
) -> list[np.ndarray]:
    """Each of the features `[1, T, D]` of a clip, over all clips: `[n, D]`."""
    run = jax.jit(features)
    # One by one, to save memory.
    found = [[np.asarray(values)[0] for values in run(clip[None])] for clip in clips]
    return [np.concatenate(values) for values in zip(*found, strict=True)]


def _dense(kernel: np.ndarray, bias: np.ndarray) -> dict[str, np.ndarray]:
    return {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)}
