"""Odd MIDI files have the right notes at the right times."""

import struct

import pytest

from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.midi import read_midi
from tests.synthesis.midi_files import (
    BASS,
    BASS_LINE,
    BASSOON,
    CHORDS,
    KEYS,
    midi,
    name,
    notes,
    program,
    tempo,
    track,
)

# 120 BPM, where nothing says otherwise.
BEAT_SECONDS = 0.5
TWO_THIRDS = track(tempo(260_870))
METRE_0 = track((0, b"\xff\x58\x04\x00\x02\x18\x08"))
KEY_9 = track((0, b"\xff\x59\x02\x09\x00"))
SYSEX = track((0, b"\xf0\x05\x7e\x7f\x09\x01\xf7"), *notes(2, [72]))
LOUD = track(program(0, 33), (0, b"\x90\x24\xc0"), (480, b"\x80\x24\0"), *notes(0, BASS_LINE[1:]))
ALIEN = b"XFIH" + struct.pack(">I", 4) + b"abcd"
WHOLE = midi(BASS, KEYS)


@pytest.mark.parametrize(
    ("data", "beat_seconds"),
    [
        (WHOLE, BEAT_SECONDS),
        (midi(track(name("x")), TWO_THIRDS, BASS, KEYS), 0.26087),
        (midi(BASS, KEYS, TWO_THIRDS), 0.26087),
        (midi(BASS, KEYS, division=(256 - 25) << 8 | 40), 0.48),
        (midi(BASS, KEYS, division=(256 - 29) << 8 | 40), 480 * 1.001 / 1200),
        (midi(track(tempo(0)), BASS, KEYS), BEAT_SECONDS),
        (midi(METRE_0, BASS, KEYS), BEAT_SECONDS),
        (midi(KEY_9, BASS, KEYS), BEAT_SECONDS),
        (midi(SYSEX, BASS, KEYS), BEAT_SECONDS),
        (midi(BASS, KEYS, count=9), BEAT_SECONDS),
        (midi(LOUD, KEYS), BEAT_SECONDS),
        (b"RIFF\0\0\0\0RMIDdata\0\0\0\0" + WHOLE, BEAT_SECONDS),
        (WHOLE[:14] + ALIEN + WHOLE[14:], BEAT_SECONDS),
        (WHOLE + b"junk that follows", BEAT_SECONDS),
        (WHOLE.replace(b"\xff\x2f\0", b"\xff\x01\0"), BEAT_SECONDS),
    ],
    ids=(
        "plain tempo_on_track_1 tempo_on_last_track frames drop_frames tempo_0 metre_0 key_9 sysex "
        "count_wrong data_above_127 riff alien_chunk junk_after no_end_of_track"
    ).split(),
)
def test_notes_are_where_they_sound(tmp_path, data, beat_seconds):
    (tmp_path / "a.mid").write_bytes(data)
    song = read_midi(tmp_path / "a.mid")
    for stem, pitches in (("bass", BASS_LINE), ("keys", CHORDS)):
        found = [note for part in song.stem(stem) for note in part.notes if note.pitch in pitches]
        starts = [note.start_seconds for note in found if note.pitch != 72 or stem == "bass"]
        wanted = [beat_seconds * n for n, p in enumerate(pitches) if p != 72 or stem == "bass"]
        assert starts == pytest.approx(wanted, abs=1e-4)
    assert song.end_seconds == pytest.approx(8 * beat_seconds, abs=1e-4)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "no header"),
        (b"MThd\0\0\0\6\0\1\0\0\1\xe0", "no tracks"),
        (midi(BASS, KEYS, division=0), "no ticks"),
        (WHOLE[:-40], "ends within a track"),
        (midi(BASS, b"MTrk\0\0\0\2\0\x90"), "ends within an event"),
        (midi(BASS, b"MTrk\0\0\0\4\0\xff\x03\x7f"), "ends within an event"),
        (midi(BASS, b"MTrk\0\0\0\2\0\x10"), "an event has no status"),
    ],
)
def test_what_is_no_midi_says_why(tmp_path, data, fault):
    (tmp_path / "a.mid").write_bytes(data)
    with pytest.raises(InputError, match=rf"a\.mid: not a readable MIDI file .*{fault}"):
        read_midi(tmp_path / "a.mid")


def stems_of(tmp_path, *tracks):
    (tmp_path / "a.mid").write_bytes(midi(*tracks))
    song = read_midi(tmp_path / "a.mid")
    return {name: [part.is_drum for part in song.stem(name)] for name in song.stem_names}


def test_drums_on_a_melodic_channel_are_drums(tmp_path):
    for called in ("Drums", "Bass Drum", "Drum Kit 1"):
        drums = track(name(called), *notes(3, [36, 38, 42]))
        assert stems_of(tmp_path, BASS, KEYS, drums)["drums"] == [True]
    # Pitched, the title of a song, or an instrument that somebody chose.
    for called, number in (("Steel Drums", 114), ("Ride on the last Train", 0), ("Drums", 25)):
        other = track(name(called), program(3, number), *notes(3, [60, 62]))
        assert True not in stems_of(tmp_path, BASS, KEYS, other).get("drums", [])


def test_what_only_has_bass_in_its_name_is_no_bass(tmp_path):
    for called in ("Bassoon", "Bass Drum", "Bass Clarinet", "Contrabassoon", "Bass Voice"):
        low = track(name(called), program(0, BASSOON), *notes(0, BASS_LINE))
        with pytest.raises(InputError, match="no bass"):
            stems_of(tmp_path, low, KEYS)
    for called in ("Contrabass", "Bassline", "E-Bass 2", "Double Bass"):
        low = track(name(called), program(0, 43), *notes(0, BASS_LINE))
        assert stems_of(tmp_path, low, KEYS)["bass"] == [False]
