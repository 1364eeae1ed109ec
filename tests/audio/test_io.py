import errno
import os
import resource
import stat
import struct
import time

import av
import numpy as np
import pytest
import soundfile

from bassdiff.audio import io, resampling
from bassdiff.runtime.errors import InputError


def _noise(num_samples=22050, channels=1):
    rng = np.random.default_rng(0)
    return 0.1 * rng.standard_normal((num_samples, channels)).astype(np.float32)


def _sine(num_samples=44100, rate_hz=44100, f_hz=997.0):
    return np.sin(2 * np.pi * f_hz * np.arange(num_samples) / rate_hz).astype(np.float32)


def _fault(path, action=io.read_mono, *args):
    with pytest.raises(InputError) as caught:
        action(path, *args)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and message.endswith(".") and "\n" not in message
    return message


@pytest.mark.parametrize("size_field", [0xFFFFFFFF, 0x7FFFF000])
def test_streamed_wav_of_unknown_size_is_read(tmp_path, size_field):
    path = tmp_path / "piped.wav"
    soundfile.write(path, _noise(), 22050)
    data = bytearray(path.read_bytes())
    data[40:44] = struct.pack("<I", size_field)
    path.write_bytes(data)
    assert len(io.read_mono(path, 22050)) == 22050


@pytest.mark.parametrize("container", ["WAV", "RF64", "W64", "AIFF", "CAF", "AU", "FLAC"])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_lossless_formats_read_as_the_mean_of_their_channels(tmp_path, container, channels):
    samples = _noise(5000, channels)
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, 22050, "PCM_24", format=container)
    read = io.read_mono(path, 22050)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, samples.mean(axis=1), atol=2**-22)
    assert io.probe(path) == io.AudioInfo(path, 22050, channels, 5000)


@pytest.mark.parametrize(("container", "subtype"), [("OGG", "VORBIS"), ("MP3", None)])
def test_lossy_formats_keep_length_and_place(tmp_path, container, subtype):
    samples = _sine(44100, f_hz=440) * np.linspace(0, 0.5, 44100, dtype=np.float32)
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, 44100, subtype, format=container)
    read = io.read_mono(path)
    assert len(read) == len(samples)
    np.testing.assert_allclose(read, samples, atol=0.02)


@pytest.mark.parametrize("num_samples", [1, 2, 100])
def test_tiny_files_are_read(tmp_path, num_samples):
    path = tmp_path / "tiny.wav"
    io.write(path, np.full(num_samples, 0.5, np.float32), 44100)
    np.testing.assert_allclose(io.read_mono(path), 0.5, atol=1e-6)
    assert len(io.read_mono(path, 22050)) == (num_samples + 1) // 2


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 48000, 96000])
def test_reading_resamples_as_a_whole_would(tmp_path, rate_hz):
    # Longer than a block, so that the seams between blocks are seen.
    samples = 0.5 * _sine(150_001, rate_hz, f_hz=440)
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, rate_hz, "FLOAT")
    read = io.read_mono(path, 32000)
    assert len(read) == round(150_001 * 32000 / rate_hz)
    np.testing.assert_allclose(read, resampling.resample(samples, rate_hz, 32000), atol=1e-5)
    # Away from the ends, where a resampler rings.
    np.testing.assert_allclose(
        read[200:-200], 0.5 * _sine(len(read), 32000, 440)[200:-200], atol=2e-3
    )


@pytest.mark.parametrize("block_samples", [1, 1000, 1 << 20])
def test_blocks_are_read_mono_in_pieces(tmp_path, block_samples):
    path = tmp_path / "a.wav"
    soundfile.write(path, _noise(3000), 22050)
    pieces = list(io.blocks(path, 44100, block_samples))
    assert {len(piece) for piece in pieces[:-1]} <= {block_samples}
    np.testing.assert_array_equal(np.concatenate(pieces), io.read_mono(path, 44100))


def test_streaming_two_hours_takes_constant_memory(tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros((1, 2)), 8000)
    num_bytes = 2 * 2 * 7200 * 8000
    with path.open("r+b") as file:
        file.seek(40)
        file.write(struct.pack("<I", num_bytes))
        file.truncate(44 + num_bytes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    total = sum(len(block) for block in io.blocks(path, 8000))
    assert total == 7200 * 8000
    # The decoded file is 230 MB; maxrss counts kilobytes.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize(
    ("suffix", "tolerance"), [(".wav", 2e-7), (".flac", 2e-7), (".ogg", 0.03), (".mp3", 0.03)]
)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_written_is_read_back(tmp_path, suffix, tolerance, channels):
    samples = np.repeat(0.3 * _sine(30_000, f_hz=200)[:, None], channels, axis=1)
    path = tmp_path / f"a{suffix}"
    io.write(path, samples if channels > 1 else samples[:, 0], 44100)
    assert io.probe(path).channels == channels
    read = io.read_mono(path)
    assert len(read) == 30_000
    np.testing.assert_allclose(read[1000:-1000], samples[1000:-1000, 0], atol=tolerance)
    assert os.listdir(tmp_path) == [path.name]


def test_wav_and_flac_have_24_bits(tmp_path):
    for suffix in (".wav", ".flac"):
        io.write(tmp_path / f"a{suffix}", _sine(100), 44100)
        assert soundfile.info(str(tmp_path / f"a{suffix}")).subtype == "PCM_24"


