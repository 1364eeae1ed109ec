import numpy as np
import pytest

from bassdiff.audio.channels import ChannelsMeter, channels_lufs, mono_and_level, to_mono
from bassdiff.audio.io import read, write
from bassdiff.audio.loudness import loudness_lufs
from bassdiff.audio.source import AudioSource

RATE_HZ = 22050


@pytest.fixture
def song(rng):
    return (0.1 * rng.normal(size=3 * RATE_HZ)).astype(np.float32)


def layouts(song):
    empty = np.zeros_like(song)
    return {
        "one": song[:, None],
        "two": np.stack([song, song], axis=1),
        "opposite": np.stack([song, -song], axis=1),
        "almost opposite": np.stack([song, -0.9 * song], axis=1),
        "two of six": np.stack([song, song, empty, empty, empty, empty], axis=1),
    }


@pytest.mark.parametrize("name", layouts(np.zeros(1)))
def test_a_song_is_one_song_however_many_channels_it_is_on(song, name):
    channels = layouts(song)[name]
    mono = to_mono(channels)
    assert mono.dtype == np.float32
    assert np.corrcoef(mono, song)[0, 1] > 0.999
    assert loudness_lufs(mono, RATE_HZ) == pytest.approx(loudness_lufs(song, RATE_HZ), abs=0.6)
    assert channels_lufs(channels, RATE_HZ) == pytest.approx(loudness_lufs(song, RATE_HZ), abs=0.6)


def test_a_stereo_mix_is_its_mean(rng):
    """What the halves have in common and what they do not."""
    sides = rng.normal(size=(1000, 2)).astype(np.float32)
    np.testing.assert_array_equal(to_mono(sides), sides.mean(axis=1))
    np.testing.assert_array_equal(to_mono(sides[:, 0]), sides[:, 0])


def test_silence_is_silence():
    silence = np.zeros((RATE_HZ, 2), np.float32)
    np.testing.assert_array_equal(to_mono(silence), silence[:, 0])
    assert channels_lufs(silence, RATE_HZ) == float("-inf")


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3"])
@pytest.mark.parametrize("name", ["one", "two", "opposite", "unequal"])
def test_a_file_need_not_be_held_whole(song, tmp_path, name, suffix):
    channels = {**layouts(song), "unequal": np.stack([song, np.roll(song, 5) * 0.3], axis=1)}[name]
    path = tmp_path / f"song{suffix}"
    write(path, np.resize(channels, (50_001, channels.shape[1])), RATE_HZ)
    samples = read(path)
    mono, level_lufs = mono_and_level(AudioSource(path, len(samples)))
    np.testing.assert_array_equal(mono, to_mono(samples))
    assert level_lufs == pytest.approx(channels_lufs(samples, RATE_HZ), abs=1e-6)


def test_no_more_is_read_than_is_wanted(song, tmp_path):
    path = tmp_path / "song.wav"
    write(path, np.tile(np.stack([song, song], axis=1), (20, 1)), RATE_HZ)
    mono, _ = mono_and_level(AudioSource(path, 1000))
    assert 1000 < len(mono) < 20 * len(song)


@pytest.mark.parametrize("rate_hz", [4000, 44100])
def test_channels_are_as_loud_in_blocks_as_at_once(song, rate_hz):
    channels = np.stack([song, np.roll(song, 5) * 0.3], axis=1)
    meter = ChannelsMeter(rate_hz, 2)
    for block in np.split(channels, [1, 700, 20_000]):
        meter.add(block)
    both = [loudness_lufs(channel, rate_hz) for channel in channels.T]
    power = sum(10.0 ** (level / 10.0) for level in both) / 2.0
    assert meter.lufs() == pytest.approx(10.0 * np.log10(power), abs=1e-6)
    assert channels_lufs(channels, rate_hz) == pytest.approx(meter.lufs(), abs=1e-6)
