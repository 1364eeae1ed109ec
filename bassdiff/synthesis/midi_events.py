"""Standard MIDI Files as programs really write them, made plain for a parser.

Tempo and metre may be on any track, a RIFF file or alien chunks may be around the tracks, the
header may count them wrongly, and ticks may be parts of a video frame.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

_HEADER, _TRACK = b"MThd", b"MTrk"
# A RIFF file or a tag may come before the header.
_HEADER_WITHIN = 4096
_META, _END_OF_TRACK, _TEMPO, _METRE, _KEY = 0xFF, 0x2F, 0x51, 0x58, 0x59
_SYSEX = (0xF0, 0xF7)
# Data bytes of messages, by the upper half of the status, and of the system's own.
_DATA_BYTES = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}
_SYSTEM_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1}
# 30 frames a second, some of whose numbers are left out: 29.97.
_DROP_FRAME = 29
_MOST_METRE_POWER = 6


class _Event(NamedTuple):
    tick: int
    content: bytes


def plain_midi(data: bytes) -> bytes:
    """Rewrites a file: one track of tempi and metres, then those of notes.

    Impossible values, keys and messages to a device are left out; values above 127 become 127.

    Args:
      data: What a file holds.

    Raises:
      ValueError: It is not a MIDI file, or it ends early.
    """
    start = data.find(_HEADER, 0, _HEADER_WITHIN)
    if start < 0 or len(data) < start + 14:
        raise ValueError("it has no header")
    size, _, _, division = struct.unpack(">IHHh", data[start + 4 : start + 14])
    try:
        tracks = [list(_events(track)) for track in _tracks(data, start + 8 + size)]
    except IndexError as error:
        raise ValueError("it ends within an event") from error
    song = sorted({event for track in tracks for event in track if _is_of_song(event)})
    if division < 0:
        # Times are absolute, and no tempo changes them: a beat of one second stands for any.
        frames = -(division >> 8)
        division = (30 if frames == _DROP_FRAME else frames) * (division & 0xFF)
        tempo = 1_001_000 if frames == _DROP_FRAME else 1_000_000
        song = [event for event in song if event.content[1] != _TEMPO]
        song.insert(0, _Event(0, bytes((_META, _TEMPO, 3)) + tempo.to_bytes(3, "big")))
    if not division or not tracks:
        raise ValueError("it has no ticks" if tracks else "it has no tracks")
    notes = [[event for event in track if not _is_of_song(event)] for track in tracks]
    header = struct.pack(">IHHH", 6, 1, 1 + len(tracks), division)
    return _HEADER + header + b"".join(_track(events) for events in (song, *notes))


def _tracks(data: bytes, position: int) -> Iterator[bytes]:
    while position + 8 <= len(data):
        name, size = struct.unpack(">4sI", data[position : position + 8])
        position += 8
        if name == _TRACK:
            if position + size > len(data):
                raise ValueError("it ends within a track")
            yield data[position : position + size]
        position += size


def _events(track: bytes) -> Iterator[_Event]:
    """The events of a track that say something."""
    position = tick = 0
    status = None
    while position < len(track):
        delta, position = _number(track, position)
        tick += delta
        first = track[position]
        if first == _META or first in _SYSEX:
            begin = position
            size, position = _number(track, position + (2 if first == _META else 1))
            content = track[begin : position + size]
            position += size
            if position > len(track):
                raise IndexError
            if first in _SYSEX:
                continue
            if content[1] == _END_OF_TRACK:
                return
            if _is_possible(content):
                yield _Event(tick, content)
        elif first > _SYSEX[0]:
            position += 1 + _SYSTEM_BYTES.get(first, 0)
        else:
            if first >= 0x80:
                status, position = first, position + 1
            if status is None:
                raise ValueError("an event has no status")
            values = [track[position + n] for n in range(_DATA_BYTES[status >> 4])]
            position += len(values)
            yield _Event(tick, bytes((status, *(min(value, 0x7F) for value in values))))


def _number(track: bytes, position: int) -> tuple[int, int]:
    """A number of 7 bits a byte, and where it ends."""
    value = 0
    for _ in range(4):
        byte = track[position]
        value, position = value << 7 | byte & 0x7F, position + 1
        if byte < 0x80:
            break
    return value, position


def _is_possible(content: bytes) -> bool:
    kind, values = content[1], content[3:]
    if kind == _TEMPO:
        return len(values) == 3 and any(values)
    if kind == _METRE:
        return len(values) == 4 and values[0] > 0 and values[1] <= _MOST_METRE_POWER
    return kind != _KEY


def _is_of_song(event: _Event) -> bool:
    return event.content[0] == _META and event.content[1] in (_TEMPO, _METRE)


def _track(events: list[_Event]) -> bytes:
    body, before = bytearray(), 0
    for tick, content in events:
        body += _packed(tick - before) + content
        before = tick
    body += bytes((0, _META, _END_OF_TRACK, 0))
    return _TRACK + struct.pack(">I", len(body)) + bytes(body)


def _packed(value: int) -> bytes:
    parts = [value & 0x7F]
    while value := value >> 7:
        parts.append(value & 0x7F | 0x80)
    return bytes(reversed(parts))
