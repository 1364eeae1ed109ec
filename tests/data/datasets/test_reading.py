import pickle
import shutil

import numpy as np
import pytest

from bassdiff.data.datasets import reading
from bassdiff.data.datasets.preparing import prepare
from bassdiff.data.datasets.reading import PreparedSongs
from bassdiff.data.sources import open_source
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.stems import varied


@pytest.fixture
def data_dir(tmp_path, stem_folder):
    prepare("stem_folders", tmp_path / "data", stem_folder, collection="mine")
    return tmp_path / "data"


def test_names_and_lengths_are_known_without_a_record_being_read(data_dir, monkeypatch):
    songs = open_source(f"tfds:stem_folders@{data_dir}", "all")
    lengths = [len(songs[index].bass) for index in range(4)]
    monkeypatch.setattr(reading.tfds, "builder_from_directory", None)
    again = open_source(f"tfds:stem_folders@{data_dir}", "all")
    assert len(again) == len(again.names) == 4
    assert again.names == songs.names
    assert again.num_samples == lengths


def test_index_is_that_of_a_sequence(data_dir):
    songs = open_source(f"tfds:stem_folders@{data_dir}")
    assert songs[-1].name == songs.names[-1]
    with pytest.raises(IndexError):
        songs[3]


def test_splits_do_not_overlap(data_dir):
    train, validation, everything = (
        open_source(f"tfds:stem_folders@{data_dir}", split).names
        for split in ("train", "validation", "all")
    )
    assert train + validation == everything
    assert len(train) == 3


def test_joins_and_travels_like_other_sources(data_dir):
    spec = f"tfds:stem_folders/mine@{data_dir}"
    joined = open_source(f"composed:1+{spec}", max_seconds=2.0)
    assert joined[1].name == joined.names[1] == "song 1"
    sent = pickle.loads(pickle.dumps(joined))
    np.testing.assert_array_equal(sent[2].bass, joined[2].bass)


def test_another_key_is_shifted(data_dir):
    songs = open_source(f"tfds:stem_folders@{data_dir}")
    shifted, expected = songs.transposed(1, 2), varied(songs[1], 2)
    np.testing.assert_array_equal(shifted.bass, expected.bass)
    np.testing.assert_array_equal(shifted.others["drums"], songs[1].others["drums"])


def test_newest_version_is_taken_and_unfinished_ones_never(data_dir):
    first = data_dir / "stem_folders" / "mine" / "1.0.0"
    for name in ("1.10.0", "1.9.0", "incomplete.ABCDEF_2.0.0"):
        shutil.copytree(first, first.with_name(name))
    songs = open_source(f"tfds:stem_folders@{data_dir}")
    assert songs._folder.name == "1.10.0"


def test_faults_are_named_with_their_remedy(data_dir, tmp_path):
    shutil.copytree(data_dir / "stem_folders" / "mine", data_dir / "stem_folders" / "other")
    for spec, message in {
        "tfds:stem_folders": "names no songs|write tfds:NAME@DATA_DIR",
        f"tfds:stem_folders@{tmp_path / 'nowhere'}": "there is no such folder of datasets",
        f"tfds:musdb@{data_dir}": "musdb: is not prepared yet; run `bassdiff data prepare musdb",
        f"tfds:slakh2100@{data_dir}": (
            f"not prepared yet; run `bassdiff data prepare slakh2100 --from DIR --out {data_dir}`"
        ),
        f"tfds:stem_folders@{data_dir}": (
            f"choose among tfds:stem_folders/mine@{data_dir}, tfds:stem_folders/other@{data_dir}"
        ),
    }.items():
        with pytest.raises(InputError, match=message):
            open_source(spec)
    folder = data_dir / "stem_folders" / "mine" / "1.0.0"
    with pytest.raises(InputError, match="has no songs for test; choose among train, validation"):
        PreparedSongs(folder, "test")
    (folder / "metadata.json").write_text("{")
    with pytest.raises(InputError, match=r"metadata.json: missing or damaged"):
        PreparedSongs(folder)
    for other in (
        '{"songs": 5}',
        "{}",
        '{"songs": {"train": [["a", "b"]]}}',
        '{"songs": {"train": 1}}',
    ):
        (folder / "metadata.json").write_text(other)
        with pytest.raises(InputError, match=r"metadata.json: does not list songs"):
            PreparedSongs(folder)


def test_a_damaged_record_is_named_and_never_read_as_something_else(data_dir):
    (shard,) = (data_dir / "stem_folders" / "mine" / "1.0.0").glob("*train*")
    songs = open_source(f"tfds:stem_folders@{data_dir}")
    before = [songs[index] for index in range(3)]
    content, named = shard.read_bytes(), set()
    for where in range(0, len(content), len(content) // 16):
        damaged = bytearray(content)
        damaged[where] ^= 1
        shard.write_bytes(damaged)
        songs = open_source(f"tfds:stem_folders@{data_dir}")
        for index, song in enumerate(before):
            try:
                np.testing.assert_array_equal(songs[index].bass, song.bass)
            except InputError as error:
                assert f"the record of {song.name} is damaged; delete" in str(error)
                named.add(song.name)
    assert named == set(songs.names)
