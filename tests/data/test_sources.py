import numpy as np
import pytest
import soundfile

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.data import sources
from bassdiff.data.sources import open_source
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
