"""Does a model use the mix: its basses beside the true ones, on songs it has not seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bassdiff.audio.atomic import atomic_file
from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.data.latents import active_frames
from bassdiff.data.mixing import normalised_bass
from bassdiff.data.stems import Source
from bassdiff.errors import InputError, SilentSong
from bassdiff.evaluation import music
from bassdiff.evaluation.pitch import pitch_agreement

# What the paper's published examples last.
CLIP_SECONDS = 23.8
MIN_ACTIVE = 0.5


@dataclass(frozen=True)
class Clip:
    """A stretch of one song: `mix` without the bass and the true `bass`, `[N]` at 44.1 kHz."""

    song: str
    mix: np.ndarray
    bass: np.ndarray


def clips(source: Source, num_clips: int, clip_seconds: float = CLIP_SECONDS) -> list[Clip]:
    """Takes clips from as many songs as there are, then second clips, and so on.

    Clips in which the bass plays less than half of the time are passed over; so are songs
    that are too short.

    Args:
      source: Songs not trained on.
      num_clips: How many.
      clip_seconds: Length of each.

    Raises:
      InputError: If the songs do not yield that many, or are fewer than two.
    """
    length = round(clip_seconds * SAMPLE_RATE_HZ)
    found: list[list[Clip]] = []
    for index in range(len(source)):
        try:
            stems = source[index]
        except SilentSong:
            continue
        bass, mix = normalised_bass(stems), stems.mix()
        starts = range(0, len(bass) - length + 1, length)
        # From the middle outwards: intros are the least telling part of a song.
        ordered = sorted(starts, key=lambda s: abs(s + length / 2 - len(bass) / 2))
        found.append(
            [
                Clip(stems.name, mix[s : s + length], bass[s : s + length])
                for s in ordered
                if active_frames(bass[s : s + length]).mean() >= MIN_ACTIVE
                and np.abs(mix[s : s + length]).max() > 1e-3
            ]
        )
    rounds = max(map(len, found), default=0)
    dealt = [song[turn] for turn in range(rounds) for song in found if len(song) > turn]
    if len(dealt) < num_clips:
        raise InputError(
            f"the songs yield {len(dealt)} clips of {clip_seconds} s with a playing bass, not "
            f"{num_clips}; ask for fewer or shorter ones"
        )
    chosen = dealt[:num_clips]
    if len({clip.song for clip in chosen}) < 2:
        raise InputError("all clips are of one song; ask for more clips or name more songs")
    return chosen


def score(
    chosen: list[Clip],
    generate: Callable[[np.ndarray, int], np.ndarray],
    round_trip: Callable[[np.ndarray], np.ndarray],
    progress: Callable[[Iterable[Clip]], Iterable[Clip]] = iter,
) -> dict[str, Any]:
    """Generates a bass for every clip and scores it beside its anchors.

    Args:
      chosen: From `clips`.
      generate: `(mix [N], clip number) -> bass [N]`, both at 44.1 kHz.
      round_trip: The bass codec, `[N] -> [N]`.
      progress: Wraps the clips, as tqdm does.

    Returns:
      `rows`: `MusicScores` of the model, the true basses, the codec's round trip of them and
      the true basses shuffled; `codec_within_25_cents`: share of the voiced frames of all
      true basses whose pitch survives the round trip.
    """
    mixes, true, decoded, played = [], [], [], []
    kept, voiced = 0.0, 0
    for number, clip in enumerate(progress(chosen)):
        mixes.append(music.mix_features(clip.mix, SAMPLE_RATE_HZ))
        true.append(music.bass_features(clip.bass, SAMPLE_RATE_HZ))
        back = round_trip(clip.bass)
        decoded.append(music.bass_features(back, SAMPLE_RATE_HZ))
        agreement = pitch_agreement(clip.bass, back, SAMPLE_RATE_HZ)
        kept += agreement.within_25_cents * agreement.num_frames
        voiced += agreement.num_frames
        played.append(music.bass_features(generate(clip.mix, number), SAMPLE_RATE_HZ))
    songs = [clip.song for clip in chosen]
    rows = {
        "model": music.score_features(mixes, played, songs),
        "true bass": music.score_features(mixes, true, songs),
        "codec": music.score_features(mixes, decoded, songs),
        "shuffled": music.score_features(mixes, true, songs, shuffled=True),
    }
    return {"rows": rows, "codec_within_25_cents": kept / max(voiced, 1)}


def save_json(path: str | Path, result: dict[str, Any], about: dict[str, Any]) -> None:
    """Writes what `score` returned, with where it came from, whole or not at all."""
    rows = {name: scores.to_dict() for name, scores in result["rows"].items()}
    values = {**about, "rows": rows, "codec_within_25_cents": result["codec_within_25_cents"]}
    with atomic_file(path) as file:
        file.write((json.dumps(values, indent=1) + "\n").encode())
