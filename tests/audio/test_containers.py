import struct

import pytest

from bassdiff.audio import containers


def _frame(tag: bytes, at: int, version_byte: int = 0xFB) -> bytes:
    head = bytes([0xFF, version_byte, 0x90, 0x00])
    return head + bytes(at - 4) + tag + bytes(200)


@pytest.mark.parametrize("prefix", [b"", b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128)])
@pytest.mark.parametrize(
    ("frame", "promised"),
    [
        (_frame(b"Xing" + struct.pack(">II", 1, 100), 36), 115_200),
        (_frame(b"Info" + struct.pack(">II", 3, 7), 21), 8064),
        (_frame(b"Info" + struct.pack(">II", 1, 7), 21, 0xF3), 4032),
        (_frame(b"VBRI" + bytes(10) + struct.pack(">I", 50), 36), 57_600),
        (_frame(b"Xing" + struct.pack(">II", 2, 100), 36), None),
        (_frame(b"", 36), None),
        (b"no frame at all" * 10, None),
    ],
)
def test_mp3_promises_what_its_first_frame_counts(tmp_path, prefix, frame, promised):
    path = tmp_path / "a.mp3"
    path.write_bytes(prefix + frame)
    assert containers.promised_mp3_samples(path) == promised


@pytest.mark.parametrize(
    ("head", "name"),
    [(b"\0\0\0\x18ftypM4A ", "mov"), (b"\x1a\x45\xdf\xa3", "matroska"), (b"#EXTM3U\n", None)],
)
def test_ffmpeg_is_told_what_to_expect(tmp_path, head, name):
    path = tmp_path / "a"
    path.write_bytes(head + bytes(40))
    assert containers.ffmpeg_format(path) == name
