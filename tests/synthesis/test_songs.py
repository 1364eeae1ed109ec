import itertools

import numpy as np
import pytest

from bassdiff.synthesis.composing.basslines import IDIOMS, for_meter
from bassdiff.synthesis.composing.fretboard import HIGHEST_PITCH, LOWEST_PITCH
from bassdiff.synthesis.composing.styles import STYLES
from bassdiff.synthesis.songs import compose

# Passing and neighbour notes are what these idioms are made of, and a pedal ignores chords.
LEAST_ON_CHORD = {"walking": 0.6, "boogie": 0.6, "passing": 0.6, "ostinato": 0.6, "pedal": 0.6}


def bass_notes(song):
    return [note for part in song.stem("bass") for note in part.notes]


def share_on_chord(song):
    hits = []
    for note in bass_notes(song):
        # Players are a few milliseconds early or late.
        at = note.start_seconds + 0.025
        chord = next(c for c in song.chords if c.start_seconds <= at < c.end_seconds)
        hits.append(note.pitch % 12 in {*chord.pitch_classes, chord.bass})
    return np.mean(hits)


@pytest.mark.parametrize("idiom", sorted(IDIOMS))
def test_idiom_stays_in_range_and_on_the_chord(idiom):
    style = "pop" if for_meter((idiom,), STYLES["shuffle"].meter) == () else "shuffle"
    for index in range(2):
        song = compose(index, duration_seconds=20.0, style=style, idiom=idiom)
        notes = bass_notes(song)
        assert len(notes) >= 4
        assert all(LOWEST_PITCH <= note.pitch <= HIGHEST_PITCH for note in notes)
        assert share_on_chord(song) >= LEAST_ON_CHORD.get(idiom, 0.85)


def test_idioms_differ():
    rhythms = {
        idiom: tuple(
            (round(note.start_seconds, 1), note.pitch)
            for note in bass_notes(compose(3, duration_seconds=20.0, style="pop", idiom=idiom))
        )
        for idiom in IDIOMS
    }
    assert len(set(rhythms.values())) == len(IDIOMS)


@pytest.mark.parametrize("style", sorted(STYLES))
def test_style_makes_a_whole_song(style):
    song = compose(1, duration_seconds=20.0, style=style)
    low, high = STYLES[style].tempo_bpm
    assert low * 0.95 <= song.tempo_bpm <= high * 1.05
    assert song.end_seconds >= 15.0
    assert np.all(np.diff(song.beat_seconds) > 0.0)
    assert set(song.bar_seconds) <= set(song.beat_seconds)
    beats_per_bar = (len(song.beat_seconds) - 1) / len(song.bar_seconds)
    assert beats_per_bar == STYLES[style].meter.beats
    assert "bass" in song.stem_names
    assert len(song.stem_names) >= 3
    for part in song.parts:
        starts = [note.start_seconds for note in part.notes]
        assert starts == sorted(starts)
        assert all(note.end_seconds > note.start_seconds for note in part.notes)
        assert all(1 <= note.velocity <= 127 for note in part.notes)


def test_chords_follow_each_other_and_repeat_none():
    for index in range(5):
        chords = compose(index).chords
        for one, two in itertools.pairwise(chords):
            assert one.end_seconds == pytest.approx(two.start_seconds)
            assert one[2:] != two[2:]


def test_kick_idiom_plays_with_the_bass_drum():
    song = compose(2, duration_seconds=30.0, style="rock", idiom="kick")
    kicks = np.array([n.start_seconds for n in song.stem("drums")[0].notes if n.pitch == 36])
    chord_starts = np.array([chord.start_seconds for chord in song.chords])
    together = [
        min(abs(kicks - note.start_seconds).min(), abs(chord_starts - note.start_seconds).min())
        for note in bass_notes(song)
        if kicks[0] <= note.start_seconds <= kicks[-1]
    ]
    assert np.mean(np.array(together) < 0.04) > 0.8


def test_same_arguments_same_song_other_arguments_another():
    songs = [compose(4), compose(4), compose(5), compose(4, seed=1)]
    lines = [bass_notes(song) for song in songs]
    assert lines[0] == lines[1]
    assert lines[0] != lines[2]
    assert lines[0] != lines[3]
    assert songs[0].chords == songs[1].chords
    np.testing.assert_array_equal(songs[0].beat_seconds, songs[1].beat_seconds)


def test_duration_is_reached_and_not_far_exceeded():
    for index in range(8):
        song = compose(index, duration_seconds=60.0)
        assert 60.0 <= song.beat_seconds[-1] < 120.0


def test_series_covers_keys_metres_and_inversions():
    songs = [compose(index, duration_seconds=15.0) for index in range(60)]
    assert len({song.chords[0].root for song in songs}) == 12
    assert any(c.bass != c.root for song in songs for c in song.chords)
    metres = {round((len(s.beat_seconds) - 1) / len(s.bar_seconds)) for s in songs}
    assert metres == {2, 3, 4}
    assert len({song.stem_names for song in songs}) > 15


def test_transposition_moves_everything_but_drums():
    song = compose(0, duration_seconds=15.0)
    higher = song.transposed(3)
    for part, moved in zip(song.parts, higher.parts, strict=True):
        step = 0 if part.is_drum else 3
        assert [n.pitch + step for n in part.notes] == [n.pitch for n in moved.notes]
    assert [(c.root + 3) % 12 for c in song.chords] == [c.root for c in higher.chords]
    assert [(c.bass + 3) % 12 for c in song.chords] == [c.bass for c in higher.chords]
