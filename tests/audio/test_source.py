import numpy as np
import pytest

from bassdiff.audio import source
from bassdiff.audio.io import read, write
from bassdiff.audio.source import AudioSource
from bassdiff.runtime.errors import InputError

RATE_HZ = 22050


@pytest.fixture
def song(tmp_path, rng):
    path = tmp_path / "song.wav"
    write(path, 0.1 * rng.normal(size=(200_001, 2)).astype(np.float32), RATE_HZ)
    return path


@pytest.mark.parametrize("held_values", [1 << 25, 1000])
def test_every_pass_gives_the_whole_file(song, monkeypatch, held_values):
    """Held in memory or decoded anew."""
    monkeypatch.setattr(source, "_HELD_VALUES", held_values)
    audio, expected = AudioSource(song, 200_001), read(song)
    assert (audio.info.sample_rate_hz, audio.info.channels) == (RATE_HZ, 2)
    for _ in range(3):
        np.testing.assert_array_equal(np.concatenate([*audio.blocks()]), expected)
    for first, last in ((0, 1), (70_000, 70_001), (65_535, 140_000), (199_000, None)):
        part = np.concatenate([*audio.blocks(first, last)])
        np.testing.assert_array_equal(part, expected[first:last])


def test_a_short_file_is_decoded_once(song):
    audio = AudioSource(song, 200_001)
    whole = [*audio.blocks()]
    song.unlink()
    for ours, held in zip(whole, audio.blocks(), strict=True):
        assert held is ours or np.shares_memory(held, ours)


def test_a_file_that_changes_meanwhile_is_refused(song, monkeypatch):
    monkeypatch.setattr(source, "_HELD_VALUES", 1000)
    audio = AudioSource(song, 200_001)
    assert sum(map(len, audio.blocks())) == 200_001
    write(song, np.zeros((150_000, 2), np.float32), RATE_HZ)
    with pytest.raises(InputError, match=r"song\.wav changed while it was being read; try again"):
        list(audio.blocks())
