import struct

import pytest

from bassdiff.audio import containers


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x18ftypM4A ", "mov"),
        (b"\x1a\x45\xdf\xa3", "matroska"),
        (b"RIFF\0\0\0\0WAVE", "wav"),
        (b"RIFF\0\0\0\0AVI ", "avi"),
        (b"#EXTM3U\n", None),
    ],
)
def test_a_kind_is_told_by_its_first_bytes(tmp_path, head, name):
    path = tmp_path / "a.wav"
    path.write_bytes(head + bytes(40))
    assert containers.kind(path) == name
    path.write_bytes(b"ID3\3\0\0\0\0\0\5tag.." + head + bytes(40))
    assert containers.kind(path, containers.id3_bytes(path)) == name


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (struct.pack(">I4s", 8, b"ftyp") + struct.pack(">I4s", 24, b"mdat") + bytes(16), None),
        (
            struct.pack(">I4s", 8, b"ftyp") + struct.pack(">I4s", 24, b"mdat") + bytes(15),
            "the mdat atom says 24 bytes but 23 follow",
        ),
        # Until the end; and sizes of 64 bits.
        (struct.pack(">I4s", 8, b"ftyp") + struct.pack(">I4s", 0, b"mdat") + bytes(9), None),
        (
            struct.pack(">I4s", 8, b"ftyp") + struct.pack(">I4sQ", 1, b"mdat", 99) + bytes(9),
            "the mdat atom says 99 bytes but 25 follow",
        ),
        (b"\x1a\x45\xdf\xa3\x81\0\x18\x53\x80\x67\x84" + bytes(4), None),
        (
            b"\x1a\x45\xdf\xa3\x81\0\x18\x53\x80\x67\x84" + bytes(3),
            "the segment says 4 bytes but 3 follow",
        ),
        # A live recording does not know its size.
        (b"\x1a\x45\xdf\xa3\x81\0\x18\x53\x80\x67\xff" + bytes(3), None),
    ],
)
def test_a_cut_container_is_found_by_its_sizes(tmp_path, data, fault):
    path = tmp_path / "a"
    path.write_bytes(data)
    assert containers.truncation(path) == fault
