"""The generator: mix audio in, bass audio out."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

from bassdiff.diffusion.sampling import MAX_ONE_PASS_FRAMES
from bassdiff.diffusion.settings import Sampling
from bassdiff.inference import rendition
from bassdiff.inference.conditioning import Preparation
from bassdiff.inference.control import Control
from bassdiff.inference.hearing import Heard, hear
from bassdiff.inference.inputs import Draft, Recording, Style, Task
from bassdiff.inference.latent_sampling import LatentSampler
from bassdiff.inference.progress import Progress, shown_progress
from bassdiff.inference.result import Bass
from bassdiff.pretrained.codec import CodecPair
from bassdiff.pretrained.release import Weights, load_weights
from bassdiff.runtime.compilation_cache import keep_programs
from bassdiff.runtime.devices import check_devices
from bassdiff.runtime.memory import return_freed

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class BassGenerator(CodecPair):
    """A mix codec's encoder, a denoiser and a bass codec, ready to play.

    Build one with `bassdiff.load`. Songs of similar length share one compiled program per solver,
    kind of guidance and kind of grounding; other settings do not matter.

    Attributes:
      fingerprints: What identifies the weights that play.
      target: The stem that they play, see `data/target.py`.
      mix_codec: Of mixes.
      bass_codec: Of basses.
      sampler: From mixes' latents to basses' latents.
      defaults: Settings of sampling that the weights bring.
    """

    def __init__(
        self,
        weights: Weights,
        devices: Sequence[jax.Device] | None = None,
        rows: int | None = None,
    ) -> None:
        """Builds a generator.

        Args:
          weights: Of what plays.
          devices: Where it plays; by default on all of this process.
          rows: See `LatentSampler`.
        """
        self.fingerprints, self.target = weights.fingerprints, weights.target
        super().__init__(weights.mix_codec, weights.bass_codec)
        self._preparation = Preparation(self.bass_codec)
        devices = jax.local_devices() if devices is None else devices
        self.sampler = LatentSampler(weights.unet, self.bass_codec.layout, devices, rows)
        self.defaults = Sampling.of_weights(weights.unet.bindings)

    def generate(
        self,
        mix: np.ndarray,
        sample_rate_hz: int,
        *,
        style: Recording | Sequence[Style] | None = None,
        draft: Draft | None = None,
        control: Control | None = None,
        seed: int = 0,
        sampling: Sampling | None = None,
        loops: bool = False,
        progress: Progress | bool | None = None,
        **overrides: Any,
    ) -> Bass:
        """Plays a bass to a mix.

        Args:
          mix: `[N]` or `[N, channels]` floats whose full scale is 1, 1 s to 1 h.
          sample_rate_hz: Its rate, in Hz.
          style: A bass recording whose sound to take: a file, or samples `[N]` or
            `[N, channels]` at the mix's rate; or several as `Style`s, to blend or to take
            turns. None leaves the sound to the model.
          draft: A bass to edit, continue, vary or give another sound; see `inputs.py`.
          control: Chords, a key and other choices that are not left to the model.
          seed: The same seed gives the same bass.
          sampling: Settings; the weights' defaults when None.
          loops: Whether the mix is a loop, and the end of the bass is to meet its beginning.
          progress: True for a progress bar. A function is called after every step with the stage
            (listening, playing, decoding), how much of it is done and how much there is; what it
            raises ends the work.
          **overrides: Single settings of `Sampling` to change, such as `guidance=4.0`.

        Returns:
          `[N]` float32, mono, at the mix's rate and aligned with it. Its level is that of a bass in
          the mix, or the draft's: `mix + bass`, or `mix + bass[:, None]` with channels, is the
          mixdown, which may exceed full scale. Outside its region, an edited draft is returned as
          it was given, to the sample. It is an array that shows itself in a notebook; see `Bass`.

        Raises:
          InputError: If the mix, the style, the draft or the control cannot be used, a setting is
            out of range, or the result is not finite.
        """
        task = Task(mix, sample_rate_hz, style, draft, seed, sampling, control, loops)
        task = dataclasses.replace(task, sampling=self.settings(sampling, **overrides))
        with contextlib.ExitStack() as stack:
            if progress is True:
                progress = stack.enter_context(shown_progress("playing"))
            (bass,) = self.generate_batch([task], progress or None)
        return Bass(bass, sample_rate_hz, mix)

    def settings(self, sampling: Sampling | None = None, **overrides: Any) -> Sampling:
        """Settings, by default those of the weights, with some of them changed.

        Raises:
          InputError: For an unknown name or a value out of range.
        """
        sampling = (sampling or self.defaults).changed(**overrides)
        if "guidance" in overrides and sampling.guidance_kind == "none":
            warnings.warn(
                "guidance does nothing here: these settings have none, or it is in the weights; "
                "choose a guidance_kind to add some",
                stacklevel=3,
            )
        return sampling

    def generate_batch(
        self, tasks: Sequence[Task], progress: Progress | None = None
    ) -> list[np.ndarray]:
        """Plays several basses at once; each is the bass that `generate` would return for its task.

        Basses of similar length whose settings share a program are sampled together, over all
        devices of this process. Numbers among the settings may differ from task to task.

        Args:
          tasks: The basses to play.
          progress: As in `generate`; a function.

        Returns:
          The samples of a bass per task, as `generate` returns them.

        Raises:
          InputError: See `generate`.
        """
        return self.play(_side_by_side(self.hear, tasks), progress)

    def play(self, heard: list[Heard], progress: Progress | None = None) -> list[np.ndarray]:
        """`generate_batch` of tasks that were heard.

        Args:
          heard: From `hear`. Their waves are forgotten when they are encoded: of long songs, they
            take much memory.
          progress: As in `generate`; a function.

        Raises:
          InputError: The result is not finite.
        """
        if progress:
            progress("listening", 0, len(heard))
        # A mix may peak far above its loudness; a codec has no ceiling, so nothing clips.
        mixes = rendition.encoded(self.mix_codec, heard)
        heard[:] = [one.forgotten() for one in heard]
        if progress:
            progress("listening", len(heard), len(heard))
        # Of short songs there is little to return, and it is soon needed again.
        is_long = sum(map(len, mixes)) > MAX_ONE_PASS_FRAMES
        if is_long:
            return_freed()
        latents = self.sampler.sample_all(heard, mixes, progress)
        del mixes
        if is_long:
            return_freed()
        if progress:
            progress("decoding", 0, len(heard))
        waves = dict(enumerate(rendition.decoded(self.bass_codec, latents, heard)))

        def finished(number: int) -> np.ndarray:
            # Each is let go when it is finished: of long songs, memory holds few.
            return self.finish(heard[number], waves.pop(number))

        basses = _side_by_side(finished, range(len(heard)))
        if progress:
            progress("decoding", len(heard), len(heard))
        return basses

    def hear(self, task: Task) -> Heard:
        """Reads and checks the inputs of a task.

        Raises:
          InputError: See `generate`.
        """
        return hear(task, self.defaults, self._preparation)

    @staticmethod
    def finish(heard: Heard, wave: np.ndarray) -> np.ndarray:
        """From what the codec decoded, whose memory is taken over, to the bass at the mix's level.

        Raises:
          InputError: If it is not finite.
        """
        return rendition.finished(heard, wave)


def _side_by_side(function: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """What a function, which is mostly numpy's work, makes of several songs: on all cores."""
    if len(items) == 1:
        return [function(items[0])]
    with ThreadPoolExecutor(min(len(items), os.cpu_count() or 1)) as pool:
        return list(pool.map(function, items))


def load(
    weights: str | Path = "small",
    adapter: str | Path | None = None,
    rows: int | None = None,
) -> BassGenerator:
    """Loads a generator. Compiled programs are kept between runs, as on the command line.

    Args:
      weights: The name of released weights, or a folder with `mix_codec.safetensors`,
        `bass_codec.safetensors` and `unet.safetensors`.
      adapter: An `adapter.safetensors` that was trained on these weights, such as one of your
        own sound.
      rows: How many basses are played at once, idle ones included, whose rounding is that of a job
        of many songs; by default as many as there are.

    Raises:
      InputError: If there are no such weights, or they do not belong together.
    """
    keep_programs()
    check_devices()
    return BassGenerator(load_weights(weights, adapter), rows=rows)
