"""Notes that are right, late or of another pitch, compared with the bass that they are of."""

import dataclasses

import numpy as np
import pytest

from bassdiff.audio.transcription import BassNote
from bassdiff.metrics.midi import note_agreement
from bassdiff.synthesis import synth
from bassdiff.synthesis.score import Note, Part
from bassdiff.synthesis.timbres import TIMBRES

LINE = [BassNote(0.5 * n, 0.5 * n + 0.4, 30.0 + 3 * (n % 4), 100) for n in range(10)]


@pytest.fixture(scope="module")
def bass():
    notes = tuple(Note(n.start_seconds, n.end_seconds, round(n.pitch), n.velocity) for n in LINE)
    wave = synth.play_voice([Part("bass", 33, False, notes)], TIMBRES["finger"], 6 * 44100)
    return np.asarray(wave, np.float32)


def test_notes_that_are_right_agree(bass):
    onsets, pitch = note_agreement(bass, LINE)
    assert onsets > 0.9 and pitch > 0.95


def test_late_notes_and_other_pitches_do_not(bass):
    late = [
        dataclasses.replace(
            note, start_seconds=note.start_seconds + 0.2, end_seconds=note.end_seconds + 0.2
        )
        for note in LINE
    ]
    assert note_agreement(bass, late)[0] < 0.3
    higher = [dataclasses.replace(note, pitch=note.pitch + 1.0) for note in LINE]
    assert note_agreement(bass, higher)[1] < 0.1
    # A bend is heard: notes between two keys are not those.
    sharp = [dataclasses.replace(note, pitch=note.pitch + 0.45) for note in LINE]
    assert note_agreement(bass, sharp)[1] > 0.8
    assert note_agreement(bass, []) == (0.0, 0.0)
