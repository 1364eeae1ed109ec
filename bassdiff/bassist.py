"""The bassist: mix audio in, bass audio out."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ, loudness_lufs, match_loudness, read_mono, resample
from bassdiff.data.mixing import BASS_LUFS, MIX_LUFS
from bassdiff.diffusion import sampler
from bassdiff.diffusion.denoiser import precondition
from bassdiff.diffusion.guidance import CFG, Chain, StyleGrounding, chain
from bassdiff.diffusion.schedules import SCHEDULES, SIGMA_MIN
from bassdiff.diffusion.solvers import SOLVERS
from bassdiff.errors import InputError
from bassdiff.models.autoencoder import NUM_PITCH_CHANNELS
from bassdiff.models.unet import UNet
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.release import Weights, load_weights
from bassdiff.types import Array, Cond, Denoise, PyTree, Solver

MIN_SECONDS = 1.0
MIN_STYLE_SECONDS = 0.5
MAX_SECONDS = 600.0
MAX_CHANNELS = 64
MAX_STEPS = 256
# Lengths, in latent frames, that the sampler is compiled for: 24 s, 71 s, 143 s, ... Few, since
# compiling one takes longer than the frames that rounding up adds.
FRAME_BUCKETS = (512, 1536, 3072, 4608, 6144, 9216, 13824)
STEPS_PER_CALL = 5
SILENCE_LUFS = -70.0

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How to sample. Weights bring their own defaults.

    Attributes:
      solver: A name in `SOLVERS`.
      schedule: A name in `SCHEDULES`.
      steps: Noise levels, 2 to 256.
      sigma_min: The last of them, 0.001 to 10. What is finer than that is not sampled but
        estimated at once: a model that is still weak there is better not asked.
      guidance: Weight of classifier-free guidance, 1 (off) upwards.
      rescale: Latent rescaling of the guided estimate, 0 to 1.
      style_strength: Weight of style grounding, 0 (off) upwards.
    """

    solver: str = "dpmpp2m"
    schedule: str = "cosine"
    steps: int = 30
    sigma_min: float = SIGMA_MIN
    guidance: float = 2.5
    rescale: float = 0.7
    style_strength: float = 1.0

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          InputError: For an unknown name or a value out of range.
        """
        for kind, name, known in (
            ("solver", self.solver, SOLVERS),
            ("schedule", self.schedule, SCHEDULES),
        ):
            if name not in known:
                raise InputError(f"unknown {kind} {name!r}; choose among {', '.join(known)}")
        for name, low, high in (
            ("steps", 2, MAX_STEPS),
            ("sigma_min", 0.001, 10.0),
            ("guidance", 0.0, 100.0),
            ("rescale", 0.0, 1.0),
            ("style_strength", 0.0, 10.0),
        ):
            if not low <= getattr(self, name) <= high:
                raise InputError(
                    f"{name} is {getattr(self, name)}; choose a value from {low} to {high}"
                )


def _denoiser(model: UNet, params: PyTree) -> Denoise:
    def network(x: Array, sigma: Array, cond: Cond) -> Array:
        return model.apply({"params": params}, x, sigma, cond)

    return precondition(network)


@functools.partial(jax.jit, static_argnums=0, donate_argnames="trajectory")
def _advance(
    model: UNet,
    params: PyTree,
    solver: Solver,
    guidance: Chain,
    sigmas: Array,
    cond: Cond,
    trajectory: sampler.Trajectory,
    first: Array,
    last: Array,
    num_steps: Array,
    seed: Array,
) -> sampler.Trajectory:
    """Some of the steps; those from level 0 begin with noise, those to the last jump to zero."""
    noise_key, step_key = jax.random.split(jax.random.key(seed))
    denoise = _denoiser(model, params)

    def begin(at: sampler.Trajectory) -> sampler.Trajectory:
        return sampler.begin(solver, jax.random.normal(noise_key, at.x.shape), sigmas[0])

    def jump(at: sampler.Trajectory) -> sampler.Trajectory:
        return at.replace(x=sampler.finish(denoise, guidance, sigmas[num_steps - 1], cond, at))

    def stay(at: sampler.Trajectory) -> sampler.Trajectory:
        return at

    trajectory = jax.lax.cond(first == 0, begin, stay, trajectory)
    trajectory = sampler.advance(
        denoise, solver, guidance, sigmas, cond, trajectory, first, last, step_key
    )
    return jax.lax.cond(last == num_steps - 1, jump, stay, trajectory)


class Bassist:
    """A mix codec's encoder, a denoiser and a bass codec, ready to play.

    Build one with `bassdiff.load`. All calls with songs of similar length share one compiled
    program per solver, whatever the other settings.
    """

    def __init__(self, weights: Weights) -> None:
        self._unet = weights.unet
        self._params = jax.device_put(weights.unet.params)
        self._mix_codec = Codec(weights.mix_codec)
        self._bass_codec = Codec(weights.bass_codec)
        # The reference lends its sound, not its notes.
        self._timbre = np.ones(self._bass_codec.num_channels, np.float32)
        if weights.bass_codec.model.has_pitch:
            self._timbre[:NUM_PITCH_CHANNELS] = 0.0
        self.defaults = Sampling(**weights.unet.bindings["sampling"])

    def generate(
        self,
        mix: np.ndarray,
        sample_rate_hz: int,
        *,
        style: str | Path | np.ndarray | None = None,
        seed: int = 0,
        sampling: Sampling | None = None,
        progress: Progress | None = None,
        **knobs: Any,
    ) -> np.ndarray:
        """Plays a bass to a mix.

        Args:
          mix: `[N]` or `[N, channels]` floats whose full scale is 1, 1 s to 10 min.
          sample_rate_hz: Its rate, in Hz.
          style: A bass recording whose sound to take: a file, or samples `[N]` or
            `[N, channels]` at the mix's rate. None leaves the sound to the model.
          seed: The same seed gives the same bass.
          sampling: Settings; the weights' defaults when None.
          progress: Called with (steps done, steps in all) now and then.
          **knobs: Single settings of `Sampling` to change, such as `guidance=4.0`.

        Returns:
          `[N]` float32 at the mix's rate, mono and aligned with it, as loud as a bass in it
          should be: `mix + bass`, or `mix + bass[:, None]` with channels, is the mixdown. Like
          any sum it may exceed full scale.

        Raises:
          InputError: If the mix or the style cannot be used, a setting is out of range, or the
            weights do not get anywhere with these settings.
        """
        known = [field.name for field in dataclasses.fields(Sampling)]
        for name in knobs:
            if name not in known:
                raise InputError(f"unknown setting {name!r}; choose among {', '.join(known)}")
        sampling = dataclasses.replace(sampling or self.defaults, **knobs)
        check_seed(seed)
        sample_rate_hz = _whole_rate(sample_rate_hz)
        mono = _mono("the mix", mix)
        check_length("the mix", len(mono), sample_rate_hz)
        wave = resample(mono, sample_rate_hz, SAMPLE_RATE_HZ)
        gain = 1.0
        if (loudness := loudness_lufs(wave, SAMPLE_RATE_HZ)) > SILENCE_LUFS:
            gain = 10.0 ** ((MIX_LUFS - loudness) / 20.0)
        else:
            warnings.warn("the mix is silent; the bass has nothing to follow", stacklevel=2)
        # A mix may peak far above its loudness; a codec has no ceiling, so nothing clips.
        mix_latents = self._mix_codec.encode(wave * np.float32(gain))
        links = [CFG(np.float32(sampling.guidance), np.float32(sampling.rescale))]
        target = np.zeros(self._bass_codec.num_channels, np.float32)
        strength = 0.0
        if style is not None:
            target = self.style_latent(style, sample_rate_hz)
            strength = sampling.style_strength
        # Always in the chain: with or without a style it is the same program.
        guidance = chain(*links, StyleGrounding(target, np.float32(strength), self._timbre))
        latents = self.sample(mix_latents, guidance, sampling, seed, progress)
        bass = self._bass_codec.decode(latents)[: len(wave)] / np.float32(gain)
        if not np.all(np.isfinite(bass)):
            raise InputError(
                "these weights play nothing finite with these settings; lower the guidance, take "
                "more steps or use other weights"
            )
        return resample(bass, SAMPLE_RATE_HZ, sample_rate_hz, num_samples=len(mono))

    def sample(
        self,
        mix_latents: np.ndarray,
        guidance: Chain,
        sampling: Sampling,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """Latents `[T, C']` of a mix to latents `[T, C]` of a bass, both normalised."""
        frames = len(mix_latents)
        bucket = next(size for size in FRAME_BUCKETS if size >= frames)
        cond = Cond(
            np.pad(mix_latents, ((0, bucket - frames), (0, 0)))[None],
            np.ones(1, np.float32),
            np.full(1, frames, np.int32),
        )
        levels = SCHEDULES[sampling.schedule](sampling.steps, sigma_min=sampling.sigma_min)
        # Padded to one length, so that the number of steps does not recompile either.
        sigmas = np.pad(levels, (0, MAX_STEPS - sampling.steps), constant_values=levels[-1])
        solver = SOLVERS[sampling.solver]()
        shape = (1, bucket, self._unet.model.num_channels)
        empty = jax.eval_shape(lambda: sampler.begin(solver, jnp.zeros(shape), jnp.ones(())))
        trajectory = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), empty)
        for first, last in _calls(sampling.steps):
            trajectory = _advance(
                self._unet.model,
                self._params,
                solver,
                guidance,
                sigmas,
                cond,
                trajectory,
                np.int32(first),
                np.int32(last),
                np.int32(sampling.steps),
                np.uint32(seed),
            )
            if progress is not None:
                jax.block_until_ready(trajectory)
                progress(last + 1, sampling.steps)
        return np.asarray(trajectory.x)[0, :frames]

    def style_latent(self, style: str | Path | np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """The average latent `[C]` of a bass recording, silence included.

        Raises:
          InputError: If the recording cannot be read or has no sound.
        """
        if isinstance(style, (str, Path)):
            name, wave = str(style), read_mono(style, SAMPLE_RATE_HZ)
        else:
            name, rate_hz = "the style reference", _whole_rate(sample_rate_hz)
            wave = resample(_mono(name, style), rate_hz, SAMPLE_RATE_HZ)
        if len(wave) < MIN_STYLE_SECONDS * SAMPLE_RATE_HZ:
            raise InputError(
                f"{name} is {len(wave) / SAMPLE_RATE_HZ:.3f} s long; give a style reference of "
                f"{MIN_STYLE_SECONDS} s at least"
            )
        if loudness_lufs(wave, SAMPLE_RATE_HZ) <= SILENCE_LUFS:
            raise InputError(f"{name} has no sound; give a recording of a bass playing")
        latents = self._bass_codec.encode(match_loudness(wave, SAMPLE_RATE_HZ, BASS_LUFS))
        return latents.mean(axis=0)

    def round_trip(self, bass: np.ndarray) -> np.ndarray:
        """The bass codec's reconstruction of a waveform `[N]` at 44.1 kHz, `[N]`."""
        return self._bass_codec.decode(self._bass_codec.encode(bass))[: len(bass)]


