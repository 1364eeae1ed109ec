import io
import struct

import pytest

from bassdiff.audio.mpeg import frames


def frame(version_byte: int = 0xFB, tag: bytes = b"", at: int = 36) -> bytes:
    """One of 128 kbit/s at 44.1 kHz, or 64 kbit/s at 22.05 kHz."""
    head = bytes([0xFF, version_byte, 0x90 if version_byte == 0xFB else 0x80, 0x00])
    return (head + bytes(at - 4) + tag).ljust(417 if version_byte == 0xFB else 208, b"\0")


LAME = b"LAME3.100" + bytes(12) + (576 << 12 | 1000).to_bytes(3, "big")


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        (b"Xing" + struct.pack(">II", 1, 100), (100, 0, None, 0)),
        (b"Info" + struct.pack(">III", 3, 7, 900), (7, 900, None, 0)),
        (b"Info" + struct.pack(">III", 3, 7, 900) + LAME, (7, 900, 576, 1000)),
        (b"Xing" + struct.pack(">II", 2, 100), (0, 100, None, 0)),
        (b"VBRI" + bytes(6) + struct.pack(">II", 900, 50), (50, 900, None, 0)),
    ],
)
def test_an_encoders_own_frame_is_told_from_the_others(tag, said):
    first, second = frames(io.BytesIO(frame(tag=tag) + frame()))
    assert second.tag is None and first.tag is not None
    assert (
        first.tag.num_frames,
        first.tag.num_bytes,
        first.tag.delay,
        first.tag.padding,
    ) == said


@pytest.mark.parametrize(
    ("before", "between", "is_junk"),
    [
        (b"", b"", False),
        (bytes(700), b"", False),
        (b"ID3\3\0\0\0\0\0\5.....", b"ID3\3\0\0\0\0\0\2..", False),
        (b"ID3\3\0\0\0\0\7\5...", b"TAG" + bytes(125), False),
        (b"\xff\xfb\x90\0 cut", b"damaged \xff\xfb", True),
    ],
)
def test_every_frame_is_found(before, between, is_junk):
    found = list(frames(io.BytesIO(before + 3 * frame() + between + 3 * frame())))
    assert [len(one.data) for one in found] == 6 * [417]
    assert found[3].after_junk == is_junk


def test_streams_of_two_kinds_are_both_found():
    found = list(frames(io.BytesIO(3 * frame() + 3 * frame(0xF3))))
    assert [(one.rate_hz, one.num_samples) for one in found] == 3 * [(44100, 1152)] + 3 * [
        (22050, 576)
    ]


@pytest.mark.parametrize("data", [b"", b"no frame at all" * 99, b"\xff" * 999, frame()[:-1]])
def test_what_is_no_stream_has_no_frames(data):
    assert not list(frames(io.BytesIO(data)))
