import os

import numpy as np
import pytest
import soundfile

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.data import sources
from bassdiff.data.datasets.song import FEATURES, to_example, to_stems
from bassdiff.data.latents import waveform_fields
from bassdiff.data.sources import open_source
from bassdiff.data.store import Store
from bassdiff.data.store_building import build
from bassdiff.runtime.errors import InputError


def splits(spec, **options):
    return [open_source(spec, split, **options).names for split in ("train", "validation", "all")]


def assert_partition(train, validation, everything):
    assert train
    assert validation
    assert not set(train) & set(validation)
    assert sorted(train + validation) == sorted(everything)


def test_midi_split_takes_every_fifth(midi_folder):
    train, validation, everything = splits(f"midi:{midi_folder}")
    assert_partition(train, validation, everything)
    assert validation == ["song0", "song5"]


def test_pop909_split_goes_by_number(tmp_path, write_lead_sheet):
    for name in ("001", "859", "860", "909"):
        write_lead_sheet(tmp_path / "pop" / name)
    (tmp_path / "pop" / "index").mkdir()
    train, validation, everything = splits(f"pop909:{tmp_path / 'pop'}")
    assert_partition(train, validation, everything)
    assert validation == ["860", "909"]


def test_composed_split_has_other_songs():
    assert_partition(*splits("composed:5"))
    train, validation = (
        open_source("composed:1", s, max_seconds=4.0)[0] for s in sources.SPLITS[:2]
    )
    assert not np.array_equal(train.bass, validation.bass)


def test_stems_split_goes_by_name_and_stays(tmp_path):
    for index in range(30):
        folder = tmp_path / f"song {index}"
        folder.mkdir()
        for name in ("bass", "drums"):
            soundfile.write(folder / f"{name}.wav", np.full(441, 0.1, np.float32), SAMPLE_RATE_HZ)
    train, validation, everything = splits(f"stems:{tmp_path}")
    assert_partition(train, validation, everything)
    assert len(train) > len(validation)
    (tmp_path / "song 0" / "bass.wav").unlink()
    assert set(splits(f"stems:{tmp_path}")[1]) == set(validation) - {"song 0"}


@pytest.mark.parametrize("count", [2, 3, 5])
def test_of_a_handful_of_stems_one_song_is_held_out(tmp_path, count):
    for index in range(count):
        for name in ("bass", "drums"):
            path = tmp_path / f"my song {index}" / f"{name}.wav"
            path.parent.mkdir(exist_ok=True)
            path.touch()
    train, validation, everything = splits(f"stems:{tmp_path}")
    assert_partition(train, validation, everything)
    assert len(validation) == 1


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("musdb:x", "names no songs"),
        ("midi:", "names no songs"),
        ("composed:many", "names no songs"),
        ("composed:0", "names no songs"),
        ("composed:²", "names no songs"),
        ("composed:1000001", "names no songs; say how many, up to 1000000"),
        ("composed:1" + "0" * 5000, "names no songs"),
        ("midi:{}/gone", "gone: there is no such folder"),
        ("midi:{}", "no songs in this split"),
        ("pop909:{}", "no songs in this split"),
        ("stems:{}", "no sub-folder holds a bass"),
        ("composed:2+midi:{}/gone", "gone: there is no such folder"),
    ],
)
def test_bad_specifications_are_named(tmp_path, spec, complaint):
    with pytest.raises(InputError, match=complaint):
        open_source(spec.format(tmp_path))


def test_bad_split_and_soundfont_are_named(tmp_path):
    with pytest.raises(InputError, match="'test' is not a split"):
        open_source("composed:1", "test")
    with pytest.raises(InputError, match=r"gone\.sf2"):
        open_source("composed:1", soundfonts=[tmp_path / "gone.sf2"])
    with pytest.raises(InputError, match="variants"):
        open_source("composed:1", variants=0)
    with pytest.raises(InputError, match="choose 1 to 1000 renderings"):
        open_source("composed:1", variants=10**9)


@pytest.mark.parametrize(
    ("folder", "is_quoted"),
    [
        ("C++ songs", False),
        ("me@home", False),
        ("a:b", False),
        ("with spaces", False),
        ("x+midi:y", True),
        ("C++ songs", True),
        ("+", True),
    ],
)
def test_names_of_folders_are_taken_as_they_are(tmp_path, midi_folder, folder, is_quoted):
    for name in ("bass", "drums"):
        path = tmp_path / folder / "song" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    where = f'"{tmp_path / folder}"' if is_quoted else str(tmp_path / folder)
    assert open_source(f"stems:{where}", "all").names == ["song"]
    spec = f"stems:{where}+midi:{midi_folder}"
    assert open_source(spec, "all").names[:2] == ["song", "song0"]
    assert sources.roots(spec) == [str(tmp_path / folder), str(midi_folder)]
    assert sources.unplaced(spec) == f"stems:{folder}+midi:{midi_folder.name}"


def test_the_folder_of_prepared_songs_may_be_quoted(tmp_path):
    for where in (f"{tmp_path}/me@home", f'"{tmp_path}/me@home+midi:x"'):
        with pytest.raises(InputError, match=r"me@home.*: there is no such folder of datasets"):
            open_source(f"tfds:musdb18_hq@{where}")


def test_a_folder_whose_name_is_no_text_is_a_song(tmp_path):
    folder = os.fsdecode(bytes(tmp_path) + b"/caf\xe9")
    os.mkdir(folder)
    for name in ("bass", "drums"):
        noise = np.full(4410, 0.1, np.float32)
        soundfile.write(tmp_path / f"{name}.wav", noise, SAMPLE_RATE_HZ)
        os.rename(tmp_path / f"{name}.wav", f"{folder}/{name}.wav")
    source = open_source(f"stems:{tmp_path}", "all")
    assert source.names == [os.fsdecode(b"caf\xe9")]
    build(tmp_path / "store", source, waveform_fields("bass", 1), {}, seed=0)
    assert Store(tmp_path / "store").manifest["names"] == source.names
    example = to_stems(
        FEATURES.deserialize_example_np(
            FEATURES.serialize_example(FEATURES.encode_example(to_example(source[0], 16)))
        )
    )
    assert example.name == "caf\\udce9"
