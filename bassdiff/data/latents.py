"""Pre-encoding: the latents of every song's bass and of several of its mixes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from bassdiff.data.mixing import normalised_bass, random_mix
from bassdiff.data.stems import Stems

HOP = 2048
# 40 dB below the bass's loudest frame it counts as a rest.
ACTIVE_RATIO = 1e-4

Encode = Callable[[np.ndarray], np.ndarray]


def latent_fields(
    encode_bass: Encode, encode_mix: Encode, num_mixes: int
) -> Callable[[Stems, np.random.Generator], Mapping[str, np.ndarray]]:
    """Makes a store's `make`: one song to its latents.

    Mixes are encoded from mixed waveforms, since an encoder of log-magnitudes is not
    linear: latents of stems do not add up to latents of their mix.

    Args:
      encode_bass: `[N]` waveform to normalised `[T, C]`.
      encode_mix: The same for mixes.
      num_mixes: Random mixes per song.

    Returns:
      A function to fields `bass` `[1, T, C]`, `mix` `[num_mixes, T, C']` (float16) and
      `active` `[1, T]` (bool).
    """

    def make(stems: Stems, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
        bass = normalised_bass(stems)
        mixes = [encode_mix(random_mix(stems, rng)) for _ in range(num_mixes)]
        return {
            "bass": encode_bass(bass)[None].astype(np.float16),
            "mix": np.stack(mixes).astype(np.float16),
            "active": active_frames(bass)[None],
        }

    return make


def waveform_fields(
    kind: str, num_mixes: int
) -> Callable[[Stems, np.random.Generator], Mapping[str, np.ndarray]]:
    """Makes a store's `make` for training a codec: field `audio` `[rows, N]` int16.

    Args:
      kind: "bass" for one row, the bass; "mix" for `num_mixes` random mixes.
      num_mixes: Rows of a mix.
    """

    def make(stems: Stems, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
        if kind == "bass":
            rows = normalised_bass(stems)[None]
        else:
            rows = np.stack([random_mix(stems, rng) for _ in range(num_mixes)])
        scale = np.maximum(1.0, np.abs(rows).max(axis=1, keepdims=True))
        return {"audio": np.round(rows / scale * 32767).astype(np.int16)}

    return make


def active_frames(bass: np.ndarray) -> np.ndarray:
    """`[T]` bool: in which latent frames of a bass `[N]` something sounds."""
    num_frames = -(-len(bass) // HOP)
    padded = np.pad(bass, (0, num_frames * HOP - len(bass))).reshape(num_frames, HOP)
    power = np.mean(np.square(padded), axis=1)
    return power > max(power.max() * ACTIVE_RATIO, 1e-9)
