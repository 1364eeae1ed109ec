"""Odd but good files: how each is made, and how much sound is in it.

`python -m tests.audio.odd_files` writes the table of the docs anew; a test holds it to this list.
"""

import io
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr

RATE_HZ = 44100
NUM_SAMPLES = 3 * RATE_HZ + 17
PAGE = Path(__file__).parents[2] / "bassdiff" / "docs" / "files.md"


def song(num_samples: int = NUM_SAMPLES, seed: int = 0) -> np.ndarray:
    """`[N]`: noise below 3 kHz whose place is plain to see."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(num_samples))
    spectrum[int(3000 / RATE_HZ * num_samples) :] = 0
    samples = np.fft.irfft(spectrum, num_samples)
    return (0.2 * samples / samples.std()).astype(np.float32).clip(-0.9, 0.9)


def stereo(samples: np.ndarray) -> np.ndarray:
    return np.stack([samples, 0.9 * samples], axis=1)


def libsndfile(
    container: str,
    subtype: str | None = None,
    samples: np.ndarray | None = None,
    rate_hz: int = RATE_HZ,
) -> bytes:
    file = io.BytesIO()
    samples = song() if samples is None else samples
    if rate_hz != RATE_HZ:
        samples = soxr.resample(samples, RATE_HZ, rate_hz)
    samples = stereo(samples)
    soundfile.write(file, samples, rate_hz, subtype, format=container)
    return file.getvalue()


def _encode(
    container, codec: str, samples: np.ndarray, rate_hz: int = RATE_HZ, start_seconds: float = 0.0
):
    stream = container.add_stream(codec, rate=rate_hz)
    stream.layout = "stereo"
    formats = stream.codec_context.codec.audio_formats
    if codec in ("aac", "mp2", "ac3", "wmav2"):
        stream.bit_rate = 192_000
    wanted = formats[0].name if formats else "fltp"
    converter = av.AudioResampler(wanted, "stereo", rate_hz)
    if rate_hz != RATE_HZ:
        samples = soxr.resample(samples, RATE_HZ, rate_hz)
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(stereo(samples).T), format="fltp", layout="stereo"
    )
    frame.sample_rate = rate_hz
    frame.pts = round(start_seconds * rate_hz)
    parts = converter.resample(frame)

    def packets():
        yield from (packet for part in parts for packet in stream.encode(part))
        yield from stream.encode(None)

    return stream, packets


def libav(
    container: str, codec: str, samples: np.ndarray | None = None, rate_hz: int = RATE_HZ, **options
) -> bytes:
    file = io.BytesIO()
    samples = song() if samples is None else samples
    with av.open(file, "w", format=container, options=options) as out:
        _, packets = _encode(out, codec, samples, rate_hz)
        for packet in packets():
            out.mux(packet)
    return file.getvalue()


def video(
    container: str, codec: str, seconds: float, late_seconds: float = 0.0, rate_hz: int = RATE_HZ
) -> bytes:
    """A black picture of so many seconds, and the song, which begins later or not."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        pictures = out.add_stream("mpeg4" if container != "webm" else "libvpx", rate=10)
        pictures.width = pictures.height = 64
        pictures.pix_fmt = "yuv420p"
        _, packets = _encode(out, codec, song(), rate_hz, late_seconds)
        for number in range(round(10 * seconds)):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            picture.pts = number
            out.mux(pictures.encode(picture))
        out.mux(pictures.encode(None))
        for packet in packets():
            out.mux(packet)
    return file.getvalue()


def two_streams(container: str) -> bytes:
    """Something else in the first stream; the song in the second, which is the default one."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        first, other = _encode(out, "aac", song(seed=1))
        second, wanted = _encode(out, "aac", song())
        first.disposition = 0
        second.disposition = av.stream.Disposition.default
        for packets in (other, wanted):
            for packet in packets():
                out.mux(packet)
    return file.getvalue()


def wav(
    data: bytes,
    riff: int | None = None,
    num_bytes: int | None = None,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """A 16-bit stereo wav file with the sizes and chunks that are asked for."""
    fmt = struct.pack("<HHIIHH", 1, 2, RATE_HZ, RATE_HZ * 4, 4, 16)
    num_bytes = len(data) if num_bytes is None else num_bytes
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + before
    body += b"data" + struct.pack("<I", num_bytes) + data + after
    return b"RIFF" + struct.pack("<I", len(body) if riff is None else riff) + body


def pcm() -> bytes:
    return libsndfile("WAV", "PCM_16")[44:]


def id3(num_bytes: int = 20, said: int | None = None) -> bytes:
    said = num_bytes if said is None else said
    return b"ID3\3\0\0\0\0" + bytes([said >> 7 & 127, said & 127]) + bytes(num_bytes)


def counted(change: Callable[[int], int]) -> bytes:
    """An MP3 whose first frame counts wrongly."""
    data = bytearray(libsndfile("MP3"))
    at = max(data.find(b"Xing", 0, 200), data.find(b"Info", 0, 200))
    (count,) = struct.unpack_from(">I", data, at + 8)
    struct.pack_into(">I", data, at + 8, change(count))
    return bytes(data)


def loud_then_soft() -> bytes:
    """A variable bit rate whose length cannot be told from its beginning."""
    soft = 0.001 * song(4 * NUM_SAMPLES, seed=2)
    return libav("mp3", "libmp3lame", np.concatenate([song(), soft]), write_xing="0", q="4")


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
      words: What it is.
      build: Makes its bytes.
      num_samples: Right length at 44.1 kHz.
      within: How far from it the length may be, in samples: what the file does not tell.
      lag: Where the song begins, in samples.
    """

    words: str
    build: Callable[[], bytes]
    num_samples: int = NUM_SAMPLES
    within: int = 0
    lag: int = 0


