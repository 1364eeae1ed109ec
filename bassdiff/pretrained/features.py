"""The features of matching models: a codec's latents, or log-magnitudes that need no codec."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from bassdiff.data.target import BASS, check_target
from bassdiff.models.chunked import HALO_FRAMES, chunked
from bassdiff.models.features import LATENT_HOP, spectral_features
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.release import load_codecs
from bassdiff.pretrained.weights import CodecWeights
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
      target: The target that the bass's encoder was trained on, see `data/target.py`; None for all.
    """

    mix: Encode
    bass: Encode
    origin: dict[str, str]
    target: str | None


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
        return Features(spectrum, spectrum, {"mix": "spectrum", "bass": "spectrum"}, None)
    mix, bass = load_codecs(codecs)
    for codec in (mix, bass):
        if codec.model.hop != LATENT_HOP:
            raise InputError(
                f"a latent frame of a codec of {codecs} is {codec.model.hop} samples; diffusion "
                f"and matching models work with frames of {LATENT_HOP}"
            )
    origin = {"mix": mix.fingerprint, "bass": bass.fingerprint}
    return Features(Codec(mix).encode, Codec(bass).encode, origin, target_of(bass))


def target_of(codec: CodecWeights) -> str | None:
    """The target of `data/target.py` that a codec was trained on; None for all sounds."""
    if codec.training.get("side") == "both":
        return None
    return str(codec.training.get("target", BASS))


def target_for(wanted: str | None, features: Features, weights: str) -> str:
    """The target of songs that are encoded; that of the codec if none is wanted.

    Raises:
      InputError: The codec was trained on another one.
    """
    if wanted is None:
        return features.target or BASS
    if features.target not in (None, wanted):
        raise InputError(
            f"the bass's codec of {weights} was trained on {features.target}, not on {wanted}; "
            f"train one with --config.data.target={wanted}, or one for all sounds"
        )
    return check_target(wanted)


@functools.partial(jax.jit, static_argnames="num_long_bands")
def _bands(audio: jax.Array, num_long_bands: int) -> jax.Array:
    return spectral_features(audio, num_long_bands)


def spectrum(audio: np.ndarray) -> np.ndarray:
    """`[N]` at 44.1 kHz to `[T, 348]` float32 log-magnitudes, T = ceil(N / 2048)."""
    num_frames = -(-len(audio) // LATENT_HOP)
    padded = np.pad(audio.astype(np.float32), (0, num_frames * LATENT_HOP - len(audio)))
    run = functools.partial(_bands, num_long_bands=NUM_LONG_BANDS)
    return chunked(run, [padded], LATENT_HOP, 1, HALO_FRAMES)[0]
