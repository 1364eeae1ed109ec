"""What makes a score sound played: tempo that drifts, players ahead or behind, uneven touch."""

from __future__ import annotations

import dataclasses

import numpy as np

from bassdiff.synthesis.score import Note, Part, Song

# Tempo is drawn anew so often, and joined smoothly.
DRIFT_SECONDS = 4.0
# Of the logarithm of the tempo, and how much of it is left after a draw.
DRIFT_SPREAD, DRIFT_MEMORY = 0.015, 0.8
# How far a player is ahead or behind, and each of the notes beside that.
PLAYER_SECONDS, NOTE_SECONDS = 0.008, 0.006
VELOCITY_SPREAD = 6.0
SHORTEST_SECONDS = 0.03


def loosened(song: Song, rng: np.random.Generator) -> Song:
    """The song as people play it together.

    The tempo wanders by a few per cent, for everybody alike; each part but the drums is a few
    milliseconds ahead or behind, and single notes and their velocities vary.

    Args:
      song: a score on its grid.
      rng: decides.

    Returns:
      The song with beats, bars and chords where they now are.
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
