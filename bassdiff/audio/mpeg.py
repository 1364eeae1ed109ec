"""Reads MPEG audio (mp3, mp2) frame by frame, so that its length is counted instead of trusted.

The only length that an MP3 states is in an extra first frame (Xing, Info or VBRI). That frame may
be missing or wrong, and a concatenation of files has several.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

# By version bits (0: MPEG-2.5, 2: MPEG-2, 3: MPEG-1) and layer (1 to 3), in kbit/s.
_BITRATES = {
    (3, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
# Delay of a decoder in samples: the filter bank, and in layer III the overlap of its transform.
_DECODER_DELAY = {1: 481, 2: 481, 3: 529}
# Delay of LAME, the most common encoder; assumed where the file does not state one.
_USUAL_ENCODER_DELAY = {1: 0, 2: 0, 3: 576}
# Encoders that state their delay and padding.
_GAPLESS = (b"LAME", b"Lavf", b"Lavc")
_SCAN_BYTES = 1 << 16
# Version bits, layer and sample rate, which do not change within a stream.
Kind: TypeAlias = tuple[int, int, int]


class Source(Protocol):
    """A file, or a part of one, that frames are read from."""

    def seek(self, offset: int, /) -> int:
        """Moves to a byte."""

    def read(self, size: int, /) -> bytes:
        """Reads at most `size` bytes."""


@dataclass(frozen=True)
class Tag:
    """The contents of an encoder's own first frame.

    Attributes:
      num_frames: Number of frames that follow; 0 if not stated.
      num_bytes: Bytes of the stream including this frame; 0 if not stated.
      delay: Samples of encoder delay; None if not stated.
      padding: Samples of padding at the end.
    """

    num_frames: int
    num_bytes: int
    delay: int | None
    padding: int


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
      data: The whole of it.
      layer: 1 to 3.
      rate_hz: Sample rate.
      channels: 1 or 2.
      num_samples: Per channel.
      tag: Its contents, if it is an encoder's own frame.
      position: Offset of its first byte in the file.
      after_junk: Whether unknown bytes lie between it and the frame before.
    """

    data: bytes
    layer: int
    rate_hz: int
    channels: int
    num_samples: int
    tag: Tag | None
    position: int
    after_junk: bool

    @property
    def usual_delay(self) -> int:
        """Samples before the sound if the file does not state how many."""
        return _DECODER_DELAY[self.layer] + _USUAL_ENCODER_DELAY[self.layer]

    @property
    def decoder_delay(self) -> int:
        """Samples of delay that a decoder adds."""
        return _DECODER_DELAY[self.layer]


def frames(file: Source) -> Iterator[Frame]:
    """The frames of a stream, which may begin after other bytes."""
    kind: Kind | None = None
    position, after_junk = 0, False
    while True:
        file.seek(position)
        head = file.read(10)
        if len(head) < 4:
            return
        skipped = _tag_bytes(head)
        if skipped:
            # If the size of a tag is wrong, search from its next byte.
            position += skipped if _begins(file, position + skipped) else 1
            continue
        header = _header(head)
        # Two bytes can look like a header by chance: the next frame, or the end, must follow.
        if header is None or (header[0] != kind and not _confirmed(file, position)):
            following = _next_frame(file, position + 1)
            if following is None:
                return
            position, after_junk = following, True
            continue
        kind, num_bytes, num_samples, channels = header
        file.seek(position)
        data = file.read(num_bytes)
        if len(data) < num_bytes:
            return
        _, layer, rate_hz = kind
        tag = _tag(data) if layer == 3 else None
        yield Frame(data, layer, rate_hz, channels, num_samples, tag, position, after_junk)
        position, after_junk = position + num_bytes, False


def _header(head: bytes) -> tuple[Kind, int, int, int] | None:
    """(version, layer, rate), bytes, samples and channels; None if this is not a frame header."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    table = _BITRATES[(3, layer) if version == 3 else (2, min(layer, 2))]
    rate_hz, bits = _RATES_HZ[version][rate], 1000 * table[bitrate - 1]
    padding = head[2] >> 1 & 1
    if layer == 1:
        num_samples, num_bytes = 384, (12 * bits // rate_hz + padding) * 4
    else:
        num_samples = 576 if layer == 3 and version != 3 else 1152
        num_bytes = num_samples // 8 * bits // rate_hz + padding
    return (version, layer, rate_hz), num_bytes, num_samples, 1 if head[3] >> 6 == 3 else 2


def _tag_bytes(head: bytes) -> int:
    """Bytes of an ID3 or APE tag that begins here; 0 if none does."""
    if head[:3] == b"ID3" and len(head) == 10 and not any(byte & 0x80 for byte in head[6:]):
        sizes = zip(head[6:], (21, 14, 7, 0), strict=True)
        return 10 + sum(byte << shift for byte, shift in sizes) + (10 if head[5] & 16 else 0)
    return 128 if head[:3] == b"TAG" else 0


def _begins(file: Source, position: int, kind: Kind | None = None) -> bool:
    """Whether a frame, another tag or the end of the file is here."""
    file.seek(position)
    head = file.read(10)
    header = _header(head)
    return not head or bool(_tag_bytes(head)) or (header is not None and kind in (None, header[0]))


def _confirmed(file: Source, position: int) -> bool:
    file.seek(position)
    header = _header(file.read(4))
    return header is not None and _begins(file, position + header[1], header[0])


def _next_frame(file: Source, position: int) -> int | None:
    while True:
        file.seek(position)
        chunk = file.read(_SCAN_BYTES)
        if len(chunk) < 4:
            return None
        at = chunk.find(b"\xff")
        while 0 <= at < len(chunk) - 3:
            if _header(chunk[at : at + 4]) and _confirmed(file, position + at):
                return position + at
            at = chunk.find(b"\xff", at + 1)
        position += len(chunk) - 3


def _tag(frame: bytes) -> Tag | None:
    # VBRI is at a fixed place; Xing follows the side information, whose length has few values.
    if frame[36:40] == b"VBRI" and len(frame) >= 54:
        num_bytes, num_frames = struct.unpack_from(">II", frame, 46)
        return Tag(num_frames, num_bytes, None, 0)
    at = next((at for at in (36, 21, 13) if frame[at : at + 4] in (b"Xing", b"Info")), None)
    if at is None or len(frame) < at + 8:
        return None
    (flags,) = struct.unpack_from(">I", frame, at + 4)
    at += 8
    values = []
    for flag in (1, 2):
        held = flags & flag and len(frame) >= at + 4
        values.append(struct.unpack_from(">I", frame, at)[0] if held else 0)
        at += 4 if flags & flag else 0
    at += (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
    lame = frame[at : at + 24]
    if len(lame) < 24 or not lame.startswith(_GAPLESS):
        return Tag(values[0], values[1], None, 0)
    gaps = int.from_bytes(lame[21:24], "big")
    return Tag(values[0], values[1], gaps >> 12, gaps & 0xFFF)
