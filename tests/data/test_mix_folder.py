"""Finished recordings: one mix each, no bass apart, and for codecs of mixes alone."""

import numpy as np
import pytest
import soundfile

from bassdiff.data.latents import waveform_fields
from bassdiff.data.sources import open_source
from bassdiff.runtime.errors import InputError, UnusableSong

RATE_HZ = 44100


@pytest.fixture
def recordings(tmp_path, rng):
    """Twelve albums of two recordings, the second at another rate and in stereo."""
    for album in range(12):
        folder = tmp_path / "music" / f"album {album}"
        folder.mkdir(parents=True)
        noise = (0.1 * rng.standard_normal((RATE_HZ, 2))).astype(np.float32)
        soundfile.write(folder / "a.wav", noise[:, 0], RATE_HZ)
        soundfile.write(folder / "b.ogg", noise[: RATE_HZ // 2], RATE_HZ // 2)
    return f"mixes:{tmp_path / 'music'}"


def test_whole_albums_are_held_out(recordings):
    train, validation, everything = (
        open_source(recordings, split, with_bass=False).names
        for split in ("train", "validation", "all")
    )
    assert len(everything) == 24
    assert sorted(train + validation) == sorted(everything)
    assert validation
    assert not {name.split("-")[0] for name in train} & {name.split("-")[0] for name in validation}


def test_a_recording_is_one_mono_mix_at_our_rate(recordings, tmp_path):
    source = open_source(recordings, "all", with_bass=False)
    first, second = source[0], source[1]
    whole = soundfile.read(tmp_path / "music" / "album 0" / "a.wav", dtype="float32")[0]
    np.testing.assert_array_equal(first.mix(), whole)
    assert len(second.mix()) == RATE_HZ
    assert not first.bass.any()
    assert first.name == source.names[0] == "album 0-a.wav"


def test_no_more_is_read_than_was_asked_for(recordings):
    source = open_source(recordings, "all", with_bass=False, max_seconds=0.5)
    assert [len(source[index].mix()) for index in range(2)] == [RATE_HZ // 2] * 2


def test_other_keys_sound_as_long(recordings):
    source = open_source(recordings, "all", with_bass=False)
    assert len(source.transposed(0, 2).mix()) == RATE_HZ
    assert not np.allclose(source.transposed(0, 2).mix(), source[0].mix())


def test_a_mix_codec_learns_from_them(recordings, rng):
    source = open_source(f"{recordings}+{recordings}", "train", with_bass=False)
    audio = waveform_fields("mix", 2)(source, 0, rng)["audio"]
    assert audio.shape == (1, RATE_HZ)
    # -16 LUFS of white noise.
    assert 0.05 < np.std(audio / 32768) < 0.25


def test_whoever_needs_a_bass_is_told(recordings):
    with pytest.raises(InputError, match=r"music: finished recordings have no separate bass"):
        open_source(recordings)


def test_bad_folders_silence_and_torn_files_are_named(tmp_path):
    with pytest.raises(InputError, match="there are no recordings in this split"):
        open_source(f"mixes:{tmp_path}", with_bass=False)
    soundfile.write(tmp_path / "still.wav", np.zeros(9000), RATE_HZ)
    with pytest.raises(UnusableSong, match=r"still\.wav: the recording is silent"):
        open_source(f"mixes:{tmp_path}", "all", with_bass=False)[0]
    (tmp_path / "torn.wav").write_bytes(b"RIFF")
    with pytest.raises(UnusableSong, match=r"^torn\.wav: "):
        open_source(f"mixes:{tmp_path}", "all", with_bass=False)[1]
