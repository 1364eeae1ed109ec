"""Music task: scores the system and its baselines with all musical measures."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np

from bassdiff.audio.pitch import pitch_agreement
from bassdiff.evaluation import baselines
from bassdiff.evaluation.tasks.context import MODEL, EvaluationContext
from bassdiff.metrics.music import (
    COLUMNS,
    HeardBass,
    HeardMix,
    Judge,
    columns_for,
    derangement,
    score_clips,
)
from bassdiff.metrics.table import Column, Row, Score, Table, ratio_score
from bassdiff.runtime.errors import UnusableSong
from bassdiff.synthesis.stems import Source

PITCH_KEPT = Column(
    "pitch_kept",
    "codec keeps the pitch",
    "share of the true bass's pitched frames that are within 25 cents after the codec's round trip",
    digits=3,
)
LABELS = {
    MODEL: "bassdiff",
    "true": "true bass",
    "codec": "codec of the true bass",
    "shuffled": "another song's bass",
    "transposed": "true bass in another key",
    "follower": "rule: low chroma at onsets",
    "silence": "silence",
}

Bank = list[tuple[np.ndarray, np.ndarray]]


def music(context: EvaluationContext, bank: Source | None = None, bank_name: str = "") -> Table:
    """Scores the system and its baselines with every measure of `metrics/music.py`.

    Args:
      context: The evaluation.
      bank: Songs to retrieve the nearest bass from; that row needs a matching model too.
      bank_name: Name of the bank.
    """
    judge = context.judge
    labels = {
        **LABELS,
        "late": f"true bass {baselines.lateness(context.clips)} late",
        "nearest": f"nearest bass of {bank_name}",
    }
    mixes = context.heard_mixes()
    systems: dict[str, Callable[[int], np.ndarray]] = {MODEL: context.model}
    if all(clip.bass is not None for clip in context.clips):
        systems |= {"true": context.true, "codec": context.codec}
        if context.voices != "unpitched":
            systems["transposed"] = context.transposed
        systems["late"] = context.late
    systems["follower"] = context.follower
    if bank is not None and judge is not None:
        # Embedded only if a nearest bass is not cached yet.
        basses = functools.cache(lambda: _embedded(bank, judge, context))
        systems["nearest"] = functools.partial(_nearest, context, mixes, basses, judge.hop_samples)
    systems["silence"] = context.silence

    heard: dict[str, list[HeardBass]] = {}
    kept: list[tuple[float, int]] = []
    for name, play in systems.items():
        heard[name] = []
        for number in context.progress(range(len(context.clips)), labels[name]):
            bass = play(number)
            heard[name].append(context.heard(bass))
            if name == "codec" and context.voices == "one":
                agreement = pitch_agreement(context.true(number), bass)
                kept.append((agreement.within_25_cents, agreement.num_frames))
    rows = []
    for name, basses_heard in heard.items():
        scores = score_clips(mixes, basses_heard, context.songs)
        if kept and name == "codec":
            scores["pitch_kept"] = _kept(kept, context.songs)
        rows.append(Row(name, labels[name], "system" if name == MODEL else "anchor", scores))
    reference = "true" if "true" in heard else MODEL
    others = [heard[reference][number] for number in derangement(context.songs)]
    shuffled = score_clips(mixes, others, context.songs, context.other_songs)
    rows.append(Row("shuffled", LABELS["shuffled"], "anchor", shuffled))
    columns = columns_for(context.voices)
    about = context.about(bank_songs=None if bank is None else len(bank))
    if unasked := [column.name for column in COLUMNS if column not in columns]:
        # They would be numbers without a meaning.
        about["left_out"] = unasked
        rows = [_without(row, unasked) for row in rows]
    return Table(
        "music",
        "Does the bass follow the mix?" if context.voices == "one" else "Does it follow the mix?",
        about,
        (*columns, PITCH_KEPT) if context.voices == "one" else columns,
        tuple(rows),
    )


def _without(row: Row, names: Sequence[str]) -> Row:
    scores = {name: score for name, score in row.scores.items() if name not in names}
    return dataclasses.replace(row, scores=scores)


def _nearest(
    context: EvaluationContext,
    mixes: list[HeardMix],
    bank: Callable[[], Bank],
    hop_samples: int,
    number: int,
) -> np.ndarray:
    clip, vectors = context.clips[number], mixes[number].vectors
    assert vectors is not None
    return context.takes.take(
        clip, "nearest", lambda: baselines.nearest(vectors, bank(), len(clip.mix), hop_samples)
    )


def _embedded(bank: Source, judge: Judge, context: EvaluationContext) -> Bank:
    basses = []
    for index in context.progress(range(len(bank)), "bank"):
        try:
            bass = bank[index].bass
        except UnusableSong:
            continue
        basses.append((bass, judge.bass_vectors(bass)))
    return basses


def _kept(kept: list[tuple[float, int]], songs: list[str]) -> Score:
    share, frames = (np.array(column, float) for column in zip(*kept, strict=True))
    return ratio_score(share * frames, frames, songs)
