"""The clips that systems are judged on: stretches of songs that nobody trained on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.data.annotation import Annotation
from bassdiff.data.latents import active_frames
from bassdiff.data.stems import Source
from bassdiff.errors import InputError, SilentSong

# What the paper's published examples last.
CLIP_SECONDS = 23.8
MIN_ACTIVE = 0.5
TRUE = "true"


@dataclass(frozen=True)
class Clip:
    """A stretch of one song; signals are `[N]` float32 at 44.1 kHz, at their level in the mix.

    Attributes:
      name: unique, and fit to be a file name.
      song: the song's name.
      index: the song's number in its source.
      start_samples: where in the song it begins.
      mix: everything but the bass.
      bass: the true bass; None if only another system's is known.
      finished: another system's bass to judge; None where this package's is to be played.
      drums: the drum stem, if there is one.
      annotation: beats and chords, as far as they are known.
    """

    name: str
    song: str
    index: int
    start_samples: int
    mix: np.ndarray
    bass: np.ndarray | None
    finished: np.ndarray | None = None
    drums: np.ndarray | None = None
    annotation: Annotation = field(default_factory=Annotation)

    def cut_from(self, song: np.ndarray) -> np.ndarray:
        """The stretch of this clip from a signal as long as its song."""
        return song[self.start_samples : self.start_samples + len(self.mix)]

    @property
    def true_bass(self) -> np.ndarray:
        """The true bass.

        Raises:
          InputError: it is not known.
        """
        if self.bass is None:
            raise InputError(
                f"the true bass of {self.song} is not known; add it beside the finished one as a "
                f"file {TRUE}.*"
            )
        return self.bass


def clips(
    source: Source,
    num_clips: int,
    clip_seconds: float = CLIP_SECONDS,
    finished: bool = False,
    num_spare: int = 0,
) -> tuple[list[Clip], list[Clip]]:
    """Takes clips from as many songs as there are, then second clips, and so on.

    Clips in which the bass plays less than half of the time are passed over; so are songs
    that are too short.

    Args:
      source: Songs not trained on.
      num_clips: How many.
      clip_seconds: Length of each.
      finished: The source holds finished pairs: `bass.*` is another system's, and the true
        one, if it is known, is called `true.*`.
      num_spare: How many more to take, if there are so many.

    Returns:
      The clips, and the spare ones.

    Raises:
      InputError: If the songs do not yield that many, or are fewer than two.
    """
    length = round(clip_seconds * SAMPLE_RATE_HZ)
    found: list[list[Clip]] = []
    for index in range(len(source)):
        if sum(map(bool, found)) == num_clips + num_spare:
            # One clip of each song will do.
            break
        try:
            stems = source[index]
        except SilentSong:
            continue
        others = [name for name in stems.others if name != TRUE] if finished else None
        mix, bass = stems.mix(others), stems.bass
        true = stems.others.get(TRUE) if finished else bass
        drums = stems.others.get("drums")
        starts = range(0, len(bass) - length + 1, length)
        # From the middle outwards: intros are the least telling part of a song.
        ordered = sorted(starts, key=lambda s: abs(s + length / 2 - len(bass) / 2))
        found.append(
            [
                Clip(
                    name="",
                    song=stems.name,
                    index=index,
                    start_samples=s,
                    mix=mix[s : s + length],
                    bass=None if true is None else true[s : s + length],
                    finished=bass[s : s + length] if finished else None,
                    drums=None if drums is None else drums[s : s + length],
                    annotation=stems.annotation.cut(
                        s / SAMPLE_RATE_HZ, (s + length) / SAMPLE_RATE_HZ
                    ),
                )
                for s in ordered
                if active_frames(bass[s : s + length]).mean() >= MIN_ACTIVE
                and np.abs(mix[s : s + length]).max() > 1e-3
            ]
        )
    rounds = max(map(len, found), default=0)
    dealt = [song[turn] for turn in range(rounds) for song in found if len(song) > turn]
    if len(dealt) < num_clips:
        raise InputError(
            f"the songs yield {len(dealt)} clips of {clip_seconds} s with a playing bass, not "
            f"{num_clips}; ask for fewer or shorter ones"
        )
    if len({clip.song for clip in dealt[:num_clips]}) < 2:
        raise InputError("all clips are of one song; ask for more clips or name more songs")
    named = [_named(clip, number) for number, clip in enumerate(dealt[: num_clips + num_spare])]
    return named[:num_clips], named[num_clips:]


def _named(clip: Clip, number: int) -> Clip:
    word = "".join(c if c.isalnum() or c in "-_" else "-" for c in clip.song)[:40]
    return dataclasses.replace(clip, name=f"{number:03d}-{word}")
