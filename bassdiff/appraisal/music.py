"""Does the bass follow the mix? The system beside true, broken and rule-made basses."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from bassdiff.appraisal.stage import MODEL, Stage
from bassdiff.audio.pitch import pitch_agreement
from bassdiff.data.stems import Source
from bassdiff.errors import UnusableSong
from bassdiff.evaluation import anchors
from bassdiff.evaluation.music import (
    COLUMNS,
    HeardBass,
    HeardMix,
    Judge,
    derangement,
    hear_bass,
    score_clips,
)
from bassdiff.evaluation.table import Column, Row, Score, Table, ratio_score

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


def music(stage: Stage, bank: Source | None = None, bank_name: str = "") -> Table:
    """Scores the system and its anchors with every measure of `evaluation/music.py`.

    Args:
      stage: clips and players.
      bank: songs whose basses the nearest is looked for among; no such row when None, nor
        without a matching model.
      bank_name: what the bank is called.
    """
    judge = stage.judge
    labels = {
        **LABELS,
        "late": f"true bass {anchors.lateness(stage.clips)} late",
        "nearest": f"nearest bass of {bank_name}",
    }
    mixes = stage.heard_mixes()
    systems: dict[str, Callable[[int], np.ndarray]] = {MODEL: stage.model}
    if all(clip.bass is not None for clip in stage.clips):
        systems |= {
            "true": stage.true,
            "codec": stage.codec,
            "transposed": stage.transposed,
            "late": stage.late,
        }
    systems["follower"] = stage.follower
    if bank is not None and judge is not None:
        # Not where all that was found in it is there already.
        basses = functools.cache(lambda: _embedded(bank, judge, stage))
        systems["nearest"] = functools.partial(_nearest, stage, mixes, basses, judge.hop_samples)
    systems["silence"] = stage.silence

    heard: dict[str, list[HeardBass]] = {}
    kept: list[tuple[float, int]] = []
    for name, play in systems.items():
        heard[name] = []
        for number in stage.progress(range(len(stage.clips)), labels[name]):
            bass = play(number)
            heard[name].append(hear_bass(bass, judge))
            if name == "codec":
                agreement = pitch_agreement(stage.true(number), bass)
                kept.append((agreement.within_25_cents, agreement.num_frames))
    rows = []
    for name, basses_heard in heard.items():
        scores = score_clips(mixes, basses_heard, stage.songs)
        if name == "codec":
            scores["pitch_kept"] = _kept(kept, stage.songs)
        rows.append(Row(name, labels[name], "system" if name == MODEL else "anchor", scores))
    reference = "true" if "true" in heard else MODEL
    others = [heard[reference][number] for number in derangement(stage.songs)]
    shuffled = score_clips(mixes, others, stage.songs, stage.other_songs)
    rows.append(Row("shuffled", LABELS["shuffled"], "anchor", shuffled))
    return Table(
        "music",
        "Does the bass follow the mix?",
        stage.about(bank_songs=None if bank is None else len(bank)),
        (*COLUMNS, PITCH_KEPT),
        tuple(rows),
    )


def _nearest(
    stage: Stage,
    mixes: list[HeardMix],
    bank: Callable[[], Bank],
    hop_samples: int,
    number: int,
) -> np.ndarray:
    clip, vectors = stage.clips[number], mixes[number].vectors
    assert vectors is not None
    return stage.takes.take(
        clip, "nearest", lambda: anchors.nearest(vectors, bank(), len(clip.mix), hop_samples)
    )


def _embedded(bank: Source, judge: Judge, stage: Stage) -> Bank:
    basses = []
    for index in stage.progress(range(len(bank)), "bank"):
        try:
            bass = bank[index].bass
        except UnusableSong:
            continue
        basses.append((bass, judge.bass_vectors(bass)))
    return basses


def _kept(kept: list[tuple[float, int]], songs: list[str]) -> Score:
    share, frames = (np.array(column, float) for column in zip(*kept, strict=True))
    return ratio_score(share * frames, frames, songs)
