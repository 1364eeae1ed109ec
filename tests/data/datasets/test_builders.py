"""Each set's layout is prepared and read back, and compared with its files."""

import json

import numpy as np
import pytest
import soundfile
import tensorflow_datasets as tfds

from bassdiff.data.datasets.preparing import BUILDERS, prepare
from bassdiff.data.datasets.reading import PreparedSongs
from bassdiff.data.sources import open_source

SPLITS = ("train", "validation", "test")


def mono(*paths):
    """The sum of files, each as the mean of its channels; shorter ones end in silence."""
    files = [soundfile.read(path, dtype="int16", always_2d=True)[0] for path in paths]
    total = np.zeros(max(map(len, files)))
    for samples in files:
        total[: len(samples)] += samples.mean(axis=1)
    return total / 32768.0


def names(folder):
    found = {}
    for split in json.loads((folder / "metadata.json").read_text())["songs"]:
        found[split] = PreparedSongs(folder, split).names
    return found


@pytest.mark.parametrize("name", BUILDERS)
def test_builders_tell_what_they_are(tmp_path, name):
    builder = BUILDERS[name](data_dir=tmp_path)
    assert issubclass(tfds.builder_cls(name), tfds.core.DatasetBuilder)
    assert builder.info.description
    assert builder.RELEASE_NOTES[str(builder.version)]
    assert builder.info.file_format is tfds.core.FileFormat.ARRAY_RECORD
    if name in ("musdb18_hq", "moisesdb", "slakh2100"):
        assert builder.info.citation.startswith("@")
        assert builder.info.homepage.startswith("http")
        assert builder.LICENSE
        assert "https://" in builder.MANUAL_DOWNLOAD_INSTRUCTIONS


def test_musdb_keeps_its_test_songs_and_the_customary_validation_songs(tmp_path, musdb):
    folder = prepare("musdb18_hq", tmp_path / "data", musdb)
    assert folder == tmp_path / "data" / "musdb18_hq" / "1.0.0"
    assert names(folder) == {
        "train": ["A Classic Education - NightOwl", "Music Delta - 80s Rock"],
        "validation": ["Leaf - Summerghost"],
        "test": ["AM Contra - Heart Peripheral", "Zeno - Signs"],
    }
    song = PreparedSongs(folder, "test")[1]
    assert song.name == "Zeno - Signs"
    assert set(song.others) == {"drums", "other", "vocals"}
    for stem, samples in {"bass": song.bass, **song.others}.items():
        assert samples.dtype == np.float32
        # The mean of two channels has a seventeenth bit, which is kept.
        np.testing.assert_array_equal(samples, mono(musdb / "test" / song.name / f"{stem}.wav"))


def test_moisesdb_adds_up_the_files_of_a_stem(tmp_path, moises):
    songs = PreparedSongs(prepare("moisesdb", tmp_path / "data", moises), "all")
    assert sorted(songs.names) == sorted(p.name for p in (moises / "moisesdb_v0.1").iterdir())
    song = songs[0]
    assert set(song.others) == {"drums", "guitar", "vocals"}
    for stem, samples in {"bass": song.bass, **song.others}.items():
        files = (moises / "moisesdb_v0.1" / song.name / stem).glob("*.wav")
        np.testing.assert_array_equal(samples, mono(*files))
    # The folder inside serves as well.
    inner = prepare("moisesdb", tmp_path / "again", moises / "moisesdb_v0.1")
    assert PreparedSongs(inner, "all").names == songs.names


def test_slakh_keeps_its_splits_and_leaves_out_what_its_authors_omit(tmp_path, slakh):
    folder = prepare("slakh2100", tmp_path / "data", slakh)
    assert names(folder) == {
        "train": ["Track00001", "Track00002"],
        "validation": ["Track01501"],
        "test": ["Track01876"],
    }
    song = PreparedSongs(folder, "train")[1]
    assert set(song.others) == {"drums", "guitar"}
    stems = slakh / "train" / "Track00002" / "stems"
    np.testing.assert_array_equal(song.bass, mono(stems / "S01.flac"))
    both = mono(stems / "S00.flac", stems / "S03.flac")
    np.testing.assert_array_equal(song.others["guitar"], both)
    assert song.annotation.beat_seconds == (0.0,)


