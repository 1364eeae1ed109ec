import numpy as np
import pytest
import soundfile

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.data import sources
from bassdiff.data.sources import open_source, revoiced
from bassdiff.data.stems import StemFolder
from bassdiff.errors import InputError
from bassdiff.evaluation.pitch import pitch_agreement
from bassdiff.evaluation.timbre import timbre, timbre_distance


@pytest.fixture
def midi_folder(tmp_path, write_midi, band):
    folder = tmp_path / "midi"
    folder.mkdir()
    for index in range(7):
        write_midi(folder / f"song{index}.mid", band)
    return folder


def strongest_hz(samples):
    """The strongest partial of the first note of a bass."""
    note = samples[2000 : 2000 + SAMPLE_RATE_HZ // 4]
    spectrum = np.abs(np.fft.rfft(note * np.hanning(len(note)), 1 << 18))
    return np.argmax(spectrum) * SAMPLE_RATE_HZ / (1 << 18)


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


def test_rendered_song_is_stems(midi_folder):
    song = open_source(f"midi:{midi_folder}")[3]
    assert song.name == "song4"
    assert set(song.others) == {"drums", "keys"}
    assert song.sample_rate_hz == SAMPLE_RATE_HZ


def test_max_seconds_limits_length(midi_folder):
    song = open_source(f"midi:{midi_folder}", max_seconds=1.0)[0]
    assert len(song.bass) == SAMPLE_RATE_HZ


def test_variants_are_other_renderings_and_repeatable(midi_folder):
    source = open_source(f"midi:{midi_folder}", variants=3)
    assert len(source) == len(source.names) == len(set(source.names)) == 15
    assert source.names[:6] == ["song1", "song2", "song3", "song4", "song6", "song1~1"]
    basses = [source[index].bass for index in (0, 5, 10)]
    assert not np.array_equal(basses[0], basses[1])
    assert not np.array_equal(basses[1], basses[2])
    again = open_source(f"midi:{midi_folder}", variants=3)[5]
    assert again.name == "song1~1"
    np.testing.assert_array_equal(again.bass, basses[1])
    np.testing.assert_array_equal(open_source(f"midi:{midi_folder}")[0].bass, basses[0])


def test_plus_joins_in_order(midi_folder):
    joined = open_source(f"midi:{midi_folder}+composed:2", max_seconds=3.0)
    assert joined.names == ["song1", "song2", "song3", "song4", "song6", "composed-0", "composed-1"]
    assert len(joined) == 7
    assert joined[4].name == "song6"
    assert joined[5].name == joined[-2].name == "composed-0"
    with pytest.raises(IndexError):
        joined[7]


def test_cache_holds_what_was_rendered(tmp_path, midi_folder, monkeypatch):
    options = {"cache_dir": tmp_path / "cache", "variants": 2}
    fresh = open_source(f"midi:{midi_folder}", variants=2)[6]
    first = open_source(f"midi:{midi_folder}", **options)[6]

    def must_not_render(*args, **kwargs):
        raise AssertionError("the cache was not used")

    monkeypatch.setattr(sources.render, "render", must_not_render)
    second = open_source(f"midi:{midi_folder}", **options)[6]
    assert fresh.name == first.name == second.name == "song2~1"
    for cached in (first, second):
        assert set(cached.others) == set(fresh.others)
        np.testing.assert_allclose(cached.bass, fresh.bass, atol=2.0**-15)
        for name, samples in fresh.others.items():
            np.testing.assert_allclose(cached.others[name], samples, atol=2.0**-15)
    (folder,) = (tmp_path / "cache").iterdir()
    assert {path.suffix for path in folder.iterdir()} == {".flac", ".json"}
    assert first.annotation == second.annotation == fresh.annotation
    assert fresh.annotation.beat_seconds


@pytest.mark.parametrize("cached", [False, True])
def test_another_key_is_the_same_performance(tmp_path, midi_folder, cached):
    """Only the notes move: the drums, the instruments and every effect stay."""
    options = {"cache_dir": tmp_path / "cache"} if cached else {}
    joined = open_source(f"composed:1+midi:{midi_folder}", variants=2, **options)
    index = len(joined) - 1
    own, same, higher = joined[index], joined.transposed(index, 0), joined.transposed(index, 3)
    np.testing.assert_array_equal(own.bass, same.bass)
    assert own.name == higher.name
    assert not np.allclose(own.bass, higher.bass, atol=1e-3)
    np.testing.assert_allclose(
        *(s.others["drums"] / np.abs(s.others["drums"]).max() for s in (own, higher)), atol=2e-3
    )
    ratio = strongest_hz(higher.bass) / strongest_hz(own.bass)
    assert 12 * np.log2(ratio) == pytest.approx(3.0, abs=0.3)


def test_a_line_in_the_sound_of_another_song():
    source = open_source("composed:3+composed:1", max_seconds=12.0)
    own, line = source[0].bass, revoiced(source, 0, 0)
    np.testing.assert_allclose(line / np.abs(line).max(), own / np.abs(own).max(), atol=1e-3)
    other = revoiced(source, 0, 2)[: len(own)]
    assert pitch_agreement(own[: len(other)], other).within_25_cents > 0.8
    assert timbre_distance(timbre(other), timbre(own)) > 0.5
    assert revoiced(source, 0, 3) is None


def test_recorded_basses_cannot_be_played_anew(tmp_path):
    assert revoiced(StemFolder(str(tmp_path), [tmp_path, tmp_path]), 0, 1) is None


def test_cache_tells_settings_apart(tmp_path, midi_folder):
    for seconds in (1.0, 1.5):
        source = open_source(f"midi:{midi_folder}", cache_dir=tmp_path / "c", max_seconds=seconds)
        assert len(source[0].bass) == seconds * SAMPLE_RATE_HZ
    open_source(f"midi:{midi_folder}", cache_dir=tmp_path / "c", max_seconds=1.0, seed=1)[0]
    assert len(list((tmp_path / "c").iterdir())) == 3


def test_cache_notices_a_changed_file(tmp_path, midi_folder, write_midi, band, track):
    options = {"cache_dir": tmp_path / "cache", "max_seconds": 1.0}
    before = open_source(f"midi:{midi_folder}", **options)[0]
    write_midi(midi_folder / "song1.mid", [*band, track(73, [80, 81])])
    after = open_source(f"midi:{midi_folder}", **options)[0]
    assert set(after.others) - set(before.others) == {"winds"}


def test_failed_rendering_leaves_nothing_in_the_cache(tmp_path, write_midi, track):
    (tmp_path / "midi").mkdir()
    for index in range(2):
        write_midi(tmp_path / "midi" / f"{index}.mid", [track(0, [60])])
    source = open_source(f"midi:{tmp_path / 'midi'}", cache_dir=tmp_path / "cache")
    with pytest.raises(InputError, match=r"1\.mid: no bass"):
        source[0]
    assert not list(tmp_path.glob("cache/*"))


def test_unusable_cache_folder_is_named(tmp_path, midi_folder):
    (tmp_path / "file").write_text("in the way")
    source = open_source(f"midi:{midi_folder}", cache_dir=tmp_path / "file", max_seconds=1.0)
    with pytest.raises(InputError, match="file: cannot store songs there"):
        source[0]


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
    with pytest.raises(InputError, match="'test' is no split"):
        open_source("composed:1", "test")
    with pytest.raises(InputError, match=r"gone\.sf2"):
        open_source("composed:1", soundfonts=[tmp_path / "gone.sf2"])
    with pytest.raises(InputError, match="variants"):
        open_source("composed:1", variants=0)
