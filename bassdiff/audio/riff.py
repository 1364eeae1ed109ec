"""Finds the sound in a wav file, also where its chunks are malformed."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

# Programs that write to a pipe cannot know the size and put one near a limit of the field.
UNKNOWN_32 = 0x7FFF0000
UNKNOWN_64 = 0x7FFFFFFF_00000000
_KNOWN = frozenset(
    b"fmt |data|fact|LIST|JUNK|junk|bext|iXML|id3 |ID3 |PEAK|PAD |cue |smpl|_PMX".split(b"|")
)
# Real files have a few chunks; hostile files have many more.
_MOST_CHUNKS = 1 << 16
_EXTENSIBLE, _MP3, _MP2 = 0xFFFE, 0x55, 0x50


@dataclass(frozen=True)
class Riff:
    """Where the sound of a wav file is.

    Attributes:
      codec: The format's tag: 1 PCM, 3 floats, and so on.
      start: The first byte of the sound.
      end: The byte after its last one.
      promised_bytes: The size of the data chunk; None where it means "until the end".
      fact_samples: The number of samples in the fact chunk; 0 without one.
      clean_header: A header that says the same in the usual order; empty where the file's own is
        as good.
    """

    codec: int
    start: int
    end: int
    promised_bytes: int | None
    fact_samples: int
    clean_header: bytes

    @property
    def is_mpeg(self) -> bool:
        """Whether an mp3 or mp2 stream is inside."""
        return self.codec in (_MP3, _MP2)


def parse(path: Path, base: int = 0) -> Riff | None:
    """Finds the sound in a wav file.

    Args:
      path: A file that begins with RIFF, RIFX or RF64 at `base`.
      base: Bytes before it, such as a tag's.

    Returns:
      Where it is; None where no data chunk is found.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(base)
        magic = file.read(12)[:4]
        order = ">" if magic == b"RIFX" else "<"
        position, fmt, fact, bytes_64, is_odd = base + 12, b"", b"", None, base > 0
        for _ in range(_MOST_CHUNKS):
            file.seek(position)
            raw = file.read(8)
            if len(raw) < 8:
                return None
            name, num_bytes = raw[:4], struct.unpack(order + "I", raw[4:])[0]
            start = position + 8
            if name == b"data":
                break
            if name == b"ds64" and len(held := file.read(16)) == 16:
                bytes_64 = struct.unpack(order + "8xQ", held)[0]
            if name == b"fmt ":
                fmt = file.read(min(num_bytes, 4096))
            if name == b"fact":
                fact = file.read(min(num_bytes, 64))
            position = start + num_bytes
            if num_bytes % 2:
                file.seek(position)
                names = file.read(5)
                # A chunk of odd length is padded; some programs forget it.
                forgotten = names[:4] in _KNOWN and names[1:5] not in _KNOWN
                is_odd, position = is_odd or forgotten, position + (not forgotten)
        else:
            return None
        first = file.read(4)
    if bytes_64 is not None and num_bytes == 0xFFFFFFFF:
        promised = bytes_64 if bytes_64 < UNKNOWN_64 else None
    else:
        promised = num_bytes if num_bytes < UNKNOWN_32 else None
    # Programs write a size of 0 before the sound comes; if a chunk follows it, the size is right.
    if promised == 0 and first and first not in _KNOWN:
        is_odd, promised = True, None
    end = size if promised is None else min(size, start + promised)
    codec = struct.unpack(order + "H", fmt[:2])[0] if len(fmt) >= 2 else 0
    if codec == _EXTENSIBLE and len(fmt) >= 26:
        codec = struct.unpack(order + "H", fmt[24:26])[0]
    fact_samples = struct.unpack(order + "I", fact[:4])[0] if len(fact) >= 4 else 0
    header = _header(order, fmt, fact, end - start) if is_odd else b""
    return Riff(codec, start, end, promised, fact_samples, header)


def _header(order: str, fmt: bytes, fact: bytes, num_bytes: int) -> bytes:
    body = b"WAVE"
    for name, content in ((b"fmt ", fmt), (b"fact", fact)):
        if content:
            padding = b"\0" * (len(content) % 2)
            body += name + struct.pack(order + "I", len(content)) + content + padding
    # Sizes that do not fit the field mean "until the end".
    num_bytes = min(num_bytes, 0xFFFFFFFF)
    body += b"data" + struct.pack(order + "I", num_bytes)
    riff = struct.pack(order + "I", min(len(body) + num_bytes, 0xFFFFFFFF))
    return (b"RIFX" if order == ">" else b"RIFF") + riff + body