def test_peaks_above_full_scale_are_not_clipped(tmp_path):
    """A wav file holds them, as floats; in another, the whole is attenuated."""
    samples = 3 * _sine(2000)
    assert io.write(tmp_path / "a.wav", samples, 44100) == 0.0
    assert soundfile.info(str(tmp_path / "a.wav")).subtype == "FLOAT"
    np.testing.assert_array_equal(io.read_mono(tmp_path / "a.wav"), samples)
    peak = np.abs(samples).max()
    gain_db = io.write(tmp_path / "a.flac", samples, 44100)
    assert gain_db == pytest.approx(-20 * np.log10(peak))
    np.testing.assert_allclose(io.read_mono(tmp_path / "a.flac"), samples / peak, atol=1e-6)


def test_writing_replaces_a_file_in_one_step_and_follows_links(tmp_path):
    path, link = tmp_path / "a.wav", tmp_path / "link.wav"
    io.write(path, _sine(100), 44100)
    link.symlink_to(path)
    io.write(link, _sine(200), 44100)
    assert link.is_symlink() and io.probe(path).num_samples == 200
    umask = os.umask(0o022)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize(
    ("name", "samples", "rate_hz", "words"),
    [
        ("a.m4a", _sine(9), 44100, "cannot write the format '.m4a'; name the file .wav, .flac"),
        ("a", _sine(9), 44100, "cannot write the format 'without a suffix'"),
        ("a.wav", np.array([0.0, np.nan]), 44100, "has samples that are NaN or infinite"),
        ("a.wav", np.zeros(0), 44100, "samples of shape (0,) are not audio"),
        ("a.wav", np.zeros((1, 2, 3)), 44100, "samples of shape (1, 2, 3) are not audio"),
        ("a.mp3", np.zeros((99, 6)), 44100, "MP3 does not take 6 channels at 44100 Hz"),
        ("no/a.wav", _sine(9), 44100, "cannot be written (no such file or directory); create"),
        ("x" * 300 + ".wav", _sine(9), 44100, "(file name too long); choose a shorter name"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(tmp_path, name, samples, rate_hz, words):
    assert words in _fault(tmp_path / name, io.write, samples, rate_hz)
    assert not os.listdir(tmp_path)


def test_writing_to_a_folder_or_device_is_refused(tmp_path):
    (tmp_path / "a.wav").mkdir()
    assert "is a folder" in _fault(tmp_path / "a.wav", io.write, _sine(9), 44100)
    (tmp_path / "null.wav").symlink_to("/dev/null")
    with pytest.raises(InputError, match="/dev/null: is a device"):
        io.write(tmp_path / "null.wav", _sine(9), 44100)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_full_disk_leaves_the_old_file_and_no_other(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"the old file")
    # A limit on the size of files fails like a full disk, in the middle of the writing.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        message = _fault(path, io.write, _noise(100_000), 44100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "cannot be written (file too large); free some space" in message
    assert path.read_bytes() == b"the old file" and os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "no space left on device); free some space or choose another folder"),
        (errno.EACCES, "permission denied); choose a folder you may write to"),
        (errno.EROFS, "read-only file system); choose a folder you may write to"),
    ],
)
def test_a_failing_disk_is_named(tmp_path, monkeypatch, code, words):
    def fail(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    assert words in _fault(tmp_path / "a.wav", io.write, _sine(9), 44100)
    assert not os.listdir(tmp_path)


def test_tags_of_a_file_whose_name_is_no_text_are_written(tmp_path):
    io.write(tmp_path / "a.wav", _sine(99), 44100, tags={"title": os.fsdecode(b"caf\xe9 (bass)")})
    with soundfile.SoundFile(tmp_path / "a.wav") as file:
        assert file.title == "caf\\udce9 (bass)"


def test_interrupted_writing_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), io.atomic_file(tmp_path / "a.bin") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3"])
@pytest.mark.parametrize("peak", [0.5, 1.5])
def test_the_same_samples_give_the_same_file_at_any_time(tmp_path, suffix, peak):
    samples = peak * np.sin(np.arange(4410) / 20)
    path = tmp_path / f"sine{suffix}"
    io.write(path, samples, 44100)
    first = path.read_bytes()
    time.sleep(1.01)
    io.write(path, samples, 44100)
    assert path.read_bytes() == first


def test_read_keeps_channels_and_rate(tmp_path):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (4800, 3)).astype(np.float32)
    io.write(tmp_path / "three.wav", samples, 48000)
    np.testing.assert_allclose(io.read(tmp_path / "three.wav"), samples, atol=2.0**-23)


def test_a_flac_stream_of_unknown_length_is_read(tmp_path):
    path = tmp_path / "piped.flac"
    tone = 0.3 * np.sin(np.arange(30000) / 20)
    soundfile.write(path, tone, 44100, "PCM_16")
    content = bytearray(path.read_bytes())
    # The 36 bits of STREAMINFO that count the samples; an encoder that pipes leaves them 0.
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert io.probe(path).num_samples == 0
    np.testing.assert_allclose(io.read_mono(path), tone, atol=1e-4)


def test_a_length_that_is_only_estimated_is_not_told(tmp_path):
    path = tmp_path / "guess.aac"
    with av.open(str(path), "w", format="adts") as container:
        stream = container.add_stream("aac", rate=44100)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 44100
        for _ in range(100):
            container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    assert io.probe(path).num_samples == 0
    assert abs(len(io.read_mono(path)) - 102400) < 4096


def test_reading_stops_after_as_many_samples_as_are_wanted(tmp_path):
    path = tmp_path / "long.wav"
    io.write(path, np.zeros(400_000), 44100)
    assert 100_000 < len(io.read(path, max_samples=100_000)) < 400_000
    assert len(io.read(path, max_samples=400_000)) == 400_000
