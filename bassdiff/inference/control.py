"""What a musician decides and does not leave to the model: chords, key and tempo."""

from __future__ import annotations

import dataclasses

import numpy as np

from bassdiff.inference.chord_files import Chords, has_bars, read_chords
from bassdiff.inference.chords import Chord
from bassdiff.inference.grid import Grid, beats_of, steady_grid
from bassdiff.inference.key import Key
from bassdiff.runtime.errors import InputError


@dataclasses.dataclass(frozen=True)
class Control:
    """What is decided; None leaves it to the model.

    Attributes:
      chords: Text with bars, such as `C | G/B | Am7 | F:2 G:2`, which needs a tempo; the path of a
        lab file (start, end, Harte chord) or of a MIDI file; or `[(start, end, name), ...]` in
        seconds. Where the chord is `N`, anything may be played.
      key: Such as `F# minor`.
      bpm: The tempo, in beats a minute.
      first_beat_seconds: When bar 1 begins.
      meter: Beats of a bar, and their value.
    """

    chords: Chords | None = None
    key: str | None = None
    bpm: float | None = None
    first_beat_seconds: float = 0.0
    meter: str = "4/4"

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
        grid = self.grid
        if self.chords is not None:
            if grid is None and has_bars(self.chords):
                raise InputError("chords in bars need a tempo; give --bpm, or chords with times")
            read_chords(self.chords, grid or steady_grid(120.0))

    @property
    def grid(self) -> Grid | None:
        """The beats and bars that were given."""
        if self.bpm is None:
            return None
        return steady_grid(self.bpm, self.first_beat_seconds, self.meter)

    def chord_segments(self) -> list[Chord]:
        """The chords with their times; none where they are left to the model."""
        if self.chords is None:
            return []
        return read_chords(self.chords, self.grid or steady_grid(120.0))

    def log_prior(self, num_frames: int, seconds: float, strength: float) -> np.ndarray:
        """Which notes are likelier in each frame; see `harmony.log_prior`.

        Args:
          num_frames: Latent frames of the mix.
          seconds: Its length.
          strength: Of chords and key, 0 to 1.

        Raises:
          InputError: The chords do not fit the length.
        """
        # What plays takes a second to import: what is wrong with the words is said before.
        from bassdiff.inference import harmony

        segments = self.chord_segments()
        if segments:
            harmony.check_length(segments, self.grid, seconds)
        key = None if self.key is None else Key.parse(self.key)
        return harmony.log_prior(num_frames, segments, key, self.grid, strength)
