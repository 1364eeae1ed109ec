"""Choices that a musician makes instead of the model: chords, key, tempo, tuning, notes."""

from __future__ import annotations

import dataclasses
import itertools
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
      bpm: The tempo, in beats a minute.
      first_beat_seconds: When bar 1 begins.
      meter: Beats of a bar, and their value.
      tuning_cents: How far the mix is from A = 440 Hz, -100 to 100. The mix is encoded in tune, and
        the bass gets its tuning. None estimates it; 0 leaves the mix as it is.
      notes: A MIDI file with a line of one voice, or `[(start, end, MIDI pitch), ...]` in seconds,
        to be played in the sound and with the attacks that the model chooses.
      notes_region: Seconds within which the line is played; None for all of the song.
      avoid_below: The lowest note of the instrument, such as `E1`, or a frequency in Hz.
      avoid_above: The highest.
    """

    chords: Chords | None = None
    key: str | None = None
    bpm: float | None = None
    first_beat_seconds: float = 0.0
    meter: str = "4/4"
    tuning_cents: float | None = None
    notes: Notes | None = None
    notes_region: tuple[float, float] | None = None
    avoid_below: str | float | None = None
    avoid_above: str | float | None = None

    def __post_init__(self) -> None:
        """Checks all that can be checked without the mix.

        Raises:
          InputError: Something cannot be understood.
        """
        beats_of(self.meter)
        if self.bpm is None and self.first_beat_seconds:
            raise InputError("--first-beat says where bars of a tempo begin; give --bpm with it")
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
        grid = self.grid
        if self.chords is not None and self.chords != AUTO:
            if grid is None and has_bars(self.chords):
                raise InputError("chords in bars need a tempo; give --bpm, or chords with times")
            read_chords(self.chords, grid or steady_grid(120.0))

    def files(self) -> list[Path]:
        """The files that were named."""
        named = [given for given in (self.chords, self.notes) if isinstance(given, (str, Path))]
        if self.chords is not None and has_bars(self.chords):
            named = named[1:]
        return [Path(name) for name in named]

    def described(self) -> dict[str, Any]:
        """The choices as plain values, for a record."""
        found = {
            "tuning_cents": self.tuning_cents,
            "chords": [[*chord[:2], chord.name] for chord in self.chord_segments()],
            "key": self.key,
            "bpm": self.bpm,
        }
        return {name: value for name, value in found.items() if value not in (None, [])}

    @property
    def grid(self) -> Grid | None:
        """The beats and bars that were given."""
        if self.bpm is None:
            return None
        return steady_grid(self.bpm, self.first_beat_seconds, self.meter)

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

    def bars(self, seconds: float) -> list[float]:
        """When bars begin in a mix of so many seconds; none where no tempo was given."""
        grid = self.grid
        if grid is None:
            return []
        count = itertools.takewhile(lambda bar: grid.bar_seconds(bar) < seconds, itertools.count())
        return [grid.bar_seconds(bar) for bar in count]

    def chord_segments(self) -> list[Chord]:
        """The chords with their times; none where they are left to the model."""
        if self.chords is None or self.chords == AUTO:
            return []
        return read_chords(self.chords, self.grid or steady_grid(120.0))

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

        segments = self.chord_segments()
        if segments:
            harmony.check_length(segments, self.grid, seconds)
        key = None if self.key is None else Key.parse(self.key)
        return harmony.log_prior(
            num_frames, frame_seconds, segments, key, self.grid, strength, *self._range
        )
