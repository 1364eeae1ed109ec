"""The bassist: mix audio in, bass audio out."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bassdiff.audio.io import SAMPLE_RATE_HZ, loudness_lufs, resample
from bassdiff.audio.pitched import pitchless
from bassdiff.data.mixing import BASS_LUFS, MIX_LUFS
from bassdiff.diffusion import sampler
from bassdiff.diffusion.denoiser import precondition
from bassdiff.diffusion.editing import Keep
from bassdiff.diffusion.grounding import StyleGrounding, StyleReplacement
from bassdiff.diffusion.guidance import Chain, chain
from bassdiff.diffusion.pedal import Pedal
from bassdiff.errors import InputError
from bassdiff.material import Draft, Recording, Style
from bassdiff.models.features import LATENT_HOP
from bassdiff.models.unet import UNet
from bassdiff.preparation import SILENCE_LUFS, Preparation, Start, mono, whole_rate
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.release import Weights, load_weights
from bassdiff.sampling import MAX_STEPS, Sampling
from bassdiff.types import Array, Cond, Denoise, Guidance, PyTree, Solver

MIN_SECONDS = 1.0
MAX_SECONDS = 3600.0
# Lengths, in latent frames, that the sampler is compiled for: 24 s, 71 s, 143 s, ... Few, since
# compiling one takes longer than the frames that rounding up adds.
FRAME_BUCKETS = (512, 1536, 3072, 4608, 6144, 9216, 13824, 41472, 77824)
STEPS_PER_CALL = 5
SILENT_DB = 30.0
ODD_LEVEL_DB = 10.0

Progress = Callable[[int, int], None]


def _denoiser(model: UNet, params: PyTree, window: Guidance) -> Denoise:
    def network(x: Array, sigma: Array, cond: Cond) -> Array:
        return model.apply({"params": params}, x, sigma, cond)

    return window(precondition(network))


@functools.partial(jax.jit, static_argnums=0, donate_argnames="trajectory")
def _advance(
    model: UNet,
    window: Guidance,
    params: PyTree,
    solver: Solver,
    guidance: Chain,
    sigmas: Array,
    cond: Cond,
    draft: Array,
    trajectory: sampler.Trajectory,
    first: Array,
    last: Array,
    num_steps: Array,
    seed: Array,
) -> sampler.Trajectory:
    """Some of the steps; those from level 0 begin with noise, those to the last jump to zero."""
    noise_key, step_key = jax.random.split(jax.random.key(seed))
    denoise = _denoiser(model, params, window)

    def begin(at: sampler.Trajectory) -> sampler.Trajectory:
        # Of the latents' type, or another one would be drawn where JAX prefers float64.
        noise = jax.random.normal(noise_key, at.x.shape, at.x.dtype)
        return sampler.begin(solver, noise, sigmas[0], draft)

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
    program per solver, guidance and grounding, whatever the other settings.
    """

    def __init__(self, weights: Weights) -> None:
        self._unet = weights.unet
        self._params = jax.device_put(weights.unet.params)
        self.mix_codec = Codec(weights.mix_codec)
        self.bass_codec = Codec(weights.bass_codec)
        self._preparation = Preparation(self.bass_codec)
        self._note_codes = self.bass_codec.note_codes()
        self.defaults = Sampling.of_weights(weights.unet.bindings)

    def generate(
        self,
        mix: np.ndarray,
        sample_rate_hz: int,
        *,
        style: Recording | Sequence[Style] | None = None,
        draft: Draft | None = None,
        seed: int = 0,
        sampling: Sampling | None = None,
        progress: Progress | None = None,
        **knobs: Any,
    ) -> np.ndarray:
        """Plays a bass to a mix.

        Args:
          mix: `[N]` or `[N, channels]` floats whose full scale is 1, 1 s to 1 h.
          sample_rate_hz: Its rate, in Hz.
          style: A bass recording whose sound to take: a file, or samples `[N]` or
            `[N, channels]` at the mix's rate; or several as `Style`s, to blend or to take
            turns. None leaves the sound to the model.
          draft: A bass to edit, continue, vary or give another sound; see `material.py`.
          seed: The same seed gives the same bass.
          sampling: Settings; the weights' defaults when None.
          progress: Called with (steps done, steps in all) now and then.
          **knobs: Single settings of `Sampling` to change, such as `guidance=4.0`.

        Returns:
          `[N]` float32 at the mix's rate, mono and aligned with it, as loud as a bass in it
          should be, or as the draft is: `mix + bass`, or `mix + bass[:, None]` with channels, is
          the mixdown. Like any sum it may exceed full scale. What a draft keeps is its codec's
          round trip.

        Raises:
          InputError: If the mix, the style or the draft cannot be used, a setting is out of
            range, or the weights do not get anywhere with these settings.
        """
        known_knobs = [field.name for field in dataclasses.fields(Sampling)]
        for name in knobs:
            if name not in known_knobs:
                raise InputError(f"unknown setting {name!r}; choose among {', '.join(known_knobs)}")
        sampling = dataclasses.replace(sampling or self.defaults, **knobs)
        if "guidance" in knobs and sampling.guidance_kind == "none":
            warnings.warn(
                "guidance does nothing here: these settings have none, or it is in the weights; "
                "choose a guidance_kind to add some",
                stacklevel=2,
            )
        check_seed(seed)
        sample_rate_hz = whole_rate(sample_rate_hz)
        given = mono("the mix", mix)
        check_length("the mix", len(given), sample_rate_hz)
        wave = resample(given, sample_rate_hz, SAMPLE_RATE_HZ)
        gain = 1.0
        if (loudness := loudness_lufs(wave, SAMPLE_RATE_HZ)) > SILENCE_LUFS:
            gain = 10.0 ** ((MIX_LUFS - loudness) / 20.0)
        else:
            warnings.warn("the mix is silent; the bass has nothing to follow", stacklevel=2)
        start = None
        if draft is not None:
            start = self._preparation.start(draft, sample_rate_hz, len(wave))
        bucket = _bucket(-(-len(wave) // LATENT_HOP))
        grounding = self._preparation.grounding(
            style, sample_rate_hz, sampling, bucket, len(wave) / SAMPLE_RATE_HZ
        )
        held = pitchless(wave, -(-len(wave) // LATENT_HOP), LATENT_HOP / SAMPLE_RATE_HZ)
        is_played = start is None or start.sigma_max > 0.0
        if sampling.pedal and is_played and held.all():
            warnings.warn(
                "no pitch is heard in the mix, so the bass holds one note; pedal 0 lets it choose",
                stacklevel=2,
            )
        # A mix may peak far above its loudness; a codec has no ceiling, so nothing clips.
        mix_latents = self.mix_codec.encode(wave * np.float32(gain))
        latents = self.sample(mix_latents, sampling, seed, grounding, start, progress, held)
        bass = self.bass_codec.decode(latents)[: len(wave)]
        _check_sound(bass)
        if start is None:
            bass = bass / np.float32(gain)
        else:
            bass = self._preparation.spliced(bass, start) * np.float32(start.gain)
        return resample(bass, SAMPLE_RATE_HZ, sample_rate_hz, num_samples=len(given))

    def sample(
        self,
        mix_latents: np.ndarray,
        sampling: Sampling,
        seed: int = 0,
        grounding: StyleGrounding | StyleReplacement | None = None,
        start: Start | None = None,
        progress: Progress | None = None,
        held: np.ndarray | None = None,
    ) -> np.ndarray:
        """Latents `[T, C']` of a mix to latents `[T, C]` of a bass, both normalised.

        In frames where `held` `[T]` is true, the bass stays on one note; None is nowhere.
        """
        frames, channels = len(mix_latents), self._unet.model.num_channels
        bucket = _bucket(frames)
        # All are always in the chain: with or without a style or a draft it is one program.
        if grounding is None:
            grounding = self._preparation.grounding(None, SAMPLE_RATE_HZ, sampling, bucket)
        if start is None:
            nothing = np.zeros((frames, channels), np.float32)
            start = Start(nothing, nothing)
        if start.sigma_max == 0.0:
            # Without noise there is nothing to sample.
            return start.known

        def padded(rows: np.ndarray) -> np.ndarray:
            return np.pad(rows, ((0, bucket - frames), (0, 0)))[None]

        share = np.zeros(bucket, np.float32)
        if held is not None:
            share[:frames] = sampling.pedal * held

        cond = Cond(
            padded(mix_latents),
            np.ones(1, np.float32),
            np.full(1, frames, np.int32),
            *self._preparation.style_condition(grounding, 1),
            mix_noise=np.zeros(1, np.float32),
        )
        levels = sampling.sigmas(start.sigma_max)
        # Padded to one length, so that the number of steps does not recompile either.
        sigmas = np.pad(levels, (0, MAX_STEPS - sampling.steps), constant_values=levels[-1])
        solver, known = sampling.make_solver(), padded(start.known)
        guidance = chain(
            *sampling.make_guidance(sigmas),
            grounding,
            Pedal(self._note_codes, self.bass_codec.wave_channels, share),
            Keep(known, padded(start.keep)),
        )
        shape = (1, bucket, channels)
        empty = jax.eval_shape(lambda: sampler.begin(solver, jnp.zeros(shape), jnp.ones(())))
        trajectory = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), empty)
        for first, last in _calls(sampling.steps):
            trajectory = _advance(
                self._unet.model,
                sampling.window(bucket),
                self._params,
                solver,
                guidance,
                sigmas,
                cond,
                known,
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

    def round_trip(self, bass: np.ndarray) -> np.ndarray:
        """The bass codec's reconstruction of a waveform `[N]` at 44.1 kHz, `[N]`."""
        return self.bass_codec.decode(self.bass_codec.encode(bass))[: len(bass)]


def _check_sound(bass: np.ndarray) -> None:
    """Says what came out wrong, and which setting to change.

    Args:
      bass: `[N]` at 44.1 kHz, at the level at which codecs hear basses.
    """
    if not np.all(np.isfinite(bass)):
        raise InputError(
            "these weights play nothing finite with these settings; lower the guidance, take "
            "more steps or use other weights"
        )
    excess_db = loudness_lufs(bass, SAMPLE_RATE_HZ) - BASS_LUFS
    if excess_db < -SILENT_DB:
        warnings.warn(
            "the bass came out silent; try another seed, lower the guidance or take more steps",
            stacklevel=3,
        )
    elif abs(excess_db) > ODD_LEVEL_DB:
        what = "louder" if excess_db > 0 else "softer"
        remedy = (
            "lower the guidance or raise the rescale"
            if excess_db > 0
            else ("raise the guidance or lower the rescale")
        )
        warnings.warn(
            f"the bass came out {abs(excess_db):.0f} dB {what} than basses are; {remedy}",
            stacklevel=3,
        )


def _bucket(frames: int) -> int:
    return next(size for size in FRAME_BUCKETS if size >= frames)


def _calls(num_steps: int) -> Iterator[tuple[int, int]]:
    """Splits the levels 0 .. num_steps - 1 into short runs, so that progress can be shown."""
    for first in range(0, num_steps - 1, STEPS_PER_CALL):
        yield first, min(first + STEPS_PER_CALL, num_steps - 1)


def check_length(name: str, num_samples: int, sample_rate_hz: int) -> None:
    """Checks that a mix has a length that can be played to.

    Raises:
      InputError: If it is shorter than 1 s or longer than 1 h.
    """
    seconds = num_samples / sample_rate_hz
    if seconds < MIN_SECONDS:
        raise InputError(f"{name} is {seconds:.3f} s long; give a mix of 1 s at least")
    if seconds > MAX_SECONDS:
        raise InputError(f"{name} is longer than 1 h; cut it and play to the parts")


def check_seed(seed: int) -> None:
    """Checks that a seed fits the random generator.

    Raises:
      InputError: If it is negative or too large.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"the seed is {seed}; choose one from 0 to 2^32 - 1")


def load(weights: str | Path = "small", adapter: str | Path | None = None) -> Bassist:
    """Loads a bassist.

    Args:
      weights: The name of released weights, or a folder with `mix_codec.safetensors`,
        `bass_codec.safetensors` and `unet.safetensors`.
      adapter: An `adapter.safetensors` that was trained on these weights, such as one of your
        own sound.

    Raises:
      InputError: If there are no such weights, or they do not belong together.
    """
    return Bassist(load_weights(weights, adapter))