def test_stem_folder_is_held_out_as_it_is_without_a_dataset(tmp_path, stem_folder):
    (stem_folder / "song 0" / "annotation.json").write_text(
        json.dumps({"beat_seconds": [0.1], "chords": [[0.0, 0.2, 5, "maj", 5]]})
    )
    prepare("stem_folders", tmp_path / "data", stem_folder)
    for split in ("train", "validation", "all"):
        prepared = open_source(f"tfds:stem_folders/my_songs@{tmp_path / 'data'}", split)
        plain = open_source(f"stems:{stem_folder}", split)
        assert sorted(prepared.names) == plain.names
    assert len(prepared) == len(plain) == 4
    for index, name in enumerate(prepared.names):
        song, original = prepared[index], plain[plain.names.index(name)]
        assert song.annotation == original.annotation
        np.testing.assert_array_equal(song.bass, original.bass)
        assert list(song.others) == list(original.others) == ["drums", "keys"]
        for stem, samples in original.others.items():
            np.testing.assert_array_equal(song.others[stem], samples)
    assert prepared[prepared.names.index("song 0")].annotation.chords


def test_midi_is_rendered_as_it_is_without_a_dataset(tmp_path, write_midi, band):
    (tmp_path / "midi").mkdir()
    for index in range(6):
        write_midi(tmp_path / "midi" / f"{index}.mid", band)
    options = {"variants": 2, "seed": 3, "max_seconds": 0.5}
    prepare("midi_folder", tmp_path / "data", tmp_path / "midi", collection="band", **options)
    spec = f"tfds:midi_folder@{tmp_path / 'data'}"
    for split in ("train", "validation"):
        prepared = open_source(spec, split)
        plain = open_source(f"midi:{tmp_path / 'midi'}", split, **options)
        assert prepared.names == plain.names
        last = len(plain) - 1
        assert prepared[last].annotation == plain[last].annotation
        np.testing.assert_allclose(prepared[last].bass, plain[last].bass, atol=2.0**-15)
    assert prepared.names == ["0", "5", "0~1", "5~1"]


def test_composed_songs_are_those_of_the_specification(tmp_path):
    prepare("composed_songs", tmp_path, num_songs=2, max_seconds=4.0)
    prepared = open_source(f"tfds:composed_songs@{tmp_path}")
    plain = open_source("composed:2", max_seconds=4.0)
    assert prepared.names == plain.names
    np.testing.assert_allclose(prepared[1].bass, plain[1].bass, atol=2.0**-15)
    held_out = open_source(f"tfds:composed_songs@{tmp_path}", "validation")
    assert held_out.names == open_source("composed:1", "validation").names


def test_tfds_alone_builds_what_prepare_builds(tmp_path, musdb):
    """By its own means, as any other dataset: `builder` and `download_and_prepare`."""
    builder = tfds.builder("musdb18_hq", data_dir=tmp_path / "own", file_format="array_record")
    config = tfds.download.DownloadConfig(manual_dir=musdb)
    builder.download_and_prepare(download_config=config)
    prepared = prepare("musdb18_hq", tmp_path / "data", musdb)
    ours = tfds.data_source("musdb18_hq", split="train", data_dir=tmp_path / "data")
    theirs = builder.as_data_source("train")
    assert [song["name"] for song in ours] == [song["name"] for song in theirs]
    assert ours[0]["stems"]["flac"][0] == theirs[0]["stems"]["flac"][0]
    assert {p.name for p in prepared.iterdir()} == {p.name for p in builder.data_path.iterdir()}
