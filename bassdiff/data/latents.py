"""Encodes songs for a store: the latents of a bass and of several mixes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from bassdiff.data.mixing import normalised_bass, random_mix
from bassdiff.runtime.errors import UnusableSong
from bassdiff.synthesis.stems import Source, Stems

HOP = 2048
# All other keys, each at most a tritone up or down.
OTHER_KEYS = tuple(semitones for semitones in range(-6, 7) if semitones)
# A frame 40 dB below the loudest one counts as a rest.
ACTIVE_RATIO = 1e-4

Encode: TypeAlias = Callable[[np.ndarray], np.ndarray]
MixOf: TypeAlias = Callable[[Stems, np.random.Generator], np.ndarray]


def latent_fields(
    encode_bass: Encode,
    encode_mix: Encode,
    num_mixes: int,
    num_keys: int = 1,
    mix_of: MixOf = random_mix,
) -> Callable[[Source, int, np.random.Generator], Mapping[str, np.ndarray]]:
    """Returns the `make` function of a store of latents.

    Mixes are encoded from mixed waveforms: an encoder of log-magnitudes is not linear, so latents
    of stems do not add up to latents of their mix.

    Args:
      encode_bass: Encodes a waveform `[N]` to normalised latents `[T, C]`.
      encode_mix: Encodes a mix.
      num_mixes: Random mixes per song and key.
      num_keys: Keys per song, its own first.
      mix_of: Draws a mix of a song.

    Returns:
      A function to fields `bass` `[num_keys, T, C]`, `mix` `[num_keys * num_mixes, T, C']`
      (float16), mixes of one key together, and `active` `[1, T]` (bool).
    """

    def make(source: Source, song: int, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
        others = rng.permutation(OTHER_KEYS)[: num_keys - 1] if num_keys > 1 else ()
        basses, mixes = [], []
        for key in (0, *map(int, others)):
            stems = source.transposed(song, key)
            basses.append(normalised_bass(stems))
            mixes += [encode_mix(mix_of(stems, rng)) for _ in range(num_mixes)]
        # Overflows are refused below.
        with np.errstate(over="ignore"):
            latents = {
                "bass": np.stack([encode_bass(bass) for bass in basses]).astype(np.float16),
                "mix": np.stack(mixes).astype(np.float16),
            }
        for name, values in latents.items():
            if not np.all(np.isfinite(values)):
                raise UnusableSong(f"the latents of its {name} are not finite in float16")
        return {**latents, "active": active_frames(basses[0])[None]}

    return make


def waveform_fields(
    side: str, num_mixes: int
) -> Callable[[Source, int, np.random.Generator], Mapping[str, np.ndarray]]:
    """Returns the `make` function of a store of waveforms: field `audio` `[rows, N]` int16.

    Args:
      side: "bass" for one row, the bass; "mix" for `num_mixes` random mixes; "both" for all.
      num_mixes: Number of mixes; one if the song has only one other stem.
    """

    def make(source: Source, song: int, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
        stems = source[song]
        waves = [normalised_bass(stems)] if side != "mix" else []
        if side != "bass":
            count = num_mixes if len(stems.others) > 1 else 1
            waves += [random_mix(stems, rng) for _ in range(count)]
        rows = np.stack(waves)
        scale = np.maximum(1.0, np.abs(rows).max(axis=1, keepdims=True))
        return {"audio": np.round(rows / scale * 32767).astype(np.int16)}

    return make


def active_frames(bass: np.ndarray) -> np.ndarray:
    """Which latent frames of a bass `[N]` are not silent, `[T]` bool."""
    num_frames = -(-len(bass) // HOP)
    padded = np.pad(bass, (0, num_frames * HOP - len(bass))).reshape(num_frames, HOP)
    power = np.mean(np.square(padded), axis=1)
    return power > max(power.max() * ACTIVE_RATIO, 1e-9)
