"""Reads and checks a task before anything is generated."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np

from bassdiff.audio.channels import channels_lufs, to_mono
from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.loudness import loudness_lufs
from bassdiff.audio.pitchedness import pitchless
from bassdiff.audio.resampling import resample
from bassdiff.audio.tuning import at_speed, speed_of
from bassdiff.data.mixing import MIX_LUFS
from bassdiff.diffusion.settings import Sampling
from bassdiff.inference import loop
from bassdiff.inference.analysis import resolved
from bassdiff.inference.conditioning import (
    FRAME_SECONDS,
    SILENCE_LUFS,
    Grounding,
    Preparation,
    Start,
)
from bassdiff.inference.control import Control
from bassdiff.inference.grid import Grid
from bassdiff.inference.inputs import Task, check_length, check_loop, check_seed
from bassdiff.inference.samples import checked, whole_rate
from bassdiff.models.features import LATENT_HOP
from bassdiff.runtime.errors import InputError


@dataclasses.dataclass(frozen=True)
class Heard:
    """A task whose mix has been read.

    Attributes:
      sampling: Its settings.
      wave: `[N]` the mix at 44.1 kHz, in tune.
      length: N, which counts when the wave has been let go.
      slower: The factor by which the mix was slowed down, to be in tune.
      gain: Factor to the level at which codecs encode mixes.
      level: The same for the loudness of all channels together; the bass is divided by it.
      num_samples: Length of the mix at its own rate.
      sample_rate_hz: That rate.
      start: Where sampling starts.
      grounding: Its sound.
      held: `[T]` float32, 1 where one note is held.
      log_prior: `[T, 48]`, which notes are likelier, in nats.
      seed: Seed of the noise.
      quantise: How far onsets are moved to the grid.
      grid: Beats in the time of `wave`, if they are known.
      loops: Whether its end is to meet its beginning.
      bass_lufs: The loudness of what is played; None for that of a bass in the mix.
      gain_db: How much louder than that it is.
    """

    sampling: Sampling
    wave: np.ndarray
    length: int
    slower: float
    gain: float
    level: float
    num_samples: int
    sample_rate_hz: int
    start: Start | None
    grounding: Grounding
    held: np.ndarray
    log_prior: np.ndarray
    seed: int
    quantise: float
    grid: Grid | None
    loops: bool
    bass_lufs: float | None
    gain_db: float

    def forgotten(self) -> Heard:
        """The same without its wave, which nothing needs once it is encoded."""
        return dataclasses.replace(self, wave=np.zeros(0, np.float32))


def hear(task: Task, defaults: Sampling, preparation: Preparation) -> Heard:
    """Reads and checks all that a task brings.

    Args:
      task: What to play.
      defaults: Settings where it has none.
      preparation: Encodes references and drafts.

    Raises:
      InputError: A part of the task cannot be used.
    """
    sampling = task.sampling or defaults
    check_seed(task.seed)
    check_loop(task)
    sample_rate_hz = whole_rate(task.sample_rate_hz)
    channels = checked("the mix", task.mix)
    given = to_mono(channels)
    num_samples = len(given)
    check_length("the mix", num_samples, sample_rate_hz)
    wave = resample(given, sample_rate_hz, SAMPLE_RATE_HZ)
    control = resolved(task.control or Control(), wave)
    slower = speed_of(control.tuning_cents or 0.0)
    if task.loops:
        frames, slower = loop.whole_frames(len(given), sample_rate_hz, slower)
        wave = loop.heard(given, sample_rate_hz, frames, slower)
    elif slower != 1.0:
        wave = resample(at_speed(given, slower), sample_rate_hz, SAMPLE_RATE_HZ)
    del given
    num_frames = -(-len(wave) // LATENT_HOP)
    # Before the constant is removed, which copies the wave: both take memory.
    held = np.zeros(num_frames, bool)
    if preparation.has_pitch:
        held = pitchless(wave, num_frames, FRAME_SECONDS)
    # A constant is not heard, and would be taken for the lowest of notes.
    constant = wave.mean(dtype=np.float64).astype(np.float32)
    is_ours = task.takes_over or not np.may_share_memory(wave, channels)
    wave = np.subtract(wave, constant, out=wave if is_ours else None)
    # The codec hears one signal; how loud the bass is to be, all channels together decide.
    heard_lufs = loudness_lufs(wave, SAMPLE_RATE_HZ)
    level_lufs = task.level_lufs
    if level_lufs is None:
        level_lufs = channels_lufs(channels, sample_rate_hz)
    gain = level = 1.0
    if min(heard_lufs, level_lufs) > SILENCE_LUFS:
        gain, level = (10.0 ** ((MIX_LUFS - x) / 20.0) for x in (heard_lufs, level_lufs))
    else:
        warnings.warn("the mix is silent; the bass has nothing to follow", stacklevel=5)
    start = None
    if task.draft is not None:
        if control.bass_lufs is not None or control.gain_db:
            raise InputError(
                "what is played to a bass that is named has its level; leave out --bass-lufs and "
                "--gain-db"
            )
        start = preparation.start(task.draft, sample_rate_hz, num_samples, slower)
    seconds, frame_seconds = num_samples / sample_rate_hz, FRAME_SECONDS / slower
    grounding = preparation.grounding(
        task.style, sample_rate_hz, sampling, num_frames, seconds, frame_seconds
    )
    log_prior = control.log_prior(num_frames, frame_seconds, seconds, sampling.chord_strength)
    if log_prior.any() and not preparation.has_pitch:
        raise InputError(
            "these weights' codec has no pitch channels to follow chords or a key in; leave out "
            "them, --avoid-below and --avoid-above"
        )
    # Given chords take the place of one held note.
    held = held & ~log_prior.any(axis=1)
    line = control.line(num_frames, frame_seconds)
    if line is not None:
        start = preparation.with_line(line, start, 1.0 / level)
        held = held & ~line.wanted
    is_played = start is None or start.sigma_max > 0.0
    if sampling.pedal and is_played and held.all():
        warnings.warn(
            "no pitch is heard in the mix, so the bass holds one note; pedal 0 lets it choose",
            stacklevel=5,
        )
    return Heard(
        sampling,
        wave,
        len(wave),
        slower,
        gain,
        level,
        num_samples,
        sample_rate_hz,
        start,
        grounding,
        held,
        log_prior,
        task.seed,
        control.quantise if is_played else 0.0,
        None if control.grid is None else control.grid.scaled(slower),
        task.loops,
        control.bass_lufs,
        control.gain_db,
    )
