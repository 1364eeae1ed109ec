import numpy as np
import pytest

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.data import renderings
from bassdiff.data.sources import open_source
from bassdiff.runtime.errors import InputError


def strongest_hz(samples):
    """The strongest partial of the first note of a bass."""
    note = samples[2000 : 2000 + SAMPLE_RATE_HZ // 4]
    spectrum = np.abs(np.fft.rfft(note * np.hanning(len(note)), 1 << 18))
    return np.argmax(spectrum) * SAMPLE_RATE_HZ / (1 << 18)


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


def test_cache_holds_what_was_rendered(tmp_path, midi_folder, monkeypatch):
    options = {"cache_dir": tmp_path / "cache", "variants": 2}
    fresh = open_source(f"midi:{midi_folder}", variants=2)[6]
    first = open_source(f"midi:{midi_folder}", **options)[6]

    def must_not_render(*args, **kwargs):
        raise AssertionError("the cache was not used")

    monkeypatch.setattr(renderings.render, "render", must_not_render)
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
