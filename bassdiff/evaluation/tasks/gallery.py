"""Writes a page of examples: generated basses, with and without a style reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.evaluation.clips import Clip
from bassdiff.evaluation.progress import Progress
from bassdiff.evaluation.webpage import matching_gains, mixdown, mp3_uri, picture_uri, write_page
from bassdiff.inference.generator import BassGenerator, Task
from bassdiff.metrics.music import derangement
from bassdiff.runtime.atomic import check_folder


def gallery(
    generator: BassGenerator,
    clips: Sequence[Clip],
    out: Path,
    facts: str,
    *,
    seed: int = 0,
    overrides: dict[str, Any] | None = None,
    progress: Progress = lambda items, _: items,
) -> Path:
    """Generates two basses per clip, one in the sound of another song's bass, and writes a page.

    Args:
      generator: The generator.
      clips: Clips of two or more songs with true basses; see `clips.choose`.
      out: Folder of `index.html`; created if missing.
      facts: Text about the origin of the examples.
      seed: Seed of the first clip; the others count up.
      overrides: Settings that differ from the weights' defaults.
      progress: Wraps the clips, as `tqdm(items, description)` does.

    Returns:
      The page's path.

    Raises:
      InputError: If a true bass is unknown, a setting is invalid, or the page cannot be written.
    """
    check_folder(out)
    references = [clips[number] for number in derangement([clip.song for clip in clips])]
    sounds = [reference.true_bass for reference in references]
    sampling = generator.defaults.changed(**(overrides or {}))
    items = []
    for number in progress(range(len(clips)), "examples"):
        plain = Task(clips[number].mix, SAMPLE_RATE_HZ, seed=seed + number, sampling=sampling)
        pair = plain, dataclasses.replace(plain, style=sounds[number])
        bass, styled = generator.generate_batch(pair)
        items.append(_example(clips[number], references[number].song, bass, styled, sounds[number]))
    return write_page(out, "gallery.html", items=items, facts=facts)


def _example(
    clip: Clip, reference: str, bass: np.ndarray, styled: np.ndarray, sound: np.ndarray
) -> dict[str, Any]:
    """Values for `clip.html`: mixdowns equally loud, parts as loud as in them."""
    together = mixdown(clip.mix, bass), mixdown(clip.mix, styled)
    plain, in_style = matching_gains(together)
    (alone,) = matching_gains([sound])
    sounds = {
        "mix": plain * clip.mix,
        "bass": plain * bass,
        "mix + bass": plain * together[0],
        f"style reference: {reference}": alone * sound,
        "bass in that sound": in_style * styled,
        "mix + bass in that sound": in_style * together[1],
    }
    return {
        "clip": {"song": clip.song, "start_seconds": clip.start_samples / SAMPLE_RATE_HZ},
        "shortened": "",
        "rank": "",
        "scores": [],
        "sounds": [(label, mp3_uri(signal)) for label, signal in sounds.items()],
        "picture": picture_uri(clip.mix, bass),
    }
