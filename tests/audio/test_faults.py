"""Files that are no audio, or not whole: each is refused with its own words."""

import errno
import io
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from bassdiff.audio.io import probe, read_mono
from bassdiff.runtime.errors import InputError

RATE_HZ = 22050
NOT_AUDIO = "is not audio, or in a format that is not known here; export it as wav or flac"
EMPTY = "the file is empty (0 bytes); export it again"
NO_SAMPLES = "has a header but no samples; export it again"
CUT = "so it is truncated; export it again"
DAMAGED = "is truncated or damaged ({} container); export it again as wav"
NOT_FINITE = "is NaN or infinite; repair it in an audio editor and export it again"


def tone(num_samples: int = RATE_HZ, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(0)
    return 0.1 * rng.standard_normal((num_samples, channels)).astype(np.float32)


def encode(container: str, subtype: str | None = None, samples=None, rate_hz=RATE_HZ) -> bytes:
    file = io.BytesIO()
    data = tone() if samples is None else samples
    soundfile.write(file, data, rate_hz, format=container, subtype=subtype)
    return file.getvalue()


def encode_ffmpeg(path, codec: str, rate_hz: int = 48000, **options: str) -> bytes:
    samples = np.repeat(tone(2 * rate_hz).T, 2, axis=0)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate_hz)
        stream.layout = "stereo"
        wanted = stream.codec_context.format.name if stream.codec_context.format else "fltp"
        resampler = av.AudioResampler(format=wanted, layout="stereo", rate=rate_hz)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.sample_rate = rate_hz
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            for packet in stream.encode(part):
                container.mux(packet)
    return path.read_bytes()


