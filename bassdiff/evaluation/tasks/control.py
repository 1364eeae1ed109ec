"""Control task: whether given chords are played, and what that costs."""

from __future__ import annotations

import functools

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.pitch import track_pitch
from bassdiff.audio.transcription import transcribe
from bassdiff.evaluation import baselines
from bassdiff.evaluation.clips import chords_of
from bassdiff.evaluation.tasks.context import MODEL, EvaluationContext
from bassdiff.evaluation.tasks.music import LABELS
from bassdiff.inference.control import Control
from bassdiff.metrics.midi import note_agreement
from bassdiff.metrics.music import COLUMNS as MUSIC
from bassdiff.metrics.music import score_clips
from bassdiff.metrics.notes import bass_note_accuracy
from bassdiff.metrics.table import Column, Kind, Row, Table, mean_score
from bassdiff.runtime.errors import InputError

STRENGTHS = (0.3, 0.5, 0.8, 1.0)
MUSIC_COLUMNS = (
    *("chord_tone_share", "root_share", "harmony_top1", "harmony_matched", "rhythm_correlation"),
    *("rhythm_percentile", "rhythm_matched", "fit", "fit_matched", "hnr_db", "voiced_share"),
)
COLUMNS = (
    Column("bass_note", "bass notes", "share of the annotated chords that begin with their lowest "
           "note; a rest there counts as another", chance=1 / 12),
    *(column for column in MUSIC if column.name in MUSIC_COLUMNS),
    Column("midi_onsets", "MIDI onsets", "F-measure within 50 ms of the onsets of the bass and of "
           "its notes as MIDI, played by a synthesiser", "none"),
    Column("midi_pitch", "MIDI pitch", "share of the time in which both have a pitch that it is "
           "the same, within half a semitone", "none"),
)  # fmt: skip
RULE = "rule"


def control(context: EvaluationContext) -> Table:
    """Plays every clip with its annotated chords, at several strengths, and without them.

    Args:
      context: The evaluation.

    Raises:
      InputError: The chords of a clip are not known.
    """
    for clip in context.clips:
        if not clip.annotation.chords:
            raise InputError(
                f"control needs songs with known chords, and those of {clip.song} are not; take "
                "pop909:DIR, composed:N, or folders with an annotation.json"
            )
    mixes = context.heard_mixes()
    numbers = range(len(context.clips))

    def given(number: int) -> Control:
        return Control(chords=chords_of(context.clips[number]))

    def row(
        name: str, label: str, kind: Kind, basses: list[np.ndarray], strength: float | None = None
    ) -> Row:
        heard = [context.heard(bass) for bass in basses]
        music = score_clips(mixes, heard, context.songs)
        agreement = [note_agreement(b, transcribe(b, SAMPLE_RATE_HZ)) for b in basses]
        first = [
            bass_note_accuracy(track_pitch(bass), clip.annotation.chords)
            for bass, clip in zip(basses, context.clips, strict=True)
        ]
        scores = {
            "bass_note": mean_score(first, context.songs),
            **{column: music[column] for column in MUSIC_COLUMNS if column in music},
            "midi_onsets": mean_score([onsets for onsets, _ in agreement], context.songs),
            "midi_pitch": mean_score([pitch for _, pitch in agreement], context.songs),
        }
        return Row(
            name, label, kind, scores, None if strength is None else {"chord_strength": strength}
        )

    free = [context.model(number) for number in context.progress(numbers, "without chords")]
    rows = [row(MODEL, "without chords", "system", free)]
    for strength in STRENGTHS:
        label = f"strength {strength:g}"
        basses = [
            context.variation(
                number, f"chords-{strength:g}", control_of=given, chord_strength=strength
            )
            for number in context.progress(numbers, label)
        ]
        rows.append(row(f"chords-{strength:g}", label, "setting", basses, strength))
    anchors = {
        "true": (LABELS["true"], [context.true(number) for number in numbers]),
        "follower": (LABELS["follower"], [context.follower(number) for number in numbers]),
        RULE: (
            "rule: chord roots, twice a second",
            [
                context.takes.take(clip, RULE, functools.partial(baselines.clockwork, clip))
                for clip in context.clips
            ],
        ),
    }
    rows += [row(name, label, "anchor", basses) for name, (label, basses) in anchors.items()]
    return Table(
        "control",
        "Does it play the chords that it is given?",
        context.about(),
        COLUMNS,
        tuple(rows),
    )
