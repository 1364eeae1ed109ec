"""Chooses the clips of unseen songs on which systems are evaluated."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.data.latents import active_frames
from bassdiff.evaluation.progress import Progress
from bassdiff.inference.chords import NOTE_NAMES
from bassdiff.runtime.errors import InputError, UnusableSong
from bassdiff.synthesis.annotation import Annotation
from bassdiff.synthesis.score import Chord
from bassdiff.synthesis.stems import Source, Stems

# Length of the paper's published examples.
CLIP_SECONDS = 23.8
MIN_ACTIVE = 0.5
MIX, TRUE = "mix", "true"


@dataclass(frozen=True)
class Clip:
    """An excerpt of a song; signals are `[N]` float32 at 44.1 kHz, at their level in the mix.

    Attributes:
      name: Unique name, valid as a file name.
      song: The song's name.
      index: The song's index in its source.
      start_samples: Start within the song.
      mix: Everything but the bass.
      bass: The true bass; None if unknown.
      finished: The bass of another system to evaluate; None if a bass is to be generated.
      drums: The drum stem, if there is one.
      annotation: Beats and chords, as far as they are known.
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
        """Cuts this clip out of a signal of the whole song."""
        return song[self.start_samples : self.start_samples + len(self.mix)]

    @property
    def true_bass(self) -> np.ndarray:
        """The true bass.

        Raises:
          InputError: If it is unknown.
        """
        if self.bass is None:
            raise InputError(
                f"the true bass of {self.song} is not known; add it beside the finished one as a "
                f"file {TRUE}.*"
            )
        return self.bass


@dataclass(frozen=True)
class Chosen:
    """The result of `choose`.

    Attributes:
      clips: The requested number of clips.
      spare: Further clips, from other songs as far as possible.
      num_skipped: Songs without a clip, because they are too short or silent.
    """

    clips: list[Clip]
    spare: list[Clip]
    num_skipped: int


def choose(
    source: Source,
    num_clips: int,
    clip_seconds: float = CLIP_SECONDS,
    finished: bool = False,
    num_spare: int = 0,
    progress: Progress = lambda items, _: items,
) -> Chosen:
    """Chooses one clip of every song, then second clips, and so on.

    Clips in which the true bass plays less than half of the time are skipped, regardless of the
    bass under evaluation. Without a true bass, all clips with a mix qualify.

    Args:
      source: Songs not trained on.
      num_clips: Number of clips.
      clip_seconds: Length of each.
      finished: Whether the source holds finished pairs, as opened by `evaluation/pairs.py`.
      num_spare: Number of further clips, if available.
      progress: Wraps the songs that are opened, which may have to be rendered, as
        `tqdm(items, description)` does.

    Raises:
      InputError: If the songs do not yield that many, or are fewer than two.
    """
    length = round(clip_seconds * SAMPLE_RATE_HZ)
    found: list[list[Clip]] = []
    num_skipped = 0
    for index in progress(range(len(source)), "songs"):
        if len(found) == num_clips + num_spare:
            # One clip per song is enough.
            break
        try:
            of_song = _clips_of(source[index], index, length, finished)
        except UnusableSong:
            of_song = []
        if of_song:
            found.append(of_song)
        else:
            num_skipped += 1
    rounds = max(map(len, found), default=0)
    dealt = [song[turn] for turn in range(rounds) for song in found if len(song) > turn]
    if len(dealt) < num_clips:
        raise InputError(
            f"the songs yield {len(dealt)} clips of {clip_seconds} s with a playing bass, not "
            f"{num_clips}; ask for fewer or shorter ones"
        )
    if len({clip.song for clip in dealt[:num_clips]}) < 2:
        raise InputError("all clips come from one song; ask for more clips or name more songs")
    named = [_named(clip, number) for number, clip in enumerate(dealt[: num_clips + num_spare])]
    return Chosen(named[:num_clips], named[num_clips:], num_skipped)


def chords_of(clip: Clip) -> list[tuple[float, float, str]]:
    """The annotated chords of a clip as a musician would give them: start, end and name."""
    return [
        (chord.start_seconds, chord.end_seconds, _written(chord))
        for chord in clip.annotation.chords
    ]


def _written(chord: Chord) -> str:
    quality = "7sus4" if chord.quality == "sus4(b7)" else chord.quality
    slash = "" if chord.bass == chord.root else f"/{NOTE_NAMES[chord.bass]}"
    return f"{NOTE_NAMES[chord.root]}{quality}{slash}"


def digest(clips: Sequence[Clip]) -> str:
    """16 hexadecimal digits that identify a set of clips by its audio."""
    hashed = hashlib.sha256()
    for clip in clips:
        for signal in (clip.mix, clip.bass, clip.finished):
            hashed.update(b"unknown" if signal is None else np.ascontiguousarray(signal).tobytes())
    return hashed.hexdigest()[:16]


def _clips_of(stems: Stems, index: int, length: int, finished: bool) -> list[Clip]:
    """All clips of a song, the middle first: intros are the least informative part."""
    mix = stems.mix([MIX] if finished else None)
    whole = Clip(
        name="",
        song=stems.name,
        index=index,
        start_samples=0,
        mix=mix,
        bass=stems.others.get(TRUE) if finished else stems.bass,
        finished=stems.bass if finished else None,
        drums=stems.others.get("drums"),
        annotation=stems.annotation,
    )
    starts = range(0, len(mix) - length + 1, length)
    ordered = sorted(starts, key=lambda start: abs(start + length / 2 - len(mix) / 2))
    return [clip for start in ordered if _is_playing(clip := _cut(whole, start, length))]


def _cut(whole: Clip, start: int, length: int) -> Clip:
    def part(signal: np.ndarray | None) -> np.ndarray | None:
        return None if signal is None else signal[start : start + length]

    return dataclasses.replace(
        whole,
        start_samples=start,
        mix=whole.mix[start : start + length],
        bass=part(whole.bass),
        finished=part(whole.finished),
        drums=part(whole.drums),
        annotation=whole.annotation.cut(start / SAMPLE_RATE_HZ, (start + length) / SAMPLE_RATE_HZ),
    )


def _is_playing(clip: Clip) -> bool:
    bass_plays = clip.bass is None or active_frames(clip.bass).mean() >= MIN_ACTIVE
    return bool(bass_plays and np.abs(clip.mix).max() > 1e-3)


def _named(clip: Clip, number: int) -> Clip:
    word = "".join(c if c.isalnum() or c in "-_" else "-" for c in clip.song)[:40]
    return dataclasses.replace(clip, name=f"{number:03d}-{word}")
