"""A line of one voice that the bass is to play."""

import numpy as np
import pretty_midi
import pytest

from bassdiff.audio.transcription import BassNote
from bassdiff.inference.control import Control
from bassdiff.inference.inputs import edit
from bassdiff.inference.line import line_of, parse_pitch, read_notes
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.midi import bass_track

pytestmark = pytest.mark.filterwarnings("default:the bass came out")
FRAME_SECONDS = 2048 / 44100
RATE = 44100
NOTES = [(0.2, 0.9, 40.0), (1.0, 1.5, 33.0), (1.5, 2.0, 45.5)]


def spans(seconds):
    return int(seconds / FRAME_SECONDS * 2)


def test_a_line_is_a_pitch_over_time():
    line = line_of(read_notes(NOTES), 90, FRAME_SECONDS)
    assert not line.known[: spans(0.15)].any() and line.wanted.all()
    assert np.all(line.semitones[spans(0.3) : spans(0.8)] == 19)
    assert line.sounds[spans(0.5)] and not line.sounds[spans(0.95)]
    # Known on after its end, until the next.
    assert line.semitones[spans(0.95)] == 19 and line.known[spans(0.95)]
    assert line.semitones[spans(1.7)] == 24.5
    assert line.known[spans(2.3)] and not line.known[spans(2.6)]


def test_a_region_of_it():
    line = line_of(read_notes(NOTES), 60, FRAME_SECONDS, (1.0, 2.0))
    times = (np.arange(60) + 0.5) * FRAME_SECONDS
    np.testing.assert_array_equal(line.wanted, (times >= 1.0) & (times < 2.0))


def test_a_line_comes_back_from_midi(tmp_path):
    path = str(tmp_path / "line.mid")
    bass_track([BassNote(0.2, 0.9, 40.0, 90), BassNote(1.0, 1.5, 32.8, 90)]).write(path)
    notes = read_notes(path)
    assert [round(note.pitch, 2) for note in notes] == [40.0, pytest.approx(32.8, abs=0.01)]
    assert [note.start_seconds for note in notes] == pytest.approx([0.2, 1.0], abs=0.01)


def test_lines_of_several_voices_and_others_are_refused(tmp_path, track, write_midi):
    chords = track(33, [])
    chords.notes = [pretty_midi.Note(90, pitch, 0.5, 1.0) for pitch in (36, 40)]
    for name, tracks, words in (
        ("two.mid", [track(0, [40]), track(4, [45])], "two.mid: 2 parts have notes"),
        ("chords.mid", [chords], "chords.mid: two notes sound at 0.50 s"),
        ("drums.mid", [track(0, [36], is_drum=True)], "drums.mid: no notes are in it"),
        ("high.mid", [track(33, [72])], "the note at 0.00 s is C5, and basses play from A0 to Ab4"),
    ):
        path = write_midi(tmp_path / name, tracks)
        with pytest.raises(InputError, match=words):
            read_notes(path)
    # Of several parts the only bass; legato notes follow one another.
    bass = track(33, [40, 43])
    bass.notes[0].end = 0.55
    notes = read_notes(write_midi(tmp_path / "band.mid", [track(0, [60]), bass]))
    assert notes[0].end_seconds == notes[1].start_seconds


@pytest.mark.parametrize(
    ("word", "pitch"), [("E1", 28), ("Bb0", 22), ("C#2", 37), ("Cb2", 35), ("B#1", 36), (440.0, 69)]
)
def test_names_of_notes(word, pitch):
    assert parse_pitch(word) == pytest.approx(pitch)


@pytest.mark.parametrize(
    ("control", "words"),
    [
        (dict(notes=[(0.0, 1.0, 40), (0.5, 2.0, 41)]), "0.50 s begins before the last has ended"),
        (dict(notes=[(1.0, 0.5, 40)]), "ends before it begins"),
        (dict(notes=[]), "the line has no notes"),
        (dict(notes=3), "the notes are 3; give a MIDI file, or a list of"),
        (dict(notes=[(0.0, 1.0)]), "give a MIDI file, or a list of"),
        (dict(notes=[(0.0, 1.0, float("nan"))]), "the note at 0.00 s has no pitch"),
        (dict(chords=3), "the chords: 3 are none; write chords such as"),
        (dict(notes_region=(0.0, 1.0)), "--notes-region needs --notes"),
        (dict(notes=NOTES, notes_region=(2.0, 1.0)), "a region from 2 to 1 s is invalid"),
        (dict(avoid_below="X"), "'X' is not a note"),
        (dict(avoid_below="-3"), "'-3' is not a note"),
        (dict(avoid_below="E3", avoid_above="E2"), "no note is left between"),
        (dict(avoid_below="E7"), "no note is left between"),
    ],
)
def test_what_makes_no_sense_is_refused(control, words):
    with pytest.raises(InputError, match=words):
        Control(**control)


def mix(seconds):
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.2 * np.sin(2 * np.pi * 220 * time) * (time % 0.5 < 0.3)).astype(np.float32)


@pytest.fixture
def sampled(player, monkeypatch):
    """Pitches `[2 T]` in MIDI numbers, and whether they sound, of what is sampled."""

    def play(**how):
        kept = []
        decode = type(player.bass_codec).decode_all
        monkeypatch.setattr(
            type(player.bass_codec), "decode_all", lambda self, z: kept.extend(z) or decode(self, z)
        )
        player.generate(mix(2.9), RATE, steps=2, **how)
        hz, sounds = player.bass_codec.pitch(kept[0])
        return 69 + 12 * np.log2(hz / 440.0), sounds

    return play


def test_the_line_is_what_is_played(sampled):
    pitch, sounds = sampled(control=Control(notes=NOTES))
    for start, end, wanted in NOTES:
        inside = slice(spans(start + 0.03), spans(end - 0.03))
        np.testing.assert_allclose(pitch[inside], wanted, atol=0.05)
        assert sounds[inside].all()
    assert not sounds[spans(0.93) : spans(0.97)].any() and not sounds[spans(2.1) :].any()


def test_outside_its_region_and_within_what_an_edit_keeps_it_is_not(sampled):
    pitch, _ = sampled(control=Control(notes=NOTES, notes_region=(1.0, 1.5)))
    np.testing.assert_allclose(pitch[spans(1.05) : spans(1.45)], 33.0, atol=0.05)
    assert np.abs(pitch - 33.0)[: spans(0.95)].max() > 1.0
    time = np.arange(round(2.9 * RATE)) / RATE
    draft = (0.3 * np.sin(2 * np.pi * 65.41 * time)).astype(np.float32)
    pitch, _ = sampled(control=Control(notes=NOTES), draft=edit(draft, 1.0, 1.5))
    np.testing.assert_allclose(pitch[spans(1.05) : spans(1.45)], 33.0, atol=0.05)
    np.testing.assert_allclose(pitch[spans(0.3) : spans(0.9)], 36.0, atol=0.5)  # The draft's C.


def test_notes_out_of_range_move_into_it(sampled):
    pitch, _ = sampled(control=Control(avoid_below="E2", avoid_above="E3"))
    inside = (pitch > 39.4) & (pitch < 52.6)
    assert inside.mean() > 0.95
    free, _ = sampled()
    assert ((free > 39.4) & (free < 52.6)).mean() < 0.8
