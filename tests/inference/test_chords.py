"""Chords as they are written, and where a mistake in them is."""

import numpy as np
import pretty_midi
import pytest

from bassdiff.inference.chord_files import read_chords
from bassdiff.inference.chords import parse_chord, parse_text
from bassdiff.inference.grid import steady_grid
from bassdiff.inference.key import Key
from bassdiff.runtime.errors import InputError

GRID = steady_grid(120.0, 0.5)


@pytest.mark.parametrize(
    ("name", "tones", "bass"),
    [
        ("C", {0, 4, 7}, 0),
        ("F#m7b5", {6, 9, 0, 4}, 6),
        ("Bbmaj7", {10, 2, 5, 9}, 10),
        ("G/B", {7, 11, 2}, 11),
        ("C/D", {0, 2, 4, 7}, 2),
        ("Ebsus4", {3, 8, 10}, 3),
        ("Ab5", {8, 3}, 8),
        ("E+", {4, 8, 0}, 4),
        ("Adim7", {9, 0, 3, 6}, 9),
        ("Dm7", {2, 5, 9, 0}, 2),
        ("Db7", {1, 5, 8, 11}, 1),
        # Harte's.
        ("A:min7", {9, 0, 4, 7}, 9),
        ("F:maj/5", {5, 9, 0}, 0),
        ("G:(3,5)", {7, 11, 2}, 7),
        ("N", set(), None),
    ],
)
def test_chords_have_their_notes(name, tones, bass):
    assert parse_chord(name) == (frozenset(tones), bass)


@pytest.mark.parametrize("name", ["H", "Cx", "c", "C/x", "A:minor7", "", "C:maj/z"])
def test_what_is_no_chord_is_refused(name):
    with pytest.raises(ValueError):
        parse_chord(name)


def test_bars_repeats_and_beats():
    bars = parse_text("C | G/B\n|: Am7 | F:2 G:2 :|x2 % | N")
    assert [[name for name, _ in bar] for bar in bars] == [
        *(["C"], ["G/B"], ["Am7"], ["F", "G"], ["Am7"], ["F", "G"], ["F", "G"], ["N"]),
    ]
    assert bars[3] == [("F", 2.0), ("G", 2.0)]


def test_chords_begin_where_their_beats_are():
    chords = read_chords("C | G:3 Am | F D:1 E", GRID)
    found = [(chord.start_seconds, chord.end_seconds, chord.name) for chord in chords]
    assert found == [
        (0.5, 2.5, "C"),
        (2.5, 4.0, "G"),
        (4.0, 4.5, "Am"),
        (4.5, 5.25, "F"),
        (5.25, 5.75, "D"),
        (5.75, 6.5, "E"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("C | H7 | G", "'H7' in bar 2, character 5"),
        ("C | G\nAm | F:2 Gx:2", "'Gx:2' in bar 4, character 16"),
        ("% | C", "'%' in bar 1, character 1"),
        ("C | G:3 A:2", "bar 2 last 5 beats and the bar 4"),
        ("C:3 | G", "bar 1 last 3 beats and the bar 4"),
        ("C:4 G | G", "bar 1 last 4 beats and the bar 4"),
        ("", "the chords are empty"),
        (" | | ", "the chords are empty"),
        ("C |: F", "a repeat with .* at character 3 and do not end it"),
    ],
)
def test_mistakes_have_a_place(text, words):
    with pytest.raises(InputError, match=words):
        read_chords(text, GRID)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(0, 1, "C"), (1, 2, "Q")], "number 2, 'Q', is not a chord"),
        ([(0, 2, "C"), (1, 3, "F")], "'F' from 1 to 3 s overlaps"),
        ([(2, 1, "C")], "'C' from 2 to 1 s"),
        ([(0, "x", "C")], "number 1"),
        ([], "there are none"),
    ],
)
def test_lists_are_checked(rows, words):
    with pytest.raises(InputError, match=words):
        read_chords(rows, GRID)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lab_files_of_any_program_are_read(tmp_path, encoding):
    path = tmp_path / "song.lab"
    path.write_text("0.0 2.0 A:min7\n2.0 4.0 F\n", encoding=encoding, newline="\r\n")
    assert [chord.name for chord in read_chords(path, GRID)] == ["A:min7", "F"]
    path.write_bytes("0.0 2.0 A\n# für später\n".encode("latin1"))
    with pytest.raises(InputError, match=r"song\.lab: is not text in UTF-8"):
        read_chords(path, GRID)


