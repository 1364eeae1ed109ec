"""Drums alone: which note the bass holds, and that nothing else is left."""

import numpy as np
import pytest

from bassdiff.audio.pitch import track_pitch
from bassdiff.data.pedal import commonest_pitch, over_drums
from bassdiff.data.sources import open_source
from bassdiff.runtime.errors import InputError, UnusableSong
from bassdiff.synthesis.score import Bend, Chord, Note, Part, Song

DRUMS = Part("drums", 0, True, (Note(0.0, 0.1, 36, 100), Note(1.0, 1.1, 38, 100)))
KEYS = Part("keys", 0, False, (Note(0.0, 2.0, 60, 90),))
# Most of the time on the class of E, and longest on E1.
BASS = Part(
    "bass",
    33,
    False,
    (Note(0.0, 0.5, 28, 90), Note(0.5, 0.7, 40, 70), Note(0.7, 1.3, 33, 90), Note(2.0, 2.1, 31, 9)),
    (Bend(0.2, 1.0),),
)


def song(*parts):
    chords = (Chord(0.0, 2.0, 4, "min", 4),)
    return Song("song", np.arange(5.0), np.array([0.0]), chords, parts)


def test_bass_keeps_its_rhythm_on_the_note_it_plays_longest():
    alone = over_drums(song(DRUMS, KEYS, BASS))
    assert [part.stem for part in alone.parts] == ["drums", "bass"]
    held = alone.parts[1]
    assert [note.pitch for note in held.notes] == [28] * 4
    assert [note._replace(pitch=0) for note in held.notes] == [
        note._replace(pitch=0) for note in BASS.notes
    ]
    assert not held.bends
    assert not alone.chords


def test_pitch_class_decides_before_pitch():
    # A1 is the longest single pitch, E the longest class.
    notes = (Note(0, 0.4, 28, 90), Note(1, 1.3, 40, 90), Note(2, 2.5, 33, 90))
    assert commonest_pitch([Part("bass", 33, False, notes)]) == 28


@pytest.mark.parametrize(
    ("parts", "missing"), [((KEYS, BASS), "no drums"), ((DRUMS, KEYS), "no bass")]
)
def test_songs_without_drums_or_bass_are_left_out(parts, missing):
    with pytest.raises(UnusableSong, match=missing):
        over_drums(song(*parts))


def test_rendered_songs_come_as_their_drums(tmp_path):
    both = [
        open_source("composed:3", cache_dir=tmp_path, max_seconds=20.0, drums_alone=alone)
        for alone in (False, True)
    ]
    # A cache must not mix them up.
    whole, alone = (source[1] for source in both)
    assert set(alone.others) == {"drums"} < set(whole.others)
    played = track_pitch(alone.bass).f0_hz
    semitones = 12 * np.log2(played[played > 0])
    assert np.ptp(np.percentile(semitones, [10, 90])) < 0.5


def test_recorded_songs_cannot():
    with pytest.raises(InputError, match="leave out --drums-alone"):
        open_source("stems:nowhere", drums_alone=True)