def encode_video(path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        for part in (frame, None):
            container.mux(stream.encode(part))


def cut(data: bytes, share: float = 0.6) -> bytes:
    return data[: int(len(data) * share)]


def wav_header(rate_hz: int, num_bytes: int = 8, tag: int = 1, channels: int = 1) -> bytes:
    block = 2 * channels
    fmt = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * block & 0xFFFFFFFF, block, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", num_bytes)
    return b"RIFF" + struct.pack("<I", len(body) + num_bytes) + body


def with_value(value: float, channels: int = 1) -> np.ndarray:
    samples = tone(1000, channels)
    samples[700, -1] = value
    return samples


def ogg_without_end() -> bytes:
    data = encode("OGG", "VORBIS")
    return data[: data.rfind(b"OggS")]


def flac_that_promises_more() -> bytes:
    data = bytearray(encode("FLAC", samples=tone(4 * RATE_HZ)))
    # STREAMINFO's 36-bit number of samples ends at byte 26 of the file.
    data[22:26] = struct.pack(">I", 5 * RATE_HZ)
    return bytes(data)


def mp3_without_its_tail() -> bytes:
    return cut(encode("MP3", samples=tone(3 * RATE_HZ)))


def text() -> bytes:
    return b"This is a text and no sound at all.\n" * 100


def png() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + np.random.default_rng(1).bytes(2000)


def static(data: bytes) -> Callable[[], bytes]:
    return lambda: data


CASES: dict[str, tuple[Callable[[], bytes], str]] = {
    # Nothing inside.
    "empty.wav": (static(b""), EMPTY),
    "empty.mp3": (static(b""), EMPTY),
    "empty.m4a": (static(b""), EMPTY),
    "one_byte.wav": (static(b"R"), NOT_AUDIO),
    "four_bytes.wav": (static(b"RIFF"), DAMAGED.format("wav")),
    "no_samples.wav": (lambda: encode("WAV", samples=tone(0)), NO_SAMPLES),
    "no_samples.au": (lambda: encode("AU", samples=tone(0)), NO_SAMPLES),
    "no_samples.aiff": (lambda: encode("AIFF", samples=tone(0)), NO_SAMPLES),
    "no_data_chunk.wav": (lambda: wav_header(44100)[:36], "it ends before its data chunk, " + CUT),
    # Cut short.
    "cut.wav": (
        lambda: encode("WAV")[:30044],
        "the data chunk says 44100 bytes but 30000 follow, " + CUT,
    ),
    "cut_24.wav": (
        lambda: encode("WAV", "PCM_24")[:30044],
        "the data chunk says 66150 bytes but 30000 follow, " + CUT,
    ),
    "cut_float.wav": (lambda: cut(encode("WAV", "FLOAT")), "the data chunk says 88200 bytes"),
    "cut_head.wav": (lambda: encode("WAV")[:20], "it ends before its data chunk, " + CUT),
    "cut_one_frame.wav": (lambda: encode("WAV")[:-2], "says 44100 bytes but 44098 follow, " + CUT),
    "cut.rf64": (lambda: cut(encode("RF64")), "the data chunk says 44100 bytes"),
    "cut.w64": (lambda: cut(encode("W64")), "the data chunk says 44100 bytes"),
    "cut_head.w64": (lambda: encode("W64")[:60], "it ends before its data chunk, " + CUT),
    "cut.aiff": (lambda: cut(encode("AIFF")), "the data chunk says 44108 bytes"),
    "cut.caf": (lambda: cut(encode("CAF")), "the data chunk says 44104 bytes"),
    "cut.au": (lambda: cut(encode("AU")), "the data chunk says 44100 bytes"),
    "cut_head.au": (lambda: encode("AU")[:10], "its header ends early, " + CUT),
    "cut.flac": (lambda: cut(encode("FLAC")), "cannot be decoded beyond sample"),
    "cut_head.flac": (lambda: encode("FLAC")[:20], "is truncated or damaged (flac container)"),
    "promises_more.flac": (
        flac_that_promises_more,
        "cannot be decoded beyond sample 65536, so it is truncated or damaged; export it again",
    ),
    "cut.ogg": (lambda: cut(encode("OGG", "VORBIS")), "its last Ogg page is cut, " + CUT),
    "no_end.ogg": (ogg_without_end, "its last Ogg page is not marked as the end of the stream"),
    "cut_head.ogg": (lambda: encode("OGG", "VORBIS")[:20], "its last Ogg page is cut, " + CUT),
    "cut.opus": (
        lambda: cut(encode("OGG", "OPUS", rate_hz=48000)),
        "its last Ogg page is cut, " + CUT,
    ),
    "cut.mp3": (mp3_without_its_tail, CUT),
    # Something else under an audio file's name.
    "text.wav": (text, NOT_AUDIO),
    "text.mp3": (text, NOT_AUDIO),
    "text.flac": (text, NOT_AUDIO),
    "text.ogg": (text, NOT_AUDIO),
    "text.m4a": (text, NOT_AUDIO),
    "text.au": (text, NOT_AUDIO),
    "text.raw": (text, NOT_AUDIO),
    "text.vox": (text, NOT_AUDIO),
    "text_without_suffix": (text, NOT_AUDIO),
    "picture.wav": (png, NOT_AUDIO),
    "picture.png": (png, NOT_AUDIO),
    "zeros.wav": (static(bytes(4000)), NOT_AUDIO),
    "playlist.m4a": (static(b"#EXTM3U\n#EXTINF:9,\nhttp://localhost/a.ts\n"), NOT_AUDIO),
    "ftyp_only.m4a": (
        static(b"\0\0\0\x20ftypM4A " + bytes(20)),
        DAMAGED.format("mov"),
    ),
    # Samples that no audio has.
    "nan.wav": (
        lambda: encode("WAV", "FLOAT", with_value(np.nan)),
        "sample 700 " + NOT_FINITE,
    ),
    "inf.wav": (lambda: encode("WAV", "FLOAT", with_value(np.inf)), "sample 700 " + NOT_FINITE),
    "inf.aiff": (lambda: encode("AIFF", "FLOAT", with_value(-np.inf)), "sample 700 " + NOT_FINITE),
    "nan_in_one_channel.wav": (
        lambda: encode("WAV", "DOUBLE", with_value(np.nan, 2)),
        "sample 700 " + NOT_FINITE,
    ),
    "huge.wav": (lambda: encode("WAV", "FLOAT", with_value(3e30)), "sample 700 is 3e+30; repair"),
    # Rates that no recording has.
    "rate_1.wav": (lambda: wav_header(1) + bytes(8), "a sample rate of 1 Hz is outside 2000"),
    "rate_4e9.wav": (lambda: wav_header(4_000_000_000) + bytes(8), DAMAGED.format("wav")),
    "rate_2e6.wav": (
        lambda: wav_header(2_000_000) + bytes(8),
        "a sample rate of 2000000 Hz is outside 2000 to 768000 Hz; export it again at 44100 Hz",
    ),
    "rate_0.wav": (lambda: wav_header(0) + bytes(8), DAMAGED.format("wav")),
    "no_channels.wav": (lambda: wav_header(44100, channels=0) + bytes(8), DAMAGED.format("wav")),
    "unknown_codec.wav": (
        lambda: wav_header(44100, tag=0x4242) + bytes(8),
        "its codec is not known",
    ),
}


def _fault(path):
    with pytest.raises(InputError) as caught:
        read_mono(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and message.endswith(".") and "\n" not in message
    return message


@pytest.mark.parametrize("name", CASES)
def test_bad_file_is_refused_with_its_fault(tmp_path, name):
    build, words = CASES[name]
    path = tmp_path / name
    path.write_bytes(build())
    assert words in _fault(path)


@pytest.mark.parametrize(
    ("name", "codec", "options", "words"),
    [
        ("late_index.m4a", "aac", {}, rf"the mdat atom says 32\d\d\d bytes but \d+ follow, {CUT}"),
        (
            "early_index.m4a",
            "aac",
            {"movflags": "faststart"},
            r"the mdat atom says 32\d\d\d bytes but",
        ),
        ("stream.aac", "aac", {}, "cannot be decoded beyond sample"),
        ("stream.webm", "libopus", {}, "so it is truncated; export it again"),
    ],
)
def test_cut_ffmpeg_file_is_refused_and_the_whole_one_read(tmp_path, name, codec, options, words):
    path = tmp_path / name
    data = encode_ffmpeg(path, codec, **options)
    assert probe(path).channels == 2
    assert abs(len(read_mono(path, 48000)) - 96000) < 0.05 * 48000
    path.write_bytes(cut(data))
    assert re.search(words, _fault(path))


def test_video_without_sound_is_refused(tmp_path):
    path = tmp_path / "silent.mp4"
    encode_video(path)
    assert "has no audio track; name an audio file" in _fault(path)


def test_paths_that_are_no_files_are_refused(tmp_path):
    assert "there is no such file; check the path" in _fault(tmp_path / "nowhere.wav")
    assert "is a folder; name an audio file inside it" in _fault(tmp_path)
    assert "is not a regular file" in _fault(Path("/dev/null"))


def test_unreadable_file_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "private.wav"
    path.write_bytes(encode("WAV"))

    def refuse(self, *args):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    # Permission bits do not stop the superuser, whom containers run tests as.
    monkeypatch.setattr(Path, "open", refuse)
    assert "cannot be read (permission denied); check its permissions" in _fault(path)