def test_lab_files(tmp_path):
    path = tmp_path / "song.lab"
    path.write_text("0.0 1.5 C:maj\n# a comment\n\n1.5\t3.0\tG:maj/3\n")
    chords = read_chords(path, GRID)
    assert [(c.start_seconds, c.end_seconds, c.bass) for c in chords] == [(0, 1.5, 0), (1.5, 3, 11)]
    path.write_text("0.0 1.5 C:maj\n1.5 3.0 G:magic\n")
    with pytest.raises(
        InputError, match=r"song\.lab: line 2, '1.5 3.0 G:magic', is not a start, an end"
    ):
        read_chords(path, GRID)
    with pytest.raises(InputError, match="no such file of chords"):
        read_chords(tmp_path / "none.lab", GRID)


def test_midi_chords(tmp_path, track, write_midi):
    piano = track(0, [])
    for start, pitches in ((0.0, (48, 64, 67)), (1.0, (47, 62, 67)), (2.0, (47, 67, 74))):
        piano.notes += [pretty_midi.Note(90, pitch, start, start + 1.0) for pitch in pitches]
    # A melody note that holds across, and drums, which are no harmony.
    path = write_midi(tmp_path / "chords.mid", [piano, track(0, [36] * 4, is_drum=True)])
    chords = read_chords(path, GRID)
    assert [(chord.name, chord.bass) for chord in chords] == [("C", 0), ("G/B", 11)]
    np.testing.assert_allclose([c.start_seconds for c in chords], [0.0, 1.0], atol=0.01)
    assert chords[1].end_seconds == pytest.approx(3.0, abs=0.01)
    empty = write_midi(tmp_path / "empty.mid", [track(0, [36], is_drum=True)])
    with pytest.raises(InputError, match="no notes are in it"):
        read_chords(empty, GRID)


@pytest.mark.parametrize(
    ("name", "tones"),
    [
        ("C", {0, 2, 4, 5, 7, 9, 11}),
        ("F# minor", {6, 8, 9, 11, 1, 2, 4, 5}),
        ("Am", {9, 11, 0, 2, 4, 5, 7, 8}),
        ("Bb dorian", {10, 0, 1, 3, 5, 7, 8}),
    ],
)
def test_keys(name, tones):
    assert Key.parse(name).tones == tones


@pytest.mark.parametrize("name", ["H", "C magic", "", "minor"])
def test_what_is_no_key_is_refused(name):
    with pytest.raises(InputError, match="is not a key; write one"):
        Key.parse(name)


def test_grids():
    waltz = steady_grid(60.0, 0.5, "3/4")
    assert waltz.bar_seconds(2) == pytest.approx(6.5)
    assert waltz.strong_beats(4.0) == [
        (pytest.approx(-2.5), pytest.approx(-1.5)),
        (0.5, 1.5),
        (3.5, 4.5),
    ]
    four = [begin for begin, _ in GRID.strong_beats(3.0)]
    np.testing.assert_allclose(four, [-1.5, -0.5, 0.5, 1.5, 2.5])
    for words in (dict(bpm=10.0), dict(bpm=100.0, meter="4"), dict(bpm=90, first_beat_seconds=-1)):
        with pytest.raises(InputError):
            steady_grid(**words)


@pytest.mark.parametrize("kind", ["", "m", "maj", "-"])
@pytest.mark.parametrize("over", ["", "/G", "/F#"])
@pytest.mark.parametrize("root", ["C", "F#", "Bb", "Cb"])
def test_triads_are_those_of_the_library(root, kind, over):
    """Which is not imported for them."""
    written = {"": "maj", "maj": "maj", "m": "min", "-": "min"}[kind]
    tones, bass = parse_chord(f"{root}:{written}(*1,1)" if not over else f"{root}:{written}(1)")
    found, lowest = parse_chord(f"{root}{kind}{over}")
    over_class = {"": bass, "/G": 7, "/F#": 6}[over]
    assert lowest == over_class and found == tones | {over_class}
