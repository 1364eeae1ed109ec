"""Scores how well basses fit mixes, from waveforms of any length, with matching models."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.loudness import match_loudness
from bassdiff.data.mixing import BASS_LUFS, MIX_LUFS
from bassdiff.diffusion.types import Array, PyTree
from bassdiff.models.features import LATENT_HOP
from bassdiff.models.matching import MatchingModel
from bassdiff.pretrained.features import KINDS, Features, open_features
from bassdiff.pretrained.release import find, matching_name
from bassdiff.pretrained.weights import MatchingWeights, load_matching
from bassdiff.runtime.errors import InputError

# Windows per call, so that signals of all lengths share one program.
BATCH_WINDOWS = 8


@functools.partial(jax.jit, static_argnums=(0, 1))
def _embed(model: MatchingModel, side: str, params: PyTree, x: Array, frames: Array) -> Array:
    return model.apply({"params": params}, x, frames, method=f"embed_{side}")


class Judge:
    """Embeds mixes and basses as unit vectors, one per half-overlapping window of 6 s."""

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

    @property
    def hop_samples(self) -> int:
        """The distance from one window to the next, in samples."""
        return self._weights.model.window_frames // 2 * LATENT_HOP

    def mix_vectors(self, mix: np.ndarray) -> np.ndarray:
        """`[N]` at 44.1 kHz, of any level, to unit vectors `[windows, E]` float32."""
        return self._vectors("mix", match_loudness(mix, SAMPLE_RATE_HZ, MIX_LUFS))

    def bass_vectors(self, bass: np.ndarray) -> np.ndarray:
        """As `mix_vectors`, of a bass."""
        return self._vectors("bass", match_loudness(bass, SAMPLE_RATE_HZ, BASS_LUFS))

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


class Panel:
    """Several judges as one: the cosine of its vectors is the mean of theirs.

    Judges of spectra are better at rhythm and judges of latents at the key, so that together they
    are better than either. It is also an `Embedder` of `metrics/embedders.py`: `sound` embeds a
    bass alone, and `pair` concatenates the vectors of mix and bass.
    """

    def __init__(self, judges: Sequence[Judge]) -> None:
        """Joins judges.

        Raises:
          InputError: Their windows have different lengths.
        """
        self.judges = tuple(judges)
        self.name = "+".join(judge.name for judge in judges)
        (self.hop_samples, *others) = {judge.hop_samples for judge in judges}
        if others:
            raise InputError(
                "the matching models have windows of unlike lengths; keep one of them only"
            )

    def mix_vectors(self, mix: np.ndarray) -> np.ndarray:
        """`[N]` at 44.1 kHz, of any level, to unit vectors `[windows, E]` float32."""
        return self._joined([judge.mix_vectors(mix) for judge in self.judges])

    def bass_vectors(self, bass: np.ndarray) -> np.ndarray:
        """As `mix_vectors`, of a bass."""
        return self._joined([judge.bass_vectors(bass) for judge in self.judges])

    def sound(self, bass: np.ndarray) -> np.ndarray:
        """Embeds a bass alone: `[windows, E]`, of windows that do not overlap."""
        return self.bass_vectors(bass)[::2]

    def pair(self, mix: np.ndarray, bass: np.ndarray) -> np.ndarray:
        """Embeds a mix and its bass: `[windows, 2 E]`, of windows that do not overlap."""
        return np.concatenate([self.mix_vectors(mix), self.bass_vectors(bass)], axis=1)[::2]

    def _joined(self, vectors: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(vectors, axis=1) / np.float32(len(vectors)) ** 0.5


def load_judges(weights: str | Path = "small") -> Panel:
    """Loads the matching models of a folder, over spectra and over its codecs' latents.

    They can judge basses of any origin.

    Args:
      weights: Name of released weights, or a folder that holds `matching_spectrum.safetensors`,
        or `matching_latents.safetensors` and its codecs, or all of them.

    Raises:
      InputError: If there is none, or it does not belong to the codecs.
    """
    folder = find(weights)
    kinds = [kind for kind in KINDS if (folder / matching_name(kind)).is_file()]
    if not kinds:
        raise InputError(
            f"{folder} holds no matching model ({', '.join(map(matching_name, KINDS))}); train "
            "one, or take the judges of released weights"
        )
    return Panel(
        [
            Judge(load_matching(folder / matching_name(kind)), open_features(kind, folder))
            for kind in kinds
        ]
    )
