"""Writes a page of examples: basses as the model plays them, in a given sound, to given chords."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.evaluation.clips import Clip, chords_of
from bassdiff.evaluation.progress import Progress
from bassdiff.evaluation.webpage import matching_gains, mixdown, mp3_uri, picture_uri, write_page
from bassdiff.inference.control import Control
from bassdiff.inference.generator import BassGenerator, Task
from bassdiff.metrics.harmony_rhythm import (
    bass_features,
    harmony_score,
    mix_features,
    rhythm_score,
)
from bassdiff.metrics.music import derangement
from bassdiff.metrics.sound import sound as sound_of
from bassdiff.runtime.atomic import check_folder

_MOST_CHORDS = 12


def gallery(
    generator: BassGenerator,
    clips: Sequence[Clip],
    out: Path,
    facts: str,
    *,
    seed: int = 0,
    overrides: dict[str, Any] | None = None,
    before: BassGenerator | None = None,
    progress: Progress = lambda items, _: items,
) -> Path:
    """Generates basses to every clip and writes a page.

    One is the model's own, one is in the sound of another song's bass, and where the chords of the
    song are known, one is played to them.

    Args:
      generator: The generator.
      clips: Clips of two or more songs with true basses; see `clips.choose`.
      out: Folder of `index.html`; created if missing.
      facts: Text about the origin of the examples.
      seed: Seed of the first clip; the others count up.
      overrides: Settings that differ from the weights' defaults.
      before: A generator to compare with, such as one of older weights, with its own defaults.
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
        tasks = [plain, dataclasses.replace(plain, style=sounds[number])]
        chords = chords_of(clips[number]) if generator.bass_codec.has_pitch else []
        if chords:
            tasks.append(dataclasses.replace(plain, control=Control(chords=chords)))
        bass, styled, *to_chords = generator.generate_batch(tasks)
        others = {" in that sound": styled}
        if chords:
            others[" to the chords " + _line(chords)] = to_chords[0]
        if before is not None:
            own = dataclasses.replace(plain, sampling=before.defaults)
            others[" of the weights before"] = before.generate_batch([own])[0]
        item = _example(clips[number], references[number].song, sounds[number], bass, others)
        if generator.bass_codec.has_pitch:
            item["scores"] = _scores(clips[number], bass)
        items.append(item)
    return write_page(out, "gallery.html", items=items, facts=facts)


def _line(chords: Sequence[tuple[float, float, str]]) -> str:
    """The names of the first chords, in order."""
    names = [name for _, _, name in chords]
    return " · ".join(names[:_MOST_CHORDS]) + (" …" if len(names) > _MOST_CHORDS else "")


def _example(
    clip: Clip, reference: str, sound: np.ndarray, bass: np.ndarray, others: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Values for `clip.html`: mixdowns equally loud, parts as loud as in them."""
    basses = {"": bass, **others}
    together = {name: mixdown(clip.mix, played) for name, played in basses.items()}
    gains = dict(zip(together, matching_gains(list(together.values())), strict=True))
    (alone,) = matching_gains([sound])
    sounds = {"mix": gains[""] * clip.mix}
    for name, played in basses.items():
        if name == " in that sound":
            sounds[f"style reference: {reference}"] = alone * sound
        sounds[f"bass{name}"] = gains[name] * played
        sounds[f"mix + bass{name}"] = gains[name] * together[name]
    return {
        "clip": {"song": clip.song, "start_seconds": clip.start_samples / SAMPLE_RATE_HZ},
        "shortened": "",
        "rank": "",
        "scores": [],
        "sounds": [(label, mp3_uri(signal)) for label, signal in sounds.items()],
        "picture": picture_uri(clip.mix, bass),
    }


def _scores(clip: Clip, bass: np.ndarray) -> list[tuple[str, str]]:
    """Measures of a bass, beside those of the true bass in brackets."""
    mix, texts = mix_features(clip.mix), []
    for played in (bass, clip.true_bass):
        features = bass_features(played)
        hnr_db = sound_of(played, features.pitch).hnr_db
        texts.append(
            (
                f"{harmony_score(mix, features).rank:.0f}",
                f"{rhythm_score(mix, features).correlation:.2f}",
                "unknown" if np.isnan(hnr_db) else f"{hnr_db:.0f} dB",
            )
        )
    labels = ("harmony rank of 12", "rhythm correlation", "harmonic-to-noise ratio")
    return [(label, f"{ours} ({true})") for label, ours, true in zip(labels, *texts, strict=True)]
