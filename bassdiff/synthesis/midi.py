"""Reads MIDI files as songs, and writes a bass as MIDI."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pretty_midi

from bassdiff.audio.transcription import BassNote
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.instrument_names import is_bass_name, is_drum_name
from bassdiff.synthesis.midi_events import plain_midi
from bassdiff.synthesis.score import Bend, Note, Part, Song

BASS_PROGRAMS = range(32, 40)
# Bass programs also play leads in MIDI files; a line above this median pitch is not a bass.
HIGHEST_BASS_MEDIAN = 55
# Tolerance for the same bass note doubled by a second track.
DOUBLING_SECONDS = 0.04
# Notes of one voice overlap by no more than this.
_LEGATO_SECONDS = 0.1
_FINGER_BASS = 33
_FIRST_PERCUSSION = 112
# Of General MIDI's percussion.
_DRUM_PITCHES = range(27, 88)
# Default range of pitch bends.
_BEND_SEMITONES = 2.0


def read_midi(path: str | Path) -> Song:
    """Reads a multi-instrument MIDI file that has a bass.

    The bass consists of tracks with programs 32–39, or else of tracks that are named after a bass.
    Other instruments are grouped into stems by General MIDI family. Channel volume and
    expression are folded into velocities, whose effect on loudness is the same.

    Args:
      path: A Standard MIDI File.

    Returns:
      The song, named after the file, without chord annotation.

    Raises:
      InputError: If the file is missing or is not MIDI, or has no bass or nothing else.
    """
    path = Path(path)
    score = parse_midi(path)
    tracks = [track for track in score.instruments if track.notes]
    basses = _bass_tracks(tracks)
    if not basses:
        raise InputError(
            f"{path}: no bass (programs 33-40 or a track named bass) plays a note; "
            "choose a song with a bass part."
        )
    parts = list(_without_doubles([_part(track, "bass") for track in basses]))
    parts += [_part(track, stem_of(track)) for track in tracks if track not in basses]
    if all(part.stem == "bass" for part in parts):
        raise InputError(f"{path}: nothing but a bass plays; choose a song with other parts.")
    return Song(
        name=path.stem,
        beat_seconds=np.asarray(score.get_beats()),
        bar_seconds=np.asarray(score.get_downbeats()),
        chords=(),
        parts=tuple(parts),
    )


def parse_midi(path: Path) -> pretty_midi.PrettyMIDI:
    """Parses a MIDI file. Tracks that are named after drums are drums on any channel.

    Raises:
      InputError: If the file is missing or cannot be parsed.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such MIDI file; check the path.")
    try:
        data = plain_midi(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path.") from error
    except ValueError as error:
        raise InputError(f"{path}: not a readable MIDI file ({error}); export it again.") from error
    try:
        score = pretty_midi.PrettyMIDI(io.BytesIO(data))
    except Exception as error:
        # Broken files make the parser raise KeyError, EOFError and others.
        raise InputError(
            f"{path}: not a readable MIDI file ({type(error).__name__}); export it again."
        ) from error
    for track in score.instruments:
        pitches = [note.pitch for note in track.notes]
        if (
            (track.program == 0 or track.program >= _FIRST_PERCUSSION)
            and is_drum_name(track.name)
            and all(pitch in _DRUM_PITCHES for pitch in pitches)
        ):
            track.is_drum, track.program = True, 0
    return score


def read_line(path: str | Path) -> list[BassNote]:
    """Reads a line of one voice: the notes of the file's only part, or of its only bass.

    Args:
      path: a Standard MIDI File.

    Returns:
      Notes in order, none overlapping the next; a pitch bend at a note's start is in its pitch.

    Raises:
      InputError: it is missing or no MIDI, has no notes, several parts, or chords.
    """
    path = Path(path)
    tracks = [track for track in parse_midi(path).instruments if track.notes and not track.is_drum]
    if not tracks:
        raise InputError(f"{path}: no notes are in it; give a MIDI file with a bass line")
    if len(tracks) > 1:
        tracks = [track for track in tracks if track.program in BASS_PROGRAMS] or tracks
    if len(tracks) > 1:
        raise InputError(
            f"{path}: {len(tracks)} parts have notes; keep the one that the bass is to play"
        )
    part = _part(tracks[0], "bass")
    notes: list[BassNote] = []
    for note in part.notes:
        if notes and notes[-1].end_seconds > note.start_seconds:
            before = notes[-1]
            # Legato notes overlap by a little; the earlier one ends there.
            if note.start_seconds - before.start_seconds < DOUBLING_SECONDS or (
                before.end_seconds - note.start_seconds > _LEGATO_SECONDS
            ):
                raise InputError(
                    f"{path}: two notes sound at {note.start_seconds:.2f} s; give a line of one "
                    "voice"
                )
            notes[-1] = dataclasses.replace(before, end_seconds=note.start_seconds)
        bent = [bend.semitones for bend in part.bends if bend.start_seconds <= note.start_seconds]
        pitch = note.pitch + (bent[-1] if bent else 0.0)
        notes.append(BassNote(note.start_seconds, note.end_seconds, pitch, note.velocity))
    return notes


def bass_track(
    notes: Sequence[BassNote], score: pretty_midi.PrettyMIDI | None = None
) -> pretty_midi.PrettyMIDI:
    """A MIDI file with one finger bass; detuned notes get pitch bends.

    Args:
      notes: Notes in order.
      score: A file with a tempo map, which gets the bass; None for one of 120 bpm.
    """
    bass = pretty_midi.Instrument(_FINGER_BASS, name="bass")
    bent = 0
    for note in notes:
        number = round(note.pitch)
        bend = round((note.pitch - number) / _BEND_SEMITONES * 8192)
        if bend != bent:
            bass.pitch_bends.append(pretty_midi.PitchBend(bend, note.start_seconds))
            bent = bend
        bass.notes.append(
            pretty_midi.Note(note.velocity, number, note.start_seconds, note.end_seconds)
        )
    file = pretty_midi.PrettyMIDI() if score is None else score
    file.instruments.append(bass)
    return file


def stem_of(track: pretty_midi.Instrument) -> str:
    """The stem of an instrument other than the bass, by its General MIDI family."""
    if track.is_drum or track.program >= _FIRST_PERCUSSION:
        return "drums"
    families = (
        (24, "keys"),
        (32, "guitar"),
        (40, "synth"),
        (56, "strings"),
        (80, "winds"),
        (88, "synth"),
        (104, "pads"),
        (112, "guitar"),
    )
    return next(name for end, name in families if track.program < end)


def _bass_tracks(tracks: list[pretty_midi.Instrument]) -> list[pretty_midi.Instrument]:
    melodic = [track for track in tracks if not track.is_drum]
    basses = [track for track in melodic if track.program in BASS_PROGRAMS] or [
        track for track in melodic if is_bass_name(track.name)
    ]
    low = [t for t in basses if np.median([n.pitch for n in t.notes]) <= HIGHEST_BASS_MEDIAN]
    return low or basses[:1]


def _part(track: pretty_midi.Instrument, stem: str) -> Part:
    times, gains = _volume_curve(track)
    notes = []
    for note in sorted(track.notes, key=lambda note: (note.start, note.pitch)):
        gain = gains[np.searchsorted(times, note.start, side="right")]
        velocity = int(np.clip(round(note.velocity * gain), 1, 127))
        notes.append(Note(float(note.start), float(note.end), int(note.pitch), velocity))
    span = _bend_range_semitones(track)
    bends = tuple(
        Bend(float(bend.time), bend.pitch / 8192.0 * span)
        for bend in sorted(track.pitch_bends, key=lambda bend: bend.time)
    )
    is_drum = bool(track.is_drum)
    return Part(stem, int(track.program), is_drum, tuple(notes), () if is_drum else bends)


def _volume_curve(track: pretty_midi.Instrument) -> tuple[np.ndarray, np.ndarray]:
    """Times of changes `[M]` and the gain before and after each `[M + 1]`.

    Loudness is proportional to the square of volume (controller 7), expression (11) and velocity,
    so their product can be folded into the velocity.
    """
    state = {7: 100.0, 11: 127.0}
    times, gains = [], [1.0]
    for change in sorted(track.control_changes, key=lambda change: change.time):
        if change.number in state:
            state[change.number] = change.value
            times.append(change.time)
            gains.append(state[7] / 100.0 * state[11] / 127.0)
    return np.asarray(times), np.asarray(gains)


def _bend_range_semitones(track: pretty_midi.Instrument) -> float:
    """The last pitch-bend range set by registered parameter 0; 2 by default."""
    parameter = {100: 127, 101: 127}
    span = 2.0
    for change in track.control_changes:
        if change.number in parameter:
            parameter[change.number] = change.value
        elif change.number == 6 and parameter == {100: 0, 101: 0}:
            span = float(change.value)
    return span


def _without_doubles(parts: list[Part]) -> list[Part]:
    """The parts without notes that an earlier part strikes at the same time."""
    kept: list[Part] = []
    struck: dict[int, list[float]] = {}
    for part in parts:
        notes = tuple(
            note
            for note in part.notes
            if all(
                abs(note.start_seconds - other) > DOUBLING_SECONDS
                for other in struck.get(note.pitch, ())
            )
        )
        for note in notes:
            struck.setdefault(note.pitch, []).append(note.start_seconds)
        if notes:
            kept.append(Part(part.stem, part.program, part.is_drum, notes, part.bends))
    return kept
