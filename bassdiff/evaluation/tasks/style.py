"""Style task: how well a reference's sound is matched, and its effect on following the mix."""

from __future__ import annotations

import numpy as np

from bassdiff.data.joined import revoiced
from bassdiff.evaluation.clips import Clip
from bassdiff.evaluation.tasks.context import MODEL, EvaluationContext
from bassdiff.evaluation.tasks.music import LABELS
from bassdiff.metrics.music import COLUMNS as MUSIC
from bassdiff.metrics.music import score_clips
from bassdiff.metrics.table import Column, Kind, Row, Table, mean_score
from bassdiff.metrics.timbre import retrieval_at_1, timbre, timbre_distance
from bassdiff.runtime.errors import InputError

NUM_REFERENCES = 10
STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0)
MUSIC_COLUMNS = ("harmony_top1", "harmony_matched", "rhythm_correlation", "fit", "voiced_share")
LABEL_REVOICED = "the true line in the reference's sound"
COLUMNS = (
    Column("timbre_retrieval_at_1", "timbre retrieval@1", "share of basses whose sound is nearest "
           "to their own style reference among all", chance=1 / NUM_REFERENCES),
    Column("timbre_matched", "timbre distance to the reference", "in dB, over mean and spread of "
           "64 mel bands", "lower"),
    Column("timbre_mismatched", "timbre distance to the others", "the same, to the other "
           "references", "none"),
    *(column for column in MUSIC if column.name in MUSIC_COLUMNS),
)  # fmt: skip


def style(context: EvaluationContext) -> Table:
    """Generates every clip in the sound of another song's bass, at several strengths.

    Args:
      context: The evaluation; the true basses of its first ten songs are the references.

    Raises:
      InputError: If fewer than ten songs have a known true bass.
    """
    firsts = {clip.song: clip for clip in reversed(context.clips) if clip.bass is not None}
    references = [clip for clip in context.clips if firsts.get(clip.song) is clip][:NUM_REFERENCES]
    if len(references) < NUM_REFERENCES:
        raise InputError(
            f"style needs true basses of {NUM_REFERENCES} songs, and there are "
            f"{len(references)}; ask for more clips or name more songs"
        )
    sounds = [timbre(clip.true_bass) for clip in references]
    # A reference from the same song would mix up sound and notes.
    wanted = [(number + 3) % NUM_REFERENCES for number in range(len(context.clips))]
    for number, clip in enumerate(context.clips):
        if references[wanted[number]].song == clip.song:
            wanted[number] = (wanted[number] + 1) % NUM_REFERENCES
    mixes = context.heard_mixes()

    def row(
        name: str, label: str, kind: Kind, basses: list[np.ndarray], strength: float | None
    ) -> Row:
        heard = [timbre(bass) for bass in basses]
        apart = np.array([[timbre_distance(mine, sound) for sound in sounds] for mine in heard])
        own = np.array(wanted)
        chosen = apart[np.arange(len(apart)), own]
        others = (apart.sum(axis=1) - chosen) / (NUM_REFERENCES - 1)
        hits = [retrieval_at_1(row[None], own[i : i + 1]) for i, row in enumerate(apart)]
        music = score_clips(mixes, [context.heard(b) for b in basses], context.songs)
        scores = {
            "timbre_retrieval_at_1": mean_score(hits, context.songs),
            "timbre_matched": mean_score(chosen, context.songs),
            "timbre_mismatched": mean_score(others, context.songs),
            **{name: music[name] for name in MUSIC_COLUMNS if name in music},
        }
        setting: dict[str, float | str] | None = None
        if strength is not None:
            setting = {"style_strength": strength}
        return Row(name, label, kind, scores, setting)

    numbers = range(len(context.clips))
    rows = []
    for strength in STRENGTHS:
        basses = [
            context.variation(
                number,
                f"style-{strength:g}",
                style_of=lambda n: references[wanted[n]].true_bass,
                style_strength=strength,
            )
            for number in context.progress(numbers, f"style strength {strength:g}")
        ]
        label = f"strength {strength:g}"
        if strength == context.generator.defaults.style_strength:
            rows.append(row(MODEL, label, "system", basses, strength))
        else:
            rows.append(row(f"style-{strength:g}", label, "setting", basses, strength))
    anchors = {
        "reference": [references[wanted[number]].true_bass for number in numbers],
        "true": [context.true(number) for number in numbers],
        "follower": [context.follower(number) for number in numbers],
    }
    same_line = [
        _revoiced(context, number, references[wanted[number]])
        for number in context.progress(numbers, LABEL_REVOICED)
    ]
    # The true line in the reference's own sound: the best that the measure allows.
    if all(len(bass) for bass in same_line):
        anchors = {"reference": anchors.pop("reference"), "revoiced": same_line, **anchors}
    labels = {**LABELS, "reference": "the reference itself", "revoiced": LABEL_REVOICED}
    rows += [row(name, labels[name], "anchor", basses, None) for name, basses in anchors.items()]
    return Table(
        "style",
        "Does it take the sound of a reference?",
        context.about(references=[clip.name for clip in references]),
        COLUMNS,
        tuple(rows),
    )


def _revoiced(context: EvaluationContext, number: int, reference: Clip) -> np.ndarray:
    """The true line of clip `number` in the sound of `reference`; empty for recorded songs."""
    clip = context.clips[number]
    played = revoiced(context.source, clip.index, reference.index)
    if played is None:
        return np.zeros(0, np.float32)
    bass = clip.cut_from(played)
    return np.pad(bass, (0, len(clip.mix) - len(bass)))
