"""Bad input: what is left out, what is changed and what is fatal, as `rules` says."""

import shutil

import numpy as np
import pytest
import soundfile

from bassdiff.data.datasets.preparing import prepare
from bassdiff.data.datasets.reading import PreparedSongs, read_report
from bassdiff.runtime.errors import InputError

RATE_HZ = 44100


def truncate(path):
    path.write_bytes(path.read_bytes()[:-2000])


def silence(path):
    soundfile.write(path, np.zeros(RATE_HZ // 4), RATE_HZ, "PCM_16")


def not_finite(path):
    soundfile.write(path, np.full(RATE_HZ // 4, np.nan), RATE_HZ, "FLOAT")


def garble(path):
    path.write_bytes(b"no audio at all")


@pytest.mark.parametrize(
    ("stem", "spoil", "reason"),
    [
        ("bass", truncate, "bass.wav.*truncated"),
        ("keys", garble, "keys.wav"),
        ("keys", not_finite, "keys.wav.*finite"),
        ("bass", silence, "song 1: the bass is silent"),
        ("bass", lambda path: path.unlink(), "song 1: has no bass"),
    ],
)
def test_a_bad_song_is_left_out_and_reported(tmp_path, stem_folder, stem, spoil, reason):
    spoil(stem_folder / "song 1" / f"{stem}.wav")
    with pytest.warns(UserWarning, match=f"left out: .*{reason}"):
        folder = prepare("stem_folders", tmp_path / "data", stem_folder)
    assert PreparedSongs(folder, "all").names.count("song 1") == 0
    assert len(PreparedSongs(folder, "all")) == 3
    report = read_report(folder)
    assert list(report["left_out"]) == ["song 1"]
    assert report["changed"] == {}


def test_nothing_but_a_bass_is_left_out(tmp_path, stem_folder):
    for stem in ("drums.flac", "keys.wav"):
        (stem_folder / "song 1" / stem).unlink()
        silence(stem_folder / "song 2" / stem)
    with pytest.warns(UserWarning) as warned:
        folder = prepare("stem_folders", tmp_path / "data", stem_folder)
    assert [str(w.message) for w in warned] == [
        "left out: song 1: has nothing but a bass.",
        "left out: song 2: everything but the bass is silent.",
    ]
    assert set(read_report(folder)["left_out"]) == {"song 1", "song 2"}


def test_lengths_rates_and_levels_are_mended_and_reported(tmp_path, stem_folder, rng):
    long = rng.integers(-6000, 6000, 2 * RATE_HZ).astype(np.int16)
    soundfile.write(stem_folder / "song 0" / "keys.wav", long, RATE_HZ)
    soundfile.write(stem_folder / "song 1" / "keys.wav", long[: RATE_HZ // 8], RATE_HZ // 2)
    loud = np.where(long[: RATE_HZ // 4] > 0, 1.25, -1.25)
    soundfile.write(stem_folder / "song 2" / "keys.wav", loud, RATE_HZ, "FLOAT")
    with pytest.warns(UserWarning, match="3 songs were changed; see report.json"):
        folder = prepare("stem_folders", tmp_path / "data", stem_folder)
    report = read_report(folder)
    assert report["left_out"] == {}
    assert report["changed"] == {
        "song 0": [
            "bass.wav padded with 1.8 s of silence at its end",
            "drums.flac padded with 1.8 s of silence at its end",
        ],
        "song 1": ["keys.wav resampled from 22050 Hz"],
        "song 2": ["attenuated by 1.9 dB, stems exceeded full scale"],
    }
    songs = PreparedSongs(folder, "all")
    padded, resampled, quieter = (songs[songs.names.index(f"song {i}")] for i in range(3))
    assert len(padded.bass) == len(padded.others["keys"]) == 2 * RATE_HZ
    assert not padded.bass[RATE_HZ // 4 :].any()
    assert len(resampled.others["keys"]) == RATE_HZ // 4
    original = soundfile.read(stem_folder / "song 2" / "bass.wav")[0]
    np.testing.assert_allclose(quieter.bass, original / 1.25, atol=2.0**-23)
    assert np.abs(quieter.others["keys"]).max() == pytest.approx(1.0, abs=1e-6)


def test_sets_are_checked_for_what_they_promise(tmp_path, musdb, moises, slakh):
    (musdb / "train" / "Music Delta - 80s Rock" / "vocals.wav").unlink()
    with pytest.warns(UserWarning, match="vocals.wav"):
        folder = prepare("musdb18_hq", tmp_path / "data", musdb)
    assert PreparedSongs(folder).names == ["A Classic Education - NightOwl"]

    first, second, *_ = sorted((moises / "moisesdb_v0.1").iterdir())
    (first / "data.json").write_text('{"stems": [{"stemName": "bass"}]}')
    next((second / "drums").iterdir()).unlink()
    with pytest.warns(UserWarning):
        folder = prepare("moisesdb", tmp_path / "data", moises)
    assert set(read_report(folder)["left_out"]) == {first.name, second.name}

    metadata = slakh / "train" / "Track00001" / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("inst_class: Bass", "inst_class: Brass"))
    (slakh / "test" / "Track01876" / "metadata.yaml").write_text("stems: [")
    (slakh / "train" / "Track00002" / "all_src.mid").write_bytes(b"no MIDI")
    with pytest.warns(UserWarning):
        folder = prepare("slakh2100", tmp_path / "data", slakh)
    report = read_report(folder)
    assert report["left_out"]["Track00001"] == "Track00001: has no bass."
    assert "is not valid Slakh metadata" in report["left_out"]["Track01876"]
    assert report["changed"]["Track00002"][0].startswith("beats are unknown")
    assert PreparedSongs(folder).names == ["Track00002"]
    assert PreparedSongs(folder)[0].annotation.beat_seconds == ()


def test_midi_that_cannot_be_read_is_left_out(tmp_path, write_midi, band):
    folder = tmp_path / "midi"
    folder.mkdir()
    for index in range(3):
        write_midi(folder / f"{index}.mid", band if index else band[1:])
    (folder / "2.mid").write_bytes(b"no MIDI")
    with pytest.warns(UserWarning):
        prepared = prepare("midi_folder", tmp_path / "data", folder, max_seconds=0.5)
    left_out = read_report(prepared)["left_out"]
    assert "no bass" in left_out["0"]
    assert "not a readable MIDI file" in left_out["2"]
    assert PreparedSongs(prepared, "all").names == ["1"]


def test_two_songs_of_one_name_are_fatal(tmp_path, musdb):
    shutil.copytree(musdb / "test" / "Zeno - Signs", musdb / "train" / "Zeno - Signs")
    with pytest.raises(InputError, match=r"called Zeno - Signs \(.*train.* and .*test.*rename one"):
        prepare("musdb18_hq", tmp_path / "data", musdb)


def test_a_set_without_one_good_song_is_fatal(tmp_path, stem_folder):
    for song in stem_folder.iterdir():
        silence(song / "bass.wav")
    with (
        pytest.warns(UserWarning),
        pytest.raises(InputError, match="no song can be used; the first: song 0: the bass is sil"),
    ):
        prepare("stem_folders", tmp_path / "data", stem_folder)
    assert not list(tmp_path.rglob("dataset_info.json"))
