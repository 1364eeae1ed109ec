"""Choices that a musician makes instead of the model: chords, key, tempo, tuning, notes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bassdiff.inference.chord_files import Chords, has_bars, read_chords
from bassdiff.inference.chords import Chord
from bassdiff.inference.grid import Grid, beats_of, steady_grid
from bassdiff.inference.key import Key
from bassdiff.inference.line import (
    HIGHEST_MIDI,
    LOWEST_MIDI,
    Line,
    Notes,
    line_of,
    parse_pitch,
    read_notes,
)
from bassdiff.inference.tempo import HEARD, Tempo, given_grid
from bassdiff.runtime.errors import InputError

# Chords that are estimated from the mix.
AUTO = "auto"


@dataclasses.dataclass(frozen=True)
class Control:
    """Choices of the musician; None leaves one to the model.

    Attributes:
      chords: Text with bars, such as `C | G/B | Am7 | F:2 G:2`, which needs a tempo; the path of a
        lab file (start, end, Harte chord) or of a MIDI file; or `[(start, end, name), ...]` in
        seconds. Where the chord is `N`, anything may be played. `auto` is the chords that are
        estimated from the mix.
      key: Such as `F# minor`.
      bpm: The tempo, in beats a minute; the path of a MIDI file with a tempo map; or `auto` for the
        beats and bars that are estimated from the mix.
      first_beat_seconds: When bar 1 begins.
      meter: Beats of a bar, and their value; 4/4, or that of the file or of the mix, when None.
      beats: Beats and bars, if they are known; replaces `bpm`.
      tuning_cents: How far the mix is from A = 440 Hz, -100 to 100. The mix is encoded in tune, and
        the bass gets its tuning. None estimates it; 0 leaves the mix as it is.
      notes: A MIDI file with a line of one voice, or `[(start, end, MIDI pitch), ...]` in seconds,
        to be played in the sound and with the attacks that the model chooses.
      notes_region: Seconds within which the line is played; None for all of the song.
      avoid_below: The lowest note of the instrument, such as `E1`, or a frequency in Hz.
      avoid_above: The highest.
      quantise: How far onsets are moved to the grid after the bass is played, 0 to 1.
      bass_lufs: The loudness of the bass, -60 to 0 LUFS; None for that of a bass in the mix.
      gain_db: How much louder than that it is, -40 to 40 dB.
    """

    chords: Chords | None = None
    key: str | None = None
    bpm: Tempo | None = None
    first_beat_seconds: float = 0.0
    meter: str | None = None
    beats: Grid | None = None
    tuning_cents: float | None = None
    notes: Notes | None = None
    notes_region: tuple[float, float] | None = None
    avoid_below: str | float | None = None
    avoid_above: str | float | None = None
    quantise: float = 0.0
    bass_lufs: float | None = None
    gain_db: float = 0.0

    def __post_init__(self) -> None:
        """Checks all that can be checked without the mix.

        Raises:
          InputError: Something cannot be understood.
        """
        if self.meter is not None:
            beats_of(self.meter)
        if self.bpm in (None, HEARD) and self.first_beat_seconds:
            raise InputError(
                "--first-beat says where bars of a known tempo begin; give --bpm with it, as a "
                "number or a MIDI file"
            )
        if self.key is not None:
            Key.parse(self.key)
        if self.tuning_cents is not None and not -100.0 <= self.tuning_cents <= 100.0:
            raise InputError(
                f"the tuning is {self.tuning_cents:g} cents; choose a value from -100 to 100"
            )
        low, high = self._range
        if low > high - 1 or low > HIGHEST_MIDI or high < LOWEST_MIDI:
            raise InputError(
                "no note is left between --avoid-below and --avoid-above; basses play from A0 to "
                "Ab4"
            )
        if self.notes is not None:
            read_notes(self.notes)
        if self.notes_region is not None:
            start, end = self.notes_region
            if self.notes is None:
                raise InputError("--notes-region needs --notes; give both")
            if not 0.0 <= start < end:
                raise InputError(
                    f"a region from {start:g} to {end:g} s is invalid; give START:END with 0 <= "
                    "START < END"
                )
        if self.bass_lufs is not None and not -60.0 <= self.bass_lufs <= 0.0:
            raise InputError(
                f"--bass-lufs is {self.bass_lufs:g}; choose a loudness from -60 to 0 LUFS"
            )
        if not -40.0 <= self.gain_db <= 40.0:
            raise InputError(f"--gain-db is {self.gain_db:g}; choose a value from -40 to 40")
        grid = self.grid
        if not 0.0 <= self.quantise <= 1.0:
            raise InputError(f"--quantise is {self.quantise:g}; choose a value from 0 to 1")
        if self.quantise and grid is None and self.bpm != HEARD:
            raise InputError("--quantise needs a tempo; give --bpm, or --bpm auto as it is heard")
        if self.chords is not None and self.chords != AUTO:
            if grid is None and self.bpm != HEARD and has_bars(self.chords):
                raise InputError("chords in bars need a tempo; give --bpm, or chords with times")
            read_chords(self.chords, grid or steady_grid(120.0))

    def files(self) -> list[Path]:
        """The files that were named."""
        chords = None if self.chords is not None and has_bars(self.chords) else self.chords
        bpm = None if self.bpm == HEARD else self.bpm
        named = (given for given in (chords, self.notes, bpm) if isinstance(given, (str, Path)))
        return [Path(name) for name in named]

    def described(self) -> dict[str, Any]:
        """The choices as plain values, for a record."""
        found = {
            "tuning_cents": self.tuning_cents,
            "chords": [[*chord[:2], chord.name] for chord in self.chord_segments()],
            "key": self.key,
            "tempo": self.grid.described() if self.grid else None,
            "quantise": self.quantise or None,
            "bass_lufs": self.bass_lufs,
            "gain_db": self.gain_db or None,
        }
        return {name: value for name, value in found.items() if value not in (None, [])}

    @property
    def grid(self) -> Grid | None:
        """The beats and bars that were given, or that were heard."""
        if self.beats is not None:
            return self.beats
        return given_grid(self.bpm, self.first_beat_seconds, self.meter)

    @property
    def _range(self) -> tuple[float, float]:
        """The lowest and the highest note, in MIDI numbers, with room for tuning."""
        low = LOWEST_MIDI if self.avoid_below is None else parse_pitch(self.avoid_below)
        high = HIGHEST_MIDI if self.avoid_above is None else parse_pitch(self.avoid_above)
        return low - 0.3, high + 0.3

    def line(self, num_frames: int, frame_seconds: float) -> Line | None:
        """The line that is to be played; None where the model chooses.

        Args:
          num_frames: Latent frames of the mix.
          frame_seconds: Seconds of the mix per frame.

        Raises:
          InputError: It begins after the mix has ended.
        """
        if self.notes is None:
            return None
        return line_of(read_notes(self.notes), num_frames, frame_seconds, self.notes_region)

    def chord_segments(self) -> list[Chord]:
        """The chords with their times; none where they are left to the model."""
        if self.chords is None or self.chords == AUTO:
            return []
        return read_chords(self.chords, self.grid or steady_grid(120.0))

    def cut(self, start_seconds: float, end_seconds: float) -> Control:
        """The choices for a stretch of the song that begins with bar 1; times begin there.

        Args:
          start_seconds: Where the stretch begins.
          end_seconds: Where it ends.
        """

        def within(rows: Iterable[tuple[float, float, Any]]) -> list[tuple[float, float, Any]]:
            shifted = ((a - start_seconds, b - start_seconds, what) for a, b, what in rows)
            length = end_seconds - start_seconds
            return [
                (max(a, 0.0), min(b, length), what)
                for a, b, what in shifted
                if b > 0 and a < length
            ]

        changes: dict[str, Any] = {"first_beat_seconds": 0.0}
        if self.grid is not None:
            changes["beats"] = self.grid.from_bar(0)
        if self.chord_segments() and not has_bars(self.chords or ""):
            changes["chords"] = within(
                (one.start_seconds, one.end_seconds, one.name) for one in self.chord_segments()
            )
        if self.notes is not None:
            changes["notes"] = within(
                (one.start_seconds, one.end_seconds, one.pitch) for one in read_notes(self.notes)
            )
        if self.notes_region is not None:
            ((first, last, _),) = within([(*self.notes_region, None)]) or [(0.0, 1e-3, None)]
            changes["notes_region"] = first, last
        return dataclasses.replace(self, **changes)

    def log_prior(
        self, num_frames: int, frame_seconds: float, seconds: float, strength: float
    ) -> np.ndarray:
        """The log prior of notes in each frame; see `harmony.log_prior`.

        Args:
          num_frames: Latent frames of the mix.
          frame_seconds: Seconds of the mix per frame.
          seconds: Its length.
          strength: Strength of chords and key, 0 to 1.

        Raises:
          InputError: The chords do not fit the length.
        """
        # This takes a second to import; bad input is refused before.
        from bassdiff.inference import harmony

        grid = self.grid
        if grid is not None and grid.bar_seconds(0) >= seconds:
            raise InputError(
                f"bar 1 begins at {grid.bar_seconds(0):.1f} s and the mix lasts {seconds:.1f} s; "
                "correct --first-beat"
            )
        segments = self.chord_segments()
        if segments:
            harmony.check_length(segments, grid, seconds)
        key = None if self.key is None else Key.parse(self.key)
        return harmony.log_prior(
            num_frames, frame_seconds, segments, key, grid, strength, *self._range
        )
