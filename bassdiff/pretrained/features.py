"""The features of matching models: a codec's latents, or log-magnitudes that need no codec."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from bassdiff.models.chunked import HALO_FRAMES, chunked
from bassdiff.models.features import LATENT_HOP, spectral_features
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.release import load_codecs
from bassdiff.runtime.errors import InputError

KINDS = ("latents", "spectrum")
# Bands a quarter tone apart, the narrowest that the long window resolves.
NUM_LONG_BANDS = 156

Encode = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Features:
    """Encoders of both sides.

    Attributes:
      mix: `[N]` at 44.1 kHz to `[T, C']` float32, a frame per 2048 samples.
      bass: Likewise, `[T, C]`.
      origin: The origin of each side: a codec's fingerprint, or "spectrum".
    """

    mix: Encode
    bass: Encode
    origin: dict[str, str]


def open_features(kind: str, codecs: str | Path = "small") -> Features:
    """Opens the encoders of a kind of features.

    Args:
      kind: "latents" of codecs, or "spectrum": log-magnitudes in 24 broad bands eight times a
        frame and in 156 narrow ones once, which do not favour basses that a codec has decoded.
      codecs: Name or folder of the codecs; read for "latents" only.

    Raises:
      InputError: For another kind, or if the codecs cannot be loaded.
    """
    if kind not in KINDS:
        raise InputError(f"unknown features {kind!r}; choose among {', '.join(KINDS)}")
    if kind == "spectrum":
        return Features(spectrum, spectrum, {"mix": "spectrum", "bass": "spectrum"})
    mix, bass = load_codecs(codecs)
    origin = {"mix": mix.fingerprint, "bass": bass.fingerprint}
    return Features(Codec(mix).encode, Codec(bass).encode, origin)


@functools.partial(jax.jit, static_argnames="num_long_bands")
def _bands(audio: jax.Array, num_long_bands: int) -> jax.Array:
    return spectral_features(audio, num_long_bands)


def spectrum(audio: np.ndarray) -> np.ndarray:
    """`[N]` at 44.1 kHz to `[T, 348]` float32 log-magnitudes, T = ceil(N / 2048)."""
    num_frames = -(-len(audio) // LATENT_HOP)
    padded = np.pad(audio.astype(np.float32), (0, num_frames * LATENT_HOP - len(audio)))
    run = functools.partial(_bands, num_long_bands=NUM_LONG_BANDS)
    return chunked(run, [padded], LATENT_HOP, 1, HALO_FRAMES)[0]
