"""Compares the size that a container states in its header with the size of the file.

Decoders load a truncated file silently short, so its header is read here first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bassdiff.audio import riff

_PAD_BYTES = 1
# Real files have a few chunks, or one for every piece of a stream; hostile files have many more.
_MOST_CHUNKS = 1 << 16
# Size of the longest legal Ogg page: the last page starts within this many bytes of the end.
_OGG_PAGE_BYTES = 27 + 255 + 255 * 255
_W64_GUID_TAIL = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"

# Offset, first bytes, and what libav calls such a file.
_MAGIC = (
    (8, b"AVI ", "avi"),
    (0, b"RIFF", "wav"),
    (0, b"RIFX", "wav"),
    (0, b"RF64", "wav"),
    (0, b"riff", "w64"),
    (0, b"FORM", "aiff"),
    (0, b"caff", "caf"),
    (0, b".snd", "au"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (4, b"ftyp", "mov"),
    (4, b"moov", "mov"),
    (4, b"mdat", "mov"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b"\xff\xf1", "aac"),
    (0, b"\xff\xf9", "aac"),
    (0, b"\x0b\x77", "ac3"),
    (0, b"wvpk", "wv"),
    (0, b"MAC ", "ape"),
    (0, b"FLV\x01", "flv"),
    (0, b"TTA1", "tta"),
    (0, b"tBaK", "tak"),
)


def kind(path: Path, base: int = 0) -> str | None:
    """Libav's name for the format that the first bytes show; None if they show none.

    Args:
      path: an existing, readable file.
      base: bytes before it, such as a tag's.
    """
    with path.open("rb") as file:
        file.seek(base)
        head = file.read(16)
    for offset, magic, name in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return name
    return None


def id3_bytes(path: Path) -> int:
    """Bytes of the ID3 tags that a file begins with."""
    total = 0
    with path.open("rb") as file:
        while (head := file.read(10))[:3] == b"ID3" and len(head) == 10:
            sizes = zip(head[6:], (21, 14, 7, 0), strict=True)
            total += 10 + sum((byte & 0x7F) << shift for byte, shift in sizes)
            file.seek(total)
    return total


def truncation(path: Path, base: int = 0) -> str | None:
    """Describes how a file is shorter than its header says.

    Args:
      path: an existing, readable file of any content.
      base: bytes before it, such as a tag's.

    Returns:
      A clause such as "the data chunk says 705600 bytes but 352778 follow", or None
      where nothing is missing or the container makes no promise.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(base)
        magic = file.read(12)
        file.seek(0)
        try:
            if magic[:4] in (b"RIFF", b"RIFX", b"RF64"):
                return _riff(path, base, size) if magic[8:] == b"WAVE" else None
            if magic[:4] == b"OggS":
                return _ogg(file, size)
            if base:
                return None
            if magic[:4] == b"riff":
                return _wave64(file, size)
            if magic[:4] == b"FORM":
                return _chunk_past_end(_chunks(file, 12, ">4sI", 2), b"SSND", size)
            if magic[:4] == b"caff":
                return _chunk_past_end(_chunks(file, 8, ">4sQ", 1), b"data", size, riff.UNKNOWN_64)
            if magic[:4] == b".snd":
                return _au(file, size)
            if magic[4:8] in (b"ftyp", b"moov", b"mdat"):
                return _mov(file, size)
            if magic[:4] == b"\x1a\x45\xdf\xa3":
                return _matroska(file, size)
        except (struct.error, ValueError, OverflowError):
            # Or it points to where no file can have anything.
            return "its header ends early"
    return None


def _chunks(
    file: BinaryIO, start: int, header: str, align: int
) -> Iterator[tuple[bytes, int, int]]:
    """Yields (name, promised bytes, where the bytes start) of each chunk."""
    position = start
    for _ in range(_MOST_CHUNKS):
        file.seek(position)
        raw = file.read(struct.calcsize(header))
        if len(raw) < struct.calcsize(header):
            return
        name, num_bytes = struct.unpack(header, raw)
        yield name, num_bytes, position + len(raw)
        position += len(raw) + num_bytes + (-num_bytes % align)


def _chunk_past_end(
    chunks: Iterator[tuple[bytes, int, int]],
    wanted: bytes,
    size: int,
    unknown: int = riff.UNKNOWN_32,
) -> str | None:
    for name, num_bytes, start in chunks:
        if name == wanted:
            return _missing(num_bytes, start, size, unknown)
    return "it ends before its data chunk"


def _missing(num_bytes: int, start: int, size: int, unknown: int = riff.UNKNOWN_32) -> str | None:
    held = size - start
    # From `unknown` up, a 32-bit field says "until the end"; a real size that large has a file
    # to match, so what is lost here is only the check of files beyond 2 GB.
    if num_bytes - held <= _PAD_BYTES or num_bytes >= unknown:
        return None
    return f"the data chunk says {num_bytes} bytes but {held} follow"


def _riff(path: Path, base: int, size: int) -> str | None:
    wav = riff.parse(path, base)
    if wav is None:
        return "it ends before its data chunk"
    return _missing(wav.promised_bytes or 0, wav.start, size)


def _wave64(file: BinaryIO, size: int) -> str | None:
    position = 40
    for _ in range(_MOST_CHUNKS):
        file.seek(position)
        raw = file.read(24)
        if len(raw) < 24:
            return "it ends before its data chunk"
        num_bytes = struct.unpack("<Q", raw[16:])[0]
        if raw[:16] == b"data" + _W64_GUID_TAIL:
            return _missing(num_bytes - 24, position + 24, size, riff.UNKNOWN_64)
        # A W64 size includes its own header; smaller ones would never end the loop.
        position += max(24, num_bytes + (-num_bytes % 8))
    return "it ends before its data chunk"


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


def _mov(file: BinaryIO, size: int) -> str | None:
    position = 0
    for _ in range(_MOST_CHUNKS):
        if position >= size:
            return None
        file.seek(position)
        raw = file.read(16)
        num_bytes, name = struct.unpack(">I4s", raw[:8])
        if num_bytes == 1:
            (num_bytes,) = struct.unpack(">Q", raw[8:])
        if num_bytes == 0:
            # Until the end.
            return None
        if name in (b"mdat", b"moov") and position + num_bytes > size:
            held = size - position
            return f"the {name.decode()} atom says {num_bytes} bytes but {held} follow"
        position += max(8, num_bytes)
    return None


def _matroska(file: BinaryIO, size: int) -> str | None:
    position = 4
    num_bytes, position = _ebml_size(file, position)
    file.seek(position + (num_bytes or 0))
    if num_bytes is None or file.read(4) != b"\x18\x53\x80\x67":
        return None
    num_bytes, start = _ebml_size(file, position + num_bytes + 4)
    if num_bytes is None or start + num_bytes <= size:
        return None
    return f"the segment says {num_bytes} bytes but {size - start} follow"


def _ebml_size(file: BinaryIO, position: int) -> tuple[int | None, int]:
    """A size of one to eight bytes, None where all its bits are set, and where it ends."""
    file.seek(position)
    first = file.read(1)[0:1] or b"\0"
    width = 9 - first[0].bit_length()
    if width > 8:
        raise struct.error
    raw = first + file.read(width - 1)
    value = int.from_bytes(raw, "big") & ((1 << 7 * width) - 1)
    return None if value == (1 << 7 * width) - 1 else value, position + width
