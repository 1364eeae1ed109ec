"""What an audio container promises in its header, held against what the file holds.

Decoders load a truncated file silently short, so its header is read here first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

# Programs that write to a pipe cannot know the size and put one near a limit of the field.
_UNKNOWN_32 = 0x7FFF0000
_UNKNOWN_64 = 0x7FFFFFFF_00000000
_PAD_BYTES = 1
# Longest legal Ogg page, so the last page starts within the last so many bytes.
_OGG_PAGE_BYTES = 27 + 255 + 255 * 255
_W64_GUID_TAIL = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"

# Containers that only ffmpeg reads: (offset, magic bytes, ffmpeg's name of the demuxer).
_FFMPEG_MAGIC = (
    (4, b"ftyp", "mov"),
    (4, b"moov", "mov"),
    (4, b"mdat", "mov"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b"\xff\xf1", "aac"),
    (0, b"\xff\xf9", "aac"),
    (0, b"wvpk", "wv"),
    (0, b"MAC ", "ape"),
    (0, b"FLV\x01", "flv"),
    (0, b"RIFF", "wav"),
    (0, b"fLaC", "flac"),
)


def ffmpeg_format(path: Path) -> str | None:
    """The ffmpeg demuxer for a file, by its first bytes; None if it is none we trust.

    Naming the demuxer keeps ffmpeg from guessing: it would open playlists, which fetch
    other files, and text, which it takes for terminal art.
    """
    with path.open("rb") as file:
        head = file.read(16)
    for offset, magic, name in _FFMPEG_MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return name
    return None


def truncation(path: Path) -> str | None:
    """Says how a file is shorter than its header promises.

    Args:
      path: an existing, readable file of any content.

    Returns:
      A clause such as "the data chunk says 705600 bytes but 352778 follow", or None
      where nothing is missing or the container makes no promise.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        magic = file.read(4)
        file.seek(0)
        try:
            if magic in (b"RIFF", b"RIFX", b"RF64"):
                return _riff(file, size)
            if magic == b"riff":
                return _wave64(file, size)
            if magic == b"FORM":
                return _chunk_past_end(_chunks(file, 12, ">4sI", 2), b"SSND", size)
            if magic == b"caff":
                return _chunk_past_end(_chunks(file, 8, ">4sQ", 1), b"data", size, _UNKNOWN_64)
            if magic == b".snd":
                return _au(file, size)
            if magic == b"OggS":
                return _ogg(file, size)
        except struct.error:
            return "its header ends early"
    return None


def promised_mp3_samples(path: Path) -> int | None:
    """Samples per channel that an MP3's Xing, Info or VBRI header promises; None without one."""
    with path.open("rb") as file:
        head = file.read(10)
        start = 0
        if head[:3] == b"ID3" and len(head) == 10:
            start = 10 + sum(
                (byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)
            )
        file.seek(start)
        frame = file.read(4096)
    if len(frame) < 64 or frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0:
        return None
    samples_per_frame = 1152 if frame[1] & 0x18 == 0x18 else 576
    vbri = frame.find(b"VBRI", 0, 64)
    if vbri >= 0:
        return samples_per_frame * struct.unpack_from(">I", frame, vbri + 14)[0]
    xing = max(frame.find(b"Xing", 0, 64), frame.find(b"Info", 0, 64))
    if xing < 0:
        return None
    flags, num_frames = struct.unpack_from(">II", frame, xing + 4)
    return samples_per_frame * num_frames if flags & 1 else None


def _chunks(
    file: BinaryIO, start: int, header: str, align: int
) -> Iterator[tuple[bytes, int, int]]:
    """Yields (name, promised bytes, where the bytes start) of each chunk."""
    position = start
    while True:
        file.seek(position)
        raw = file.read(struct.calcsize(header))
        if len(raw) < struct.calcsize(header):
            return
        name, num_bytes = struct.unpack(header, raw)
        yield name, num_bytes, position + len(raw)
        position += len(raw) + num_bytes + (-num_bytes % align)


def _chunk_past_end(
    chunks: Iterator[tuple[bytes, int, int]], wanted: bytes, size: int, unknown: int = _UNKNOWN_32
) -> str | None:
    for name, num_bytes, start in chunks:
        if name == wanted:
            return _missing(num_bytes, start, size, unknown)
    return "it ends before its data chunk"


def _missing(num_bytes: int, start: int, size: int, unknown: int = _UNKNOWN_32) -> str | None:
    held = size - start
    # From `unknown` up, a 32-bit field says "until the end"; a real size that large has a file
    # to match, so what is lost here is only the check of files beyond 2 GB.
    if num_bytes - held <= _PAD_BYTES or num_bytes >= unknown:
        return None
    return f"the data chunk says {num_bytes} bytes but {held} follow"


def _riff(file: BinaryIO, size: int) -> str | None:
    magic = file.read(12)
    if magic[8:12] != b"WAVE":
        return None
    header = ">4sI" if magic[:4] == b"RIFX" else "<4sI"
    data_bytes_64 = None
    for name, num_bytes, start in _chunks(file, 12, header, 2):
        if name == b"ds64":
            file.seek(start + 8)
            (data_bytes_64,) = struct.unpack("<Q", file.read(8))
        if name == b"data":
            if data_bytes_64 is not None and num_bytes == 0xFFFFFFFF:
                return _missing(data_bytes_64, start, size, _UNKNOWN_64)
            return _missing(num_bytes, start, size)
    return "it ends before its data chunk"


def _wave64(file: BinaryIO, size: int) -> str | None:
    position = 40
    while True:
        file.seek(position)
        raw = file.read(24)
        if len(raw) < 24:
            return "it ends before its data chunk"
        num_bytes = struct.unpack("<Q", raw[16:])[0]
        if raw[:16] == b"data" + _W64_GUID_TAIL:
            return _missing(num_bytes - 24, position + 24, size, _UNKNOWN_64)
        # A W64 size includes its own header; smaller ones would loop for ever.
        position += max(24, num_bytes + (-num_bytes % 8))


def _au(file: BinaryIO, size: int) -> str | None:
    start, num_bytes = struct.unpack(">4xII", file.read(12))
    return _missing(num_bytes, start, size)


def _ogg(file: BinaryIO, size: int) -> str | None:
    file.seek(max(0, size - 2 * _OGG_PAGE_BYTES))
    tail = file.read()
    position = tail.rfind(b"OggS")
    # The four letters may occur inside a packet: version 0 and a legal flag byte confirm a page.
    while position >= 0 and not (tail[position + 4 : position + 5] == b"\0"):
        position = tail.rfind(b"OggS", 0, position)
    page = tail[position:]
    if position < 0 or len(page) < 27 or len(page) < 27 + page[26]:
        return "its last Ogg page is cut"
    if len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]]):
        return "its last Ogg page is cut"
    if not page[5] & 4:
        return "its last Ogg page is not marked as the end of the stream"
    return None
