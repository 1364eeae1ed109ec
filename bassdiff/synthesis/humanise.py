"""Humanises a score: tempo drift, players ahead or behind, uneven velocities."""

from __future__ import annotations

import dataclasses

import numpy as np

from bassdiff.synthesis.score import Note, Part, Song

# Interval at which a new tempo is drawn, with interpolation in between.
DRIFT_SECONDS = 4.0
# Standard deviation of changes of log tempo, and the share kept after each draw.
DRIFT_SPREAD, DRIFT_MEMORY = 0.015, 0.8
# Standard deviations of the offset of a player, and of single notes.
PLAYER_SECONDS, NOTE_SECONDS = 0.008, 0.006
VELOCITY_SPREAD = 6.0
SHORTEST_SECONDS = 0.03


def loosened(song: Song, rng: np.random.Generator) -> Song:
    """Humanises a song.

    The tempo drifts by a few per cent for all parts; each part except drums is a few milliseconds
    ahead or behind; times and velocities of single notes vary.

    Args:
      song: A song on its grid.
      rng: Source of randomness.

    Returns:
      The song, with beats, bars and chords moved accordingly.
    """
    knots = np.arange(0.0, song.end_seconds + 2 * DRIFT_SECONDS, DRIFT_SECONDS)
    log_tempo = np.zeros(len(knots))
    for index in range(1, len(knots)):
        log_tempo[index] = DRIFT_MEMORY * log_tempo[index - 1] + rng.normal(0.0, DRIFT_SPREAD)
    time = np.arange(0.0, knots[-1], 0.05)
    pace = np.exp(-np.interp(time, knots, log_tempo))
    moved = np.concatenate([[0.0], np.cumsum(0.5 * (pace[1:] + pace[:-1]) * np.diff(time))])

    def at(seconds: float) -> float:
        return float(np.interp(seconds, time, moved))

    def played(part: Part) -> Part:
        behind = 0.0 if part.is_drum else rng.normal(0.0, PLAYER_SECONDS)

        def loose(note: Note) -> Note:
            start = max(at(note.start_seconds) + behind + rng.normal(0.0, NOTE_SECONDS), 0.0)
            end = max(at(note.end_seconds) + behind, start + SHORTEST_SECONDS)
            velocity = int(np.clip(note.velocity + rng.normal(0.0, VELOCITY_SPREAD), 1, 127))
            return Note(start, end, note.pitch, velocity)

        return dataclasses.replace(
            part,
            notes=tuple(sorted(loose(note) for note in part.notes)),
            bends=tuple(
                bend._replace(start_seconds=max(at(bend.start_seconds) + behind, 0.0))
                for bend in part.bends
            ),
        )

    return dataclasses.replace(
        song,
        parts=tuple(played(part) for part in song.parts),
        beat_seconds=np.interp(song.beat_seconds, time, moved),
        bar_seconds=np.interp(song.bar_seconds, time, moved),
        chords=tuple(
            chord._replace(start_seconds=at(chord.start_seconds), end_seconds=at(chord.end_seconds))
            for chord in song.chords
        ),
    )
