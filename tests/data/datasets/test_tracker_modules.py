"""Modules become songs: what is the bass is heard, and albums are held out whole."""

import numpy as np
import pytest

from bassdiff.data.datasets import tracker_modules
from bassdiff.data.datasets.preparing import prepare
from bassdiff.data.datasets.tracker_modules import TrackerModules, read_module
from bassdiff.data.sources import open_source
from bassdiff.runtime.errors import InputError

RATE_HZ = 44100


def melody(semitones, seconds=24.0, note_seconds=0.5, level=0.2):
    """Notes of these MIDI numbers, one after the other, each with three partials."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    notes = np.asarray(semitones, float)[(time / note_seconds).astype(int) % len(semitones)]
    phase = np.cumsum(440.0 * 2 ** ((notes - 69) / 12)) / RATE_HZ
    wave = sum(np.sin(2 * np.pi * k * phase) / k for k in (1, 2, 3))
    return (level * wave * (time % note_seconds < 0.9 * note_seconds)).astype(np.float32)


def hits(seconds=24.0):
    rng = np.random.default_rng(0)
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (0.1 * rng.normal(size=len(time)) * np.exp(-30 * (time % 0.25))).astype(np.float32)


@pytest.fixture
def played(monkeypatch):
    """Has modules play given instruments instead of their own."""

    def use(*instruments):
        class Played:
            def __init__(self, path):
                self.names = [name for name, _ in instruments]

            def play(self, numbers, max_seconds):
                return sum(instruments[number][1] for number in numbers)

        monkeypatch.setattr(tracker_modules, "Module", Played)

    return use


BASS, LEAD = melody([33, 36, 31, 38]), melody([64, 67, 71, 62])


def test_the_bass_is_heard_whatever_instruments_are_called(played, tmp_path):
    played(("greetings", LEAD), ("to", hits()), ("everybody", BASS))
    stems = read_module(tmp_path / "a.xm", "game-a.xm").stems
    np.testing.assert_array_equal(stems.bass, BASS)
    assert set(stems.others) == {"drums", "instrument-0"}
    np.testing.assert_array_equal(stems.others["drums"], hits())


def test_two_low_instruments_that_take_turns_are_one_bass(played, tmp_path):
    first, second = BASS.copy(), BASS.copy()
    first[len(first) // 2 :] = 0.0
    second[: len(second) // 2] = 0.0
    played(("a", first), ("b", second), ("c", LEAD))
    np.testing.assert_array_equal(read_module(tmp_path / "a.xm", "game-a.xm").stems.bass, BASS)


def test_of_two_that_sound_at_once_the_busier_is_the_bass(played, tmp_path):
    fifths = melody([40, 43, 38, 45])
    fifths[len(fifths) // 2 :] = 0.0
    played(("a", fifths), ("b", BASS), ("c", LEAD))
    np.testing.assert_array_equal(read_module(tmp_path / "a.xm", "game-a.xm").stems.bass, BASS)


@pytest.mark.parametrize(
    ("instruments", "sentence"),
    [
        ([("lead", LEAD), ("drums", hits())], "no instrument plays a bass"),
        ([("bass", BASS), ("drums", hits())], "hardly anything pitched besides its bass"),
        ([("bass", BASS[: 19 * RATE_HZ])], "less than 20 s"),
    ],
)
def test_modules_without_a_pair_are_left_out(played, tmp_path, instruments, sentence):
    played(*instruments)
    with pytest.raises(InputError, match=f"^game-a.xm: .*{sentence}"):
        read_module(tmp_path / "a.xm", "game-a.xm")


def test_what_exceeds_full_scale_is_turned_down_as_a_whole(played, tmp_path):
    played(("bass", 8 * BASS), ("lead", LEAD))
    reading = read_module(tmp_path / "a.xm", "game-a.xm")
    assert np.abs(reading.stems.bass).max() == pytest.approx(1.0)
    np.testing.assert_allclose(
        reading.stems.others["instrument-1"], LEAD / np.abs(8 * BASS).max(), rtol=1e-6
    )
    assert "attenuated by" in reading.changes[0]


def test_albums_are_held_out_whole_and_a_file_that_is_there_twice_is_one_song(tmp_path):
    for album in range(12):
        folder = tmp_path / f"game{album}"
        folder.mkdir()
        for song in range(3):
            (folder / f"{song}.xm").write_bytes(f"{album} {song}".encode())
        (folder / "notes.txt").write_text("by nobody")
    (tmp_path / "game9" / "shared.XM").write_bytes(b"0 0")
    tracks = TrackerModules(data_dir=tmp_path / "data")._tracks(tmp_path)
    assert len(tracks) == 36
    splits = {}
    for track in tracks:
        splits.setdefault(track.name.partition("-")[0], set()).add(track.split)
    assert all(len(found) == 1 for found in splits.values())
    assert set.union(*splits.values()) == {"train", "validation"}


@pytest.mark.openmpt
def test_a_module_is_prepared_and_read_back(tmp_path, tracker_module):
    songs = tmp_path / "songs"
    songs.mkdir()
    (songs / "a.mod").write_bytes(tracker_module())
    (songs / "short.mod").write_bytes(tracker_module(num_patterns=1))
    (songs / "none.xm").write_bytes(b"no module at all")
    with pytest.warns(UserWarning, match="left out") as told:
        prepare("tracker_modules", tmp_path / "data", songs)
    assert {str(warning.message).partition(": ")[2].partition(":")[0] for warning in told} >= {
        "short.mod"
    }
    source = open_source(f"tfds:tracker_modules/songs@{tmp_path / 'data'}", "all")
    assert source.names == [source[0].name] == ["a.mod"]
    assert set(source[0].others) == {"drums", "instrument-2"}
