"""Recordings become songs: taken apart, heard, and left out where no bass plays."""

import numpy as np
import pytest
import soundfile

from bassdiff.cli import main as cli
from bassdiff.data.datasets.base import SourceConfig
from bassdiff.data.datasets.preparing import prepare
from bassdiff.data.datasets.recordings import Recordings, read_recording
from bassdiff.data.sources import open_source
from bassdiff.runtime.errors import InputError

RATE_HZ = 44100
LEFT, RIGHT = np.diag([1.0, 0.0]), np.diag([0.0, 1.0])


def melody(semitones, seconds=22.0, level=0.2, rate_hz=RATE_HZ):
    """Half-second notes of these MIDI numbers, each with three partials."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    notes = np.asarray(semitones, float)[(time / 0.5).astype(int) % len(semitones)]
    phase = np.cumsum(440.0 * 2 ** ((notes - 69) / 12)) / rate_hz
    return level * sum(np.sin(2 * np.pi * k * phase) / k for k in (1, 2, 3))


BASS, LEAD = melody([33, 36, 31, 38]), melody([64, 67, 71, 62])


@pytest.fixture
def song(tmp_path):
    """Writes a recording of what is left and right in it."""

    def write(left=BASS, right=LEAD, name="songs/a.flac", rate_hz=RATE_HZ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.stack([left, right], axis=1), rate_hz)
        return path

    return write


@pytest.fixture
def separator(separator_graph):
    """Takes the left channel for the bass."""
    return str(separator_graph({"bass": LEFT, "other": RIGHT}, {}))


def test_a_recording_becomes_stems_without_what_is_silent(song, separator):
    reading = read_recording(song(), "a.flac", separator, None)
    assert reading.stems.name == "a.flac"
    np.testing.assert_allclose(reading.stems.bass, BASS / 2, atol=1e-3)
    assert set(reading.stems.others) == {"other"}
    np.testing.assert_allclose(reading.stems.others["other"], LEAD / 2, atol=1e-3)
    assert reading.changes == (
        "without drums, next to silent",
        "without vocals, next to silent",
    )


def test_other_rates_one_channel_and_a_limit_of_length(song, separator_graph, tmp_path):
    half = 22050
    slow = song(
        melody([33, 36], 30.0, rate_hz=half), melody([64], 30.0, rate_hz=half), "b.wav", half
    )
    both = str(separator_graph({"bass": LEFT, "other": RIGHT}, {}))
    stems = read_recording(slow, "b.wav", both, 25.0).stems
    assert len(stems.bass) == 25 * RATE_HZ
    np.testing.assert_allclose(
        stems.bass[5000:-5000], melody([33, 36], 25.0)[5000:-5000] / 2, atol=0.02
    )
    soundfile.write(tmp_path / "mono.wav", BASS, RATE_HZ)
    mono = read_recording(tmp_path / "mono.wav", "mono", both, None).stems
    np.testing.assert_allclose(mono.bass, mono.others["other"], atol=1e-3)


@pytest.mark.parametrize(
    ("left", "right", "sentence"),
    [
        (BASS[: 19 * RATE_HZ], LEAD[: 19 * RATE_HZ], "lasts less than 20 s"),
        (0 * BASS, LEAD, "no monophonic bass"),
        (0.005 * BASS, LEAD, "no monophonic bass"),
        (np.where(np.arange(len(BASS)) < 4 * RATE_HZ, BASS, 0), LEAD, "no monophonic bass"),
        (0.2 * np.random.default_rng(0).normal(size=len(BASS)), LEAD, "no monophonic bass"),
        (BASS, 0 * LEAD, "nothing but a bass and drums"),
    ],
)
def test_recordings_without_a_pair_are_left_out(song, separator, left, right, sentence):
    with pytest.raises(InputError, match=f"^a.flac: .*{sentence}"):
        read_recording(song(left, right), "a.flac", separator, None)


def test_a_folder_is_prepared_and_read_back(song, separator, tmp_path, capsys):
    song()
    (tmp_path / "songs" / "broken.mp3").write_bytes(b"nothing")
    words = ["data", "prepare", "recordings", f"--from={tmp_path / 'songs'}", "--workers=2"]
    words.append(f"--out={tmp_path / 'data'}")
    assert cli.main(words) == 2
    assert (
        "name the network that separates the songs by --separator FILE.onnx"
        in capsys.readouterr().err
    )
    assert cli.main([*words, "--separator=nowhere.onnx"]) == 2
    assert "nowhere.onnx: there is no such separator" in capsys.readouterr().err
    with pytest.warns(UserWarning) as told:
        prepare("recordings", tmp_path / "data", tmp_path / "songs", separator=separator)
    assert any("broken.mp3" in str(warning.message) for warning in told)
    source = open_source(f"tfds:recordings/songs@{tmp_path / 'data'}", "all")
    assert source.names == [source[0].name] == ["a.flac"]
    np.testing.assert_allclose(source[0].bass, BASS / 2, atol=1e-3)


def test_what_cannot_take_apart_ends_the_job(song, tmp_path):
    song()
    (tmp_path / "no.onnx").write_bytes(b"no graph")
    with pytest.raises(InputError, match=r"no.onnx: is not a runnable ONNX file"):
        prepare(
            "recordings", tmp_path / "data", tmp_path / "songs", separator=str(tmp_path / "no.onnx")
        )
    assert not list(tmp_path.rglob("dataset_info.json"))


def test_whole_folders_are_held_out(tmp_path, separator):
    for album in range(12):
        (tmp_path / f"album{album}").mkdir()
        for number in range(3):
            (tmp_path / f"album{album}" / f"{number}.OGG").write_bytes(f"{album} {number}".encode())
    builder = Recordings(
        data_dir=tmp_path / "data", config=SourceConfig(name="songs", separator=separator)
    )
    splits = {}
    for track in builder._tracks(tmp_path):
        splits.setdefault(track.name.partition("-")[0], set()).add(track.split)
    assert len(splits) == 12
    assert all(len(found) == 1 for found in splits.values())
    assert set.union(*splits.values()) == {"train", "validation"}