# What the file does not tell: how much of its last frame is sound.
_MP3, _AAC, _AC3, _WMA, _MS = 1152, 1024, 1536, 2048, RATE_HZ // 1000
_LATE = RATE_HZ // 2

KINDS = {
    "pcm16.wav": Kind("wav, 16 bit", lambda: libsndfile("WAV", "PCM_16")),
    "float.wav": Kind("wav, floats", lambda: libsndfile("WAV", "FLOAT")),
    "mulaw.wav": Kind("wav, µ-law", lambda: libsndfile("WAV", "ULAW")),
    "big.rf64": Kind("RF64", lambda: libsndfile("RF64", "PCM_24")),
    "big.w64": Kind("Wave64", lambda: libsndfile("W64", "PCM_24")),
    "a.aiff": Kind("AIFF", lambda: libsndfile("AIFF", "PCM_24")),
    "a.caf": Kind("CAF", lambda: libsndfile("CAF", "PCM_24")),
    "a.au": Kind("AU", lambda: libsndfile("AU", "PCM_16")),
    "a.flac": Kind("FLAC", lambda: libsndfile("FLAC", "PCM_24")),
    "size_0.wav": Kind("wav from a stream: sizes 0", lambda: wav(pcm(), 0, 0)),
    "size_36.wav": Kind("wav from a stream: an empty header", lambda: wav(pcm(), 36, 0)),
    "size_f.wav": Kind(
        "wav from a stream: largest sizes", lambda: wav(pcm(), 2**32 - 1, 2**32 - 1)
    ),
    "unpadded.wav": Kind(
        "wav with an odd chunk that is not padded",
        lambda: wav(pcm(), before=b"LIST" + struct.pack("<I", 5) + b"INFOx"),
    ),
    "chunk_after.wav": Kind(
        "wav with a broken chunk behind the sound",
        lambda: wav(pcm(), after=b"LIST" + struct.pack("<I", 0x7FFFFFFF) + b"INFO"),
    ),
    "junk_after.wav": Kind("wav with junk behind the sound", lambda: wav(pcm()) + b"junk" * 99),
    "id3_before.wav": Kind("wav behind an ID3 tag", lambda: id3() + wav(pcm())),
    "mp3.wav": Kind("MP3 in wav", lambda: libav("wav", "libmp3lame")),
    "gapless.mp3": Kind("MP3 that says what it padded", lambda: libsndfile("MP3")),
    "gapless_48.mp3": Kind("MP3 at 48 kHz", lambda: libsndfile("MP3", rate_hz=48000), within=1),
    "no_count.mp3": Kind(
        "MP3 without a frame count", lambda: libav("mp3", "libmp3lame", write_xing="0"), within=_MP3
    ),
    "loud_then_soft.mp3": Kind(
        "MP3 without a frame count, of variable bit rate",
        loud_then_soft,
        5 * NUM_SAMPLES,
        within=_MP3,
    ),
    "count_0.mp3": Kind("MP3, count of 0", lambda: counted(lambda count: 0)),
    "count_half.mp3": Kind("MP3, half the count", lambda: counted(lambda count: count // 2)),
    "count_double.mp3": Kind("MP3, double the count", lambda: counted(lambda count: 2 * count)),
    "count_less.mp3": Kind("MP3, count less 1", lambda: counted(lambda count: count - 1)),
    "count_more.mp3": Kind("MP3, count and 1", lambda: counted(lambda count: count + 1)),
    "two_in_one.mp3": Kind(
        "two MP3 in one file",
        lambda: libsndfile("MP3") + libsndfile("MP3", samples=song(seed=1)),
        2 * NUM_SAMPLES,
    ),
    "two_rates.mp3": Kind(
        "two MP3 of different rates in one file",
        lambda: libsndfile("MP3") + libav("mp3", "libmp3lame", song(seed=1), 48000),
        2 * NUM_SAMPLES,
        within=64,
    ),
    "tags_between.mp3": Kind(
        "two MP3 with their tags in one file",
        lambda: 2 * (id3(900) + libsndfile("MP3") + b"TAG" + bytes(125)),
        2 * NUM_SAMPLES,
    ),
    "id3_twice.mp3": Kind("MP3 behind two ID3 tags", lambda: 2 * id3() + libsndfile("MP3")),
    "id3_wrong.mp3": Kind(
        "MP3 behind an ID3 tag of wrong size", lambda: id3(900, 20) + libsndfile("MP3")
    ),
    "zeros_before.mp3": Kind("MP3 behind zeros", lambda: bytes(700) + libsndfile("MP3")),
    "a.mp2": Kind("MP2", lambda: libav("mp2", "mp2"), within=_MP3),
    "vorbis.ogg": Kind("Ogg Vorbis", lambda: libsndfile("OGG", "VORBIS")),
    "opus.ogg": Kind(
        "Ogg Opus",
        lambda: libav("ogg", "libopus", rate_hz=48000),
        within=1,
    ),
    "flac.ogg": Kind("Ogg FLAC", lambda: libav("ogg", "flac")),
    "chained.ogg": Kind(
        "two Ogg Vorbis in one file",
        lambda: libsndfile("OGG", "VORBIS") + libsndfile("OGG", "VORBIS", song(seed=1)),
        2 * NUM_SAMPLES,
    ),
    "streamed.flac": Kind("FLAC from a stream, of unknown length", lambda: libav("flac", "flac")),
    "aac.m4a": Kind("AAC in MP4", lambda: libav("ipod", "aac"), within=_MS),
    "pieces.mp4": Kind(
        "AAC in MP4 of many pieces",
        lambda: libav("mp4", "aac", movflags="frag_keyframe+empty_moov"),
        within=_AAC,
    ),
    "alac.m4a": Kind("ALAC", lambda: libav("ipod", "alac")),
    "aac.aac": Kind("AAC alone", lambda: libav("adts", "aac"), within=_AAC),
    "aac.ts": Kind("AAC in MPEG-TS", lambda: libav("mpegts", "aac"), within=_AAC),
    "aac.flv": Kind("AAC in FLV", lambda: libav("flv", "aac"), within=_AAC),
    "a.ac3": Kind("AC-3", lambda: libav("ac3", "ac3"), within=_AC3),
    "a.tta": Kind("True Audio", lambda: libav("tta", "tta")),
    "a.wv": Kind("WavPack", lambda: libav("wv", "wavpack")),
    "a.avi": Kind("PCM in AVI", lambda: libav("avi", "pcm_s16le")),
    "a.wma": Kind("Windows Media", lambda: libav("asf", "wmav2"), within=_WMA),
    "opus.webm": Kind("Opus in WebM", lambda: libav("webm", "libopus", rate_hz=48000), within=1),
    "flac.mka": Kind("FLAC in Matroska", lambda: libav("matroska", "flac")),
    "aac.mka": Kind("AAC in Matroska", lambda: libav("matroska", "aac"), within=_AAC),
    "m4a.mp3": Kind("MP4 named .mp3", lambda: libav("ipod", "aac"), within=_MS),
    "wav.flac": Kind("wav named .flac", lambda: libsndfile("WAV", "PCM_16")),
    "mp3": Kind("MP3 without a suffix", lambda: libsndfile("MP3")),
    "longer_picture.mp4": Kind(
        "a picture that is longer than the sound", lambda: video("mp4", "aac", 6.0), within=_MS
    ),
    "longer_picture.webm": Kind(
        "the same in WebM", lambda: video("webm", "libopus", 6.0, rate_hz=48000), within=1
    ),
    "late.mp4": Kind(
        "sound that begins half a second after the picture",
        lambda: video("mp4", "aac", 3.0, 0.5),
        NUM_SAMPLES + _LATE,
        within=_MS,
        lag=_LATE,
    ),
    "late.mkv": Kind(
        "the same in Matroska",
        lambda: video("matroska", "flac", 3.0, 0.5),
        NUM_SAMPLES + _LATE,
        lag=_LATE,
    ),
    "two.mp4": Kind("two sounds: the default one", lambda: two_streams("mp4"), within=_MS),
    "two.mka": Kind("the same in Matroska", lambda: two_streams("matroska"), within=_AAC),
}


def table() -> str:
    """The kinds as a table of the docs."""
    rows = ["| file | what it is | length | to within |", "|---|---|---|---|"]
    for name, kind in KINDS.items():
        length = f"{kind.num_samples / RATE_HZ:.3f} s"
        beyond = f"{1000 * kind.within / RATE_HZ:.1f} ms" if kind.within else "exact"
        rows.append(f"| `{name}` | {kind.words} | {length} | {beyond} |")
    return "\n".join(rows)


def page(text: str) -> str:
    """The docs page with the table in its place."""
    head, rest = text.split("<!-- kinds -->\n")[:2]
    _, tail = rest.split("\n<!-- end of kinds -->")
    return f"{head}<!-- kinds -->\n{table()}\n<!-- end of kinds -->{tail}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.exit(0)
