"""A matching model at work: how well a bass fits a mix, from waveforms of any length."""

from __future__ import annotations

import functools
from pathlib import Path

import jax
import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ, match_loudness
from bassdiff.data.mixing import BASS_LUFS, MIX_LUFS
from bassdiff.errors import InputError
from bassdiff.models.matching import MatchingModel
from bassdiff.pretrained.features import Features, open_features
from bassdiff.pretrained.release import find, matching_name
from bassdiff.pretrained.weights import MatchingWeights, load_matching
from bassdiff.types import Array, PyTree

# Windows are embedded so many at a time, so that every length shares one program.
BATCH_WINDOWS = 8


@functools.partial(jax.jit, static_argnums=(0, 1))
def _embed(model: MatchingModel, side: str, params: PyTree, x: Array, frames: Array) -> Array:
    return model.apply({"params": params}, x, frames, method=f"embed_{side}")


class Judge:
    """Embeds mixes and basses as unit vectors, one per half-overlapping window of 6 s.

    It is an `Embedder` of `evaluation/embedders.py`: `sound` is what a bass is like, `pair`
    both vectors side by side.
    """

    def __init__(self, weights: MatchingWeights, features: Features) -> None:
        """Binds a model to the features it was trained on.

        Raises:
          InputError: If it was trained on others.
        """
        if weights.bindings["features"] != features.origin:
            raise InputError(
                f"the matching model was trained on {weights.bindings['features']}, not on "
                f"{features.origin}; use the weights it was released with"
            )
        self._weights = weights
        self._params = jax.device_put(weights.params)
        self._features = features
        kind = "spectrum" if "spectrum" in features.origin.values() else "latents"
        self.name = f"matching-{kind}-{weights.checksum[:8]}"

    def mix_vectors(self, mix: np.ndarray) -> np.ndarray:
        """`[N]` at 44.1 kHz, of any level, to unit vectors `[windows, E]` float32."""
        return self._vectors("mix", match_loudness(mix, SAMPLE_RATE_HZ, MIX_LUFS))

    def bass_vectors(self, bass: np.ndarray) -> np.ndarray:
        """As `mix_vectors`, of a bass."""
        return self._vectors("bass", match_loudness(bass, SAMPLE_RATE_HZ, BASS_LUFS))

    def fit(self, mix: np.ndarray, bass: np.ndarray) -> float:
        """How well a bass fits a mix, -1 to 1: the mean cosine over windows."""
        return fit_of(self.mix_vectors(mix), self.bass_vectors(bass))

    def sound(self, bass: np.ndarray) -> np.ndarray:
        """Embeds a bass alone: `[windows, E]`, of windows that do not overlap."""
        return self.bass_vectors(bass)[::2]

    def pair(self, mix: np.ndarray, bass: np.ndarray) -> np.ndarray:
        """Embeds a mix and its bass: `[windows, 2 E]`, of windows that do not overlap."""
        return np.concatenate([self.mix_vectors(mix), self.bass_vectors(bass)], axis=1)[::2]

    def _vectors(self, side: str, audio: np.ndarray) -> np.ndarray:
        features = getattr(self._features, side)(audio)
        features = (features - self._weights.mean[side]) / self._weights.std[side]
        size = self._weights.model.window_frames
        starts = range(0, max(1, len(features) - size // 2), size // 2)
        lengths = np.array([min(size, len(features) - start) for start in starts], np.int32)
        padded = np.pad(features, ((0, size), (0, 0)))
        windows = np.stack([padded[start : start + size] for start in starts])
        vectors = []
        for first in range(0, len(windows), BATCH_WINDOWS):
            batch, frames = (x[first : first + BATCH_WINDOWS] for x in (windows, lengths))
            missing = BATCH_WINDOWS - len(batch)
            out = _embed(
                self._weights.model,
                side,
                self._params,
                np.pad(batch, ((0, missing), (0, 0), (0, 0))).astype(np.float32),
                np.pad(frames, (0, missing), constant_values=1),
            )
            vectors.append(np.asarray(out)[: len(batch)])
        return np.concatenate(vectors)


def fit_of(mix_vectors: np.ndarray, bass_vectors: np.ndarray) -> float:
    """The mean cosine of corresponding windows, `[windows, E]` each, over those both have."""
    count = min(len(mix_vectors), len(bass_vectors))
    return float(np.mean(np.sum(mix_vectors[:count] * bass_vectors[:count], axis=1)))


def load_judge(weights: str | Path = "small", kind: str = "spectrum") -> Judge:
    """Loads the matching model beside some weights.

    Args:
      weights: Name of released weights or a folder; holds `matching_spectrum.safetensors`, or
        `matching_latents.safetensors` over the latents of the codecs there.
      kind: "spectrum" or "latents". A judge of spectra owes nothing to a codec: where these
        weights bring none, the released one judges them.

    Raises:
      InputError: If there is none, or it does not belong to the codecs.
    """
    features = open_features(kind, weights)
    path = find(weights) / matching_name(kind)
    if kind == "spectrum" and not path.is_file():
        path = find("small") / matching_name(kind)
    return Judge(load_matching(path), features)
