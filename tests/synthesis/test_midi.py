import numpy as np
import pretty_midi
import pytest

from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.midi import read_midi
from bassdiff.synthesis.score import Bend


def test_parts_are_grouped_into_stems(tmp_path, write_midi, track, band):
    programs = {26: "guitar", 48: "strings", 65: "winds", 81: "synth", 89: "pads"}
    tracks = [*band, *(track(program, [70, 72]) for program in programs)]
    song = read_midi(write_midi(tmp_path / "tune.mid", tracks))
    assert song.name == "tune"
    assert song.stem_names == ("bass", "drums", "keys", *programs.values())
    assert [note.pitch for note in song.stem("bass")[0].notes] == [36, 43, 36, 43]
    assert song.stem("bass")[0].notes[1].start_seconds == pytest.approx(0.5, abs=0.01)
    assert song.tempo_bpm == pytest.approx(120.0, rel=0.01)
    np.testing.assert_allclose(song.beat_seconds[:4], [0.0, 0.5, 1.0, 1.5], atol=0.01)


def test_bass_programs_win_over_names_and_names_over_nothing(tmp_path, write_midi, track):
    named = track(0, [40, 41], name="Bass Guitar")
    keys = track(4, [60, 62])
    song = read_midi(write_midi(tmp_path / "a.mid", [named, keys]))
    assert [note.pitch for note in song.stem("bass")[0].notes] == [40, 41]
    song = read_midi(write_midi(tmp_path / "b.mid", [named, keys, track(34, [30, 31])]))
    assert [note.pitch for note in song.stem("bass")[0].notes] == [30, 31]
    assert "keys" in song.stem_names


def test_bass_drum_is_no_bass(tmp_path, write_midi, track):
    tracks = [track(0, [36, 36], is_drum=True, name="bass drum"), track(0, [60])]
    with pytest.raises(InputError, match=r"drum\.mid: no bass"):
        read_midi(write_midi(tmp_path / "drum.mid", tracks))


def test_lead_on_a_bass_program_is_no_bass(tmp_path, write_midi, track, band):
    song = read_midi(write_midi(tmp_path / "a.mid", [*band, track(38, [80, 82])]))
    assert len(song.stem("bass")) == 1
    assert [n.pitch for n in song.stem("synth")[0].notes] == [80, 82]


def test_doubled_bass_notes_are_kept_once(tmp_path, write_midi, track, band):
    tracks = [*band, track(38, [36, 43, 38, 43])]
    song = read_midi(write_midi(tmp_path / "a.mid", tracks))
    assert [[n.pitch for n in part.notes] for part in song.stem("bass")] == [[36, 43, 36, 43], [38]]


def test_volume_and_expression_move_into_velocity(tmp_path, write_midi, band):
    controls = [(7, 50, 0.4), (7, 100, 0.9), (11, 64, 1.4)]
    band[0].control_changes = [pretty_midi.ControlChange(*control) for control in controls]
    song = read_midi(write_midi(tmp_path / "a.mid", band))
    assert [note.velocity for note in song.stem("bass")[0].notes] == [100, 50, 100, 50]


def test_bends_follow_the_bend_range(tmp_path, write_midi, band):
    controls = [(101, 0, 0.0), (100, 0, 0.01), (6, 12, 0.02)]
    band[0].control_changes = [pretty_midi.ControlChange(*control) for control in controls]
    band[0].pitch_bends = [pretty_midi.PitchBend(-4096, 0.5)]
    song = read_midi(write_midi(tmp_path / "a.mid", band))
    assert song.stem("bass")[0].bends == (Bend(pytest.approx(0.5, abs=0.01), -6.0),)


def test_unreadable_files_are_named(tmp_path, write_midi, track):
    broken = tmp_path / "broken.mid"
    broken.write_bytes(b"MThd\x00\x00\x00\x06\x00\x01")
    with pytest.raises(InputError, match=r"broken\.mid: not a readable MIDI"):
        read_midi(broken)
    with pytest.raises(InputError, match=r"gone\.mid: there is no such"):
        read_midi(tmp_path / "gone.mid")
    with pytest.raises(InputError, match=r"solo\.mid: nothing but a bass"):
        read_midi(write_midi(tmp_path / "solo.mid", [track(33, [40])]))
