import numpy as np
import pytest

from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.composing.meter import Harmony
from bassdiff.synthesis.lead_sheets import parse_harmony, read_lead_sheet


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("F:maj/5", Harmony(5, "maj", 0)),
        ("Eb:min/b3", Harmony(3, "min", 6)),
        ("F#:min7/b7", Harmony(6, "min7", 4)),
        ("B:maj7/7", Harmony(11, "maj7", 10)),
        ("Ab:sus4(b7)", Harmony(8, "sus4(b7)", 8)),
        ("N", None),
    ],
)
def test_labels(label, expected):
    assert parse_harmony(label) == expected


def test_bass_follows_the_annotation_and_rests_without_chord(tmp_path, write_lead_sheet):
    folder = write_lead_sheet(tmp_path / "001")
    on_bass = []
    for seed in range(12):
        song = read_lead_sheet(folder, seed)
        notes = song.stem("bass")[0].notes
        assert not [n for n in notes if 8.1 < n.start_seconds < 15.7]
        # The note under a new chord is its bass note: F over C, then D, then C.
        for start, tone in ((0.0, 0), (16.0, 2), (24.0, 0)):
            under = [n for n in notes if abs(n.start_seconds - start) < 0.03]
            on_bass += [note.pitch % 12 == tone for note in under]
    assert len(on_bass) > 15
    # All idioms but the pedal begin a chord with its bass note.
    assert np.mean(on_bass) > 0.9


def test_human_parts_are_kept_and_the_rest_is_added(tmp_path, write_lead_sheet):
    folder = write_lead_sheet(tmp_path / "001")
    songs = [read_lead_sheet(folder, seed) for seed in range(12)]
    assert songs[0].name == "001"
    for song in songs:
        assert {"melody", "keys", "drums", "bass"} <= set(song.stem_names)
        assert [n.pitch for n in song.stem("melody")[0].notes] == [72, 74, 76, 77] * 16
        assert np.all(np.diff(song.beat_seconds) > 0.0)
        assert [(c.root, c.bass) for c in song.chords] == [(5, 0), (2, 2), (0, 0)]
    lowest = {min(n.pitch for n in song.stem("keys")[0].notes) for song in songs}
    assert lowest == {40, 60}
    assert len({song.stem("melody")[0].program for song in songs}) > 3
    assert len({song.stem("bass")[0].notes for song in songs}) == len(songs)


def test_same_seed_same_song(tmp_path, write_lead_sheet):
    folder = write_lead_sheet(tmp_path / "001")
    assert read_lead_sheet(folder, 3).parts == read_lead_sheet(folder, 3).parts


def test_six_quick_beats_are_two_slow_ones(tmp_path, write_lead_sheet):
    folder = write_lead_sheet(tmp_path / "001", lasting=60)
    rows = [f"{i * 0.5} {float(i % 3 == 0)} {float(i % 6 == 0)}" for i in range(61)]
    (folder / "beat_midi.txt").write_text("\n".join(rows))
    song = read_lead_sheet(folder)
    assert song.tempo_bpm == pytest.approx(40.0)
    assert len(song.beat_seconds) == 21


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("chord_midi.txt", "0.0 1.0 H:maj", "H:maj"),
        ("chord_midi.txt", "0.0 1.0", "3 columns"),
        ("chord_midi.txt", "0.0 32.0 N", "names no chord"),
        ("beat_midi.txt", "0 1 one", "numbers"),
        ("beat_midi.txt", "0 1 1\n1 1 1\n0.5 1 1", "grow"),
        ("beat_midi.txt", None, "lacks this file"),
        ("001.mid", None, "no MIDI file"),
    ],
)
def test_faults_are_named(tmp_path, write_lead_sheet, file, text, complaint):
    folder = write_lead_sheet(tmp_path / "001")
    (folder / file).unlink()
    if text is not None:
        (folder / file).write_text(text)
    with pytest.raises(InputError, match=complaint):
        read_lead_sheet(folder)


def test_tracks_must_be_named(tmp_path, write_lead_sheet, write_midi, band):
    folder = write_lead_sheet(tmp_path / "001")
    write_midi(folder / "001.mid", band)
    with pytest.raises(InputError, match="MELODY"):
        read_lead_sheet(folder)


@pytest.mark.parametrize("early", [0, 1, 2, 3])
def test_bars_that_are_annotated_early_begin_with_the_left_hand(tmp_path, write_lead_sheet, early):
    """The low note of each bar is on its first beat; the annotation counts from another one."""
    folder = write_lead_sheet(tmp_path / "001")
    beats = [float(line.split()[0]) for line in (folder / "beat_midi.txt").read_text().splitlines()]
    rows = [
        f"{time} {float((i + early) % 2 == 0)} {float((i + early) % 4 == 0)}"
        for i, time in enumerate(beats)
    ]
    (folder / "beat_midi.txt").write_text("\n".join(rows))
    bars = read_lead_sheet(folder).bar_seconds
    assert len(bars) >= 15 and set(bars.round(6)) <= set(np.round(beats[::4], 6))
