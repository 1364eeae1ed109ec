"""Encodes songs into a store of latents."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.data.latents import HOP, MixOf, latent_fields
from bassdiff.data.mixing import random_mix
from bassdiff.data.store_building import build
from bassdiff.pretrained.features import Features
from bassdiff.synthesis.stems import Source


def encode(
    source: Source,
    features: Features,
    out: Path,
    about: Mapping[str, Any],
    *,
    num_mixes: int,
    num_keys: int,
    seed: int,
    part: tuple[int, int],
    progress: Callable[[Sequence[int]], Any],
    mix_of: MixOf = random_mix,
) -> str:
    """Stores the latents of all songs, or of those of a part that are still missing.

    Args:
      source: The songs.
      features: Encoders of basses and mixes.
      out: The store's folder.
      about: The origin of the songs; a store of another origin is refused.
      num_mixes: Random mixes per song and key.
      num_keys: Keys of every song.
      seed: Seed of mixes and keys.
      part: (p, n): which of n parts to make, counted from 0.
      progress: Wraps the songs to encode.
      mix_of: Draws a mix of a song.

    Returns:
      A sentence about the result and the speed.

    Raises:
      InputError: See `build`.
    """
    make = latent_fields(features.bass, features.mix, num_mixes, num_keys, mix_of)
    num_frames = 0

    def counted(source: Source, song: int, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
        nonlocal num_frames
        fields = make(source, song, rng)
        num_frames += fields["active"].shape[1]
        return fields

    started = time.perf_counter()
    is_whole = build(
        out,
        source,
        counted,
        {**about, "mixes": num_mixes, "keys": num_keys, "codecs": features.origin},
        seed,
        progress,
        part,
    )
    elapsed = time.perf_counter() - started
    seconds = num_frames * HOP / SAMPLE_RATE_HZ
    encoded = seconds * num_keys * (1 + num_mixes)
    state = f"{out} is complete" if is_whole else f"{out} still lacks shards of other parts"
    return (
        f"encoded {seconds / 3600:.2f} h of songs, {encoded / 3600:.2f} h of basses and mixes, in "
        f"{elapsed / 60:.1f} min: {seconds / elapsed:.1f} and {encoded / elapsed:.1f} x real time; "
        f"{state}"
    )