def _calls(num_steps: int) -> Iterator[tuple[int, int]]:
    """Splits the levels 0 .. num_steps - 1 into short runs, so that progress can be shown."""
    for first in range(0, num_steps - 1, STEPS_PER_CALL):
        yield first, min(first + STEPS_PER_CALL, num_steps - 1)


def _mono(name: str, samples: np.ndarray) -> np.ndarray:
    """`[N]` or `[N, channels]` samples as `[N]` float32."""
    values = np.asarray(samples)
    if not np.issubdtype(values.dtype, np.floating):
        raise InputError(
            f"{name} has samples of type {values.dtype}; give floats whose full scale is 1"
        )
    mono = values.astype(np.float32)
    wide = mono.ndim == 2 and mono.shape[1] > max(MAX_CHANNELS, mono.shape[0])
    if mono.ndim not in (1, 2) or not mono.size or wide:
        raise InputError(
            f"{name} has samples of shape {mono.shape}; give [N], or [N, channels] with time first"
        )
    mono = mono.mean(axis=1) if mono.ndim == 2 else mono
    if not np.all(np.isfinite(mono)):
        raise InputError(f"{name} holds values that are not finite; export it again")
    return mono


def _whole_rate(sample_rate_hz: float) -> int:
    if not (sample_rate_hz > 0 and sample_rate_hz == int(sample_rate_hz)):
        raise InputError(f"the sample rate is {sample_rate_hz} Hz; give a positive whole number")
    return int(sample_rate_hz)


def check_length(name: str, num_samples: int, sample_rate_hz: int) -> None:
    """Checks that a mix has a length that can be played to.

    Raises:
      InputError: If it is shorter than 1 s or longer than 10 min.
    """
    seconds = num_samples / sample_rate_hz
    if seconds < MIN_SECONDS:
        raise InputError(f"{name} is {seconds:.3f} s long; give a mix of 1 s at least")
    if seconds > MAX_SECONDS:
        raise InputError(f"{name} is longer than 10 min; cut it and play to the parts")


def check_seed(seed: int) -> None:
    """Checks that a seed fits the random generator.

    Raises:
      InputError: If it is negative or too large.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"the seed is {seed}; choose one from 0 to 2^32 - 1")


def load(weights: str | Path = "small") -> Bassist:
    """Loads a bassist.

    Args:
      weights: The name of released weights, or a folder with `mix_codec.safetensors`,
        `bass_codec.safetensors` and `unet.safetensors`.

    Raises:
      InputError: If there are no such weights, or they do not belong together.
    """
    return Bassist(load_weights(weights))
