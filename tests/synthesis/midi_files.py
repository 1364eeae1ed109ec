"""MIDI files as programs really write them, byte by byte."""

import struct

FINGER_BASS, BASSOON, PIANO = 33, 70, 0
BASS_LINE = [36, 43, 41, 38] * 2
CHORDS = [60, 64, 67, 72] * 2
BEAT = 480


def name(text: str) -> tuple[int, bytes]:
    return 0, b"\xff\x03" + bytes([len(text)]) + text.encode("latin1")


def tempo(microseconds: int) -> tuple[int, bytes]:
    return 0, b"\xff\x51\x03" + microseconds.to_bytes(3, "big")


def program(channel: int, number: int) -> tuple[int, bytes]:
    return 0, bytes([0xC0 | channel, number])


def notes(channel: int, pitches: list[int]) -> list[tuple[int, bytes]]:
    events = []
    for pitch in pitches:
        events.append((0, bytes([0x90 | channel, pitch, 100])))
        events.append((BEAT, bytes([0x80 | channel, pitch, 0])))
    return events


def track(*events: tuple[int, bytes]) -> bytes:
    body = b""
    for delta, content in (*events, (0, b"\xff\x2f\0")):
        body += bytes([delta >> 7 | 0x80, delta & 0x7F]) + content
    return b"MTrk" + struct.pack(">I", len(body)) + body


def midi(*tracks: bytes, division: int = BEAT, count: int | None = None) -> bytes:
    head = struct.pack(">IHHH", 6, 1, len(tracks) if count is None else count, division & 0xFFFF)
    return b"MThd" + head + b"".join(tracks)


BASS = track(name("Bass"), program(0, FINGER_BASS), *notes(0, BASS_LINE))
KEYS = track(name("Piano"), program(1, PIANO), *notes(1, CHORDS))
