"""The context shared by all tasks: clips, systems and the cache of basses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.loudness import loudness_lufs, match_loudness
from bassdiff.data.mixing import BASS_LUFS
from bassdiff.data.target import is_unpitched
from bassdiff.evaluation import baselines
from bassdiff.evaluation.clips import Clip
from bassdiff.evaluation.progress import Progress
from bassdiff.evaluation.result_cache import Takes
from bassdiff.inference.conditioning import SILENCE_LUFS
from bassdiff.inference.control import Control
from bassdiff.inference.generator import BassGenerator
from bassdiff.inference.inputs import Task
from bassdiff.inference.latent_sampling import ROWS_PER_DEVICE
from bassdiff.metrics.music import (
    HeardBass,
    HeardMix,
    Voices,
    derangement,
    hear_bass,
    hear_mix,
)
from bassdiff.pretrained.judge import Panel
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.stems import Source

MODEL = "model"


@dataclass(frozen=True)
class EvaluationContext:
    """The state of an evaluation, with a method for each system.

    Attributes:
      generator: The generator under test.
      source: The songs, for other keys and whole lengths.
      clips: The clips.
      takes: Cache of basses.
      seed: Seed of the first clip; the others count up.
      overrides: Settings that differ from the weights' defaults.
      spare: Further clips, as a reference set.
      num_skipped: Songs without a clip.
      judge: The matching models, if there are any.
      progress: Wraps long loops, as `tqdm(items, description)` does.
    """

    generator: BassGenerator
    source: Source
    clips: Sequence[Clip]
    takes: Takes
    seed: int
    overrides: dict[str, Any] = field(default_factory=dict)
    spare: Sequence[Clip] = ()
    num_skipped: int = 0
    judge: Panel | None = None
    progress: Progress = lambda items, _: items

    @property
    def songs(self) -> list[str]:
        """The song of every clip."""
        return [clip.song for clip in self.clips]

    @property
    def other_songs(self) -> list[str]:
        """The song of each clip's `shuffled` bass."""
        return [self.songs[number] for number in derangement(self.songs)]

    def first(self, num_clips: int) -> EvaluationContext:
        """A copy with the first clips only, for tasks that need many basses per clip.

        Raises:
          InputError: If all of them come from one song.
        """
        clips = self.clips[:num_clips]
        if len({clip.song for clip in clips}) < 2:
            raise InputError(f"--sweep-clips {num_clips} leaves clips of one song; ask for more")
        return dataclasses.replace(self, clips=clips)

    def require_true(self) -> None:
        """Checks that every clip's true bass is known.

        Raises:
          InputError: If one is not.
        """
        for clip in self.clips:
            _ = clip.true_bass

    def heard_mixes(self) -> list[HeardMix]:
        """Analyses every clip's mix for the measures."""
        return [
            hear_mix(clip.mix, clip.annotation, clip.drums, clip.bass, self.judge, self.voices)
            for clip in self.progress(self.clips, "mixes")
        ]

    def heard(self, bass: np.ndarray) -> HeardBass:
        """Analyses a bass, or what else the model plays, for the measures."""
        return hear_bass(bass, self.judge, self.voices)

    @property
    def voices(self) -> Voices:
        """The kind of line that the model plays, which decides what can be measured."""
        if self.generator.bass_codec.has_pitch:
            return "one"
        return "unpitched" if is_unpitched(self.generator.target) else "many"

    def model(self, number: int) -> np.ndarray:
        """The bass under test for clip `number`: a finished or a generated one."""
        clip = self.clips[number]
        if (finished := clip.finished) is not None:
            return self.takes.take(clip, MODEL, lambda: finished)
        return self.variation(number, MODEL)

    def true(self, number: int) -> np.ndarray:
        """The true bass of clip `number`; InputError if it is unknown."""
        clip = self.clips[number]
        return self.takes.take(clip, "true", lambda: clip.true_bass)

    def codec(self, number: int) -> np.ndarray:
        """The bass codec's round trip of the true bass of clip `number`."""
        return self.takes.take(
            self.clips[number], "codec", lambda: self.round_trip(self.clips[number].true_bass)
        )

    def transposed(self, number: int) -> np.ndarray:
        """The true bass of clip `number`, 1 to 6 semitones higher or lower.

        Rendered songs are rendered in the other key; finished pairs are pitch-shifted.
        """
        clip = self.clips[number]
        semitones = baselines.other_key(clip.index)

        def play() -> np.ndarray:
            if clip.finished is not None:
                return baselines.pitch_shifted(clip.true_bass, semitones)
            # Rendering is slow, so all clips of a song share one rendering.
            bass = self.source.transposed(clip.index, semitones).bass
            for other in self.clips:
                if other.index == clip.index:
                    self.takes.keep(other, "transposed", other.cut_from(bass))
            return clip.cut_from(bass)

        return self.takes.take(clip, "transposed", play)

    def late(self, number: int) -> np.ndarray:
        """The true bass of clip `number`, half a beat late."""
        clip = self.clips[number]
        return self.takes.take(
            clip, "late", lambda: baselines.half_a_beat_late(clip.true_bass, clip)
        )

    def follower(self, number: int) -> np.ndarray:
        """The rule-based bass for clip `number`; see `baselines.follower`."""
        clip = self.clips[number]
        return self.takes.take(clip, "follower", lambda: baselines.follower(clip))

    def shuffled(self, number: int) -> np.ndarray:
        """The true bass of another song."""
        return self.true(derangement(self.songs)[number])

    def silence(self, number: int) -> np.ndarray:
        """Silence as long as clip `number`."""
        return np.zeros_like(self.clips[number].mix)

    def variation(
        self,
        number: int,
        name: str,
        mix_of: Callable[[int], np.ndarray] | None = None,
        style_of: Callable[[int], np.ndarray] | None = None,
        control_of: Callable[[int], Control] | None = None,
        **changes: Any,
    ) -> np.ndarray:
        """Generates a bass for clip `number` and caches it as `name`.

        Following clips without a cached bass are generated in the same batch.

        Args:
          number: Index of the clip.
          name: Name of the system.
          mix_of: Returns the mix `[N]` to condition on; by default a clip's own.
          style_of: Returns the recording `[N]` whose sound a clip's bass should have.
          control_of: Returns what is decided for a clip, such as its chords.
          **changes: Settings that differ.
        """

        def play() -> np.ndarray:
            batch = [number]
            for other in range(number + 1, len(self.clips)):
                clip = self.clips[other]
                if clip.finished is None and not self.takes.has(clip, name):
                    batch.append(other)
            batch = batch[:ROWS_PER_DEVICE]
            sampling = self.generator.defaults.changed(**{**self.overrides, **changes})
            tasks = [
                Task(
                    self.clips[n].mix if mix_of is None else mix_of(n),
                    SAMPLE_RATE_HZ,
                    style=None if style_of is None else style_of(n),
                    seed=self.seed + n,
                    sampling=sampling,
                    control=None if control_of is None else control_of(n),
                )
                for n in batch
            ]
            basses = self.generator.generate_batch(tasks)
            for n, bass in zip(batch[1:], basses[1:], strict=True):
                self.takes.keep(self.clips[n], name, bass)
            return basses[0]

        return self.takes.take(self.clips[number], name, play)

    def round_trip(self, bass: np.ndarray) -> np.ndarray:
        """The bass codec's reconstruction `[N]`, at the level of the original."""
        loudness = loudness_lufs(bass, SAMPLE_RATE_HZ)
        if loudness <= SILENCE_LUFS:
            return np.zeros_like(bass)
        back = self.generator.round_trip(match_loudness(bass, SAMPLE_RATE_HZ, BASS_LUFS))
        return back * np.float32(10.0 ** ((loudness - BASS_LUFS) / 20.0))

    def about(self, **more: Any) -> dict[str, Any]:
        """The description of a table's origin."""
        seeds = [self.seed, self.seed + len(self.clips) - 1]
        return {
            "num_clips": len(self.clips),
            "num_songs": len(set(self.songs)),
            "skipped_songs": self.num_skipped,
            "seeds": seeds,
            **self.takes.about,
            **more,
        }
