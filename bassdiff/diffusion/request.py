"""A request to the sampler: a batch of basses to generate, one per row.

`play` is the one way from mixes' latents to basses' latents. A musician's command, the evaluation
during training and the tasks of `evaluation` all make a `Request` and call it.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from bassdiff.diffusion import sampler
from bassdiff.diffusion.chain import Chain, chain
from bassdiff.diffusion.editing import Keep
from bassdiff.diffusion.grounding import StyleGrounding, StyleReplacement
from bassdiff.diffusion.pedal_point import Pedal
from bassdiff.diffusion.pitch_prior import PitchPrior
from bassdiff.diffusion.rows import row_keys, row_noise
from bassdiff.diffusion.statistics import Sounding, sounding_mean
from bassdiff.diffusion.steadiness import Steadiness
from bassdiff.diffusion.types import Array, Cond, Denoise, Guidance, Solver

# The most styles that may take turns in one song.
MAX_SECTIONS = 8


class LatentLayout(struct.PyTreeNode):
    """The meaning of the channels of a bass's latents.

    Attributes:
      sound: `[C]`, 1 for channels that hold sound and 0 for those that hold notes.
      dynamics: `[C]`, 1 for channels of sound that tell how it moves inside a frame; see
        `Steadiness`.
      notes: `[S, C]`, 1 for channels that hold the pitch, but not whether it sounds, in each of
        the spans of time that a frame consists of.
      note_codes: `[P, C]` latents that hold each note.
      sounding: How much of a frame sounds.
    """

    sound: Array
    dynamics: Array
    notes: Array
    note_codes: Array
    sounding: Sounding

    def style(self, bass: Array) -> Array:
        """The sound of basses `[B, T, C]`, `[B, C]`: means over what sounds, 0 for notes."""
        mean = sounding_mean(bass, self.sounding, jnp.ones((*bass.shape[:2], 1)))[:, 0]
        return mean * jnp.asarray(self.sound)[None]


class Request(struct.PyTreeNode):
    """A batch of basses to generate. Every leaf has the batch as its first axis.

    Attributes:
      mix: `[B, T, C']` normalised latents of the mixes.
      frames: `[B]` int32, how many leading frames of each row are real.
      seed: `[B]` uint32; the same seed gives the same bass.
      levels: `[B, K]` noise levels, decreasing to 0 and 0 from there on.
      known: `[B, T, C]` latents of a bass to start from; 0 where there is none.
      keep: `[B, T, C]`, 1 where they are kept.
      style: `[B, S, C]` mean over sounding frames of the latents of references.
      spread: `[B, S, C]` their standard deviation.
      sections: `[B, T, S]` how much of a frame is in which reference's sound.
      style_strength: `[B]`, 0 for none.
      match_spread: `[B]`, 0 to match means only, 1 to match deviations too.
      held: `[B, T]`, 0 to 1, how much a frame is held on one note; see `Pedal`.
      log_prior: `[B, T, P]` which notes are likelier, in nats; see `PitchPrior`.
      steadiness: `[B]`, 0 to 1, how equal the sound of equal notes is kept; see `Steadiness`.
      contrast: The guidance that contrasts estimates with and without the mix; its numbers are
        `[B]`.
      replaces_mean: Whether the style replaces the mean of x and not that of the estimate; for
        all rows.
      loops: Whether the basses are loops, whose last frame comes before their first; all rows.
    """

    mix: Array
    frames: Array
    seed: Array
    levels: Array
    known: Array
    keep: Array
    style: Array
    spread: Array
    sections: Array
    style_strength: Array
    match_spread: Array
    held: Array
    log_prior: Array
    steadiness: Array
    contrast: tuple[Guidance, ...] = ()
    replaces_mean: bool = struct.field(pytree_node=False, default=False)
    loops: bool = struct.field(pytree_node=False, default=False)

    @classmethod
    def plain(
        cls,
        mix: np.ndarray,
        levels: np.ndarray,
        num_channels: int,
        contrast: tuple[Guidance, ...] = (),
        seed: int = 0,
        num_pitches: int = 1,
    ) -> Request:
        """Basses to mixes `[B, T, C']`, without a style or a draft.

        Args:
          mix: `[B, T, C']`, all of it real.
          levels: `[K]` noise levels, positive.
          num_channels: C.
          contrast: With numbers for all rows.
          seed: The first row's; each further row adds 1.
          num_pitches: P of the layout, for a `log_prior` that is set later; 1 for none.
        """
        rows, frames = mix.shape[:2]
        return cls(
            mix=mix,
            frames=np.full(rows, frames, np.int32),
            seed=np.uint32(seed) + np.arange(rows, dtype=np.uint32),
            levels=np.tile(np.append(levels, 0.0).astype(np.float32), (rows, 1)),
            known=np.zeros((rows, frames, num_channels), np.float32),
            keep=np.zeros((rows, frames, num_channels), np.float32),
            style=np.zeros((rows, MAX_SECTIONS, num_channels), np.float32),
            spread=np.ones((rows, MAX_SECTIONS, num_channels), np.float32),
            sections=np.tile(np.eye(1, MAX_SECTIONS, dtype=np.float32), (rows, frames, 1)),
            style_strength=np.zeros(rows, np.float32),
            match_spread=np.zeros(rows, np.float32),
            held=np.zeros((rows, frames), np.float32),
            log_prior=np.zeros((rows, frames, num_pitches), np.float32),
            steadiness=np.zeros(rows, np.float32),
            contrast=jax.tree.map(lambda value: np.full(rows, value, np.float32), contrast),
        )

    def padded(self, num_frames: int) -> Request:
        """The same with padding after the real frames, up to `num_frames` in all."""
        extra = num_frames - self.mix.shape[1]

        def pad(values: Array) -> np.ndarray:
            return np.pad(values, [(0, 0), (0, extra)] + [(0, 0)] * (np.ndim(values) - 2))

        by_frame = ("mix", "known", "keep", "sections", "held", "log_prior")
        return self.replace(**{name: pad(getattr(self, name)) for name in by_frame})

    def cond(self, layout: LatentLayout) -> Cond:
        """The network's condition.

        In training it saw one style at a time: where several take turns, grounding alone acts.
        """
        used = jnp.any(jnp.asarray(self.sections) > 0.0, axis=1)  # [B, S]
        one = (jnp.sum(used, axis=1) == 1) & (jnp.asarray(self.style_strength) > 0.0)
        told = (used & one[:, None]).astype(jnp.float32)
        style = jnp.einsum("bs,bsc->bc", told, self.style) * jnp.asarray(layout.sound)[None]
        rows = self.mix.shape[0]
        return Cond(
            mix=jnp.asarray(self.mix),
            keep=jnp.ones(rows, jnp.float32),
            frames=jnp.asarray(self.frames),
            style=style,
            keep_style=one.astype(jnp.float32),
            mix_noise=jnp.zeros(rows, jnp.float32),
        )

    def guidance(self, layout: LatentLayout) -> Chain:
        """The guidance, grounding and edits of a step, in their order.

        All links are always present, so one program serves with and without a style or a draft.
        """
        steady = Steadiness(
            layout.sound, layout.dynamics, layout.sounding, self.steadiness, self.loops
        )
        if self.replaces_mean:
            ground = StyleReplacement(self.style[:, :1], self.style_strength, layout.sound)
        else:
            ground = StyleGrounding(
                self.style,
                self.style_strength,
                layout.sound,
                layout.sounding,
                self.sections,
                self.spread,
                self.match_spread,
            )
        pedal = Pedal(layout.note_codes, jnp.sum(jnp.asarray(layout.notes), axis=0), self.held)
        prior = PitchPrior(layout.note_codes, layout.notes, self.log_prior)
        return chain(*self.contrast, steady, ground, pedal, prior, Keep(self.known, self.keep))


def stack(requests: Sequence[Request]) -> Request:
    """Several requests of one length and kind as one batch."""
    if len(requests) == 1:
        # Of a long song a copy would take memory.
        return requests[0]
    return jax.tree.map(lambda *rows: np.concatenate(rows), *requests)


def blank(solver: Solver, request: Request) -> sampler.Trajectory:
    """A trajectory that has not begun."""
    x = jax.eval_shape(lambda: jnp.zeros(request.known.shape, jnp.float32))
    shapes = jax.eval_shape(lambda x: sampler.Trajectory(x, solver.init(x)), x)
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


def play(
    denoise: Denoise,
    solver: Solver,
    layout: LatentLayout,
    request: Request,
    trajectory: sampler.Trajectory,
    first: Array | int,
    last: Array | int,
) -> sampler.Trajectory:
    """Takes a batch from level `first` to level `last`; a `first` of 0 begins with noise.

    Args:
      denoise: D(x, sigma, cond).
      solver: See `diffusion/solvers.py`.
      layout: The meaning of the bass's channels.
      request: What to play.
      trajectory: `blank`, or as an earlier call left it.
      first: Index of the level that the trajectory is at.
      last: Index of the level to go to. At a row's level 0, `x` is its bass.

    Returns:
      The trajectory there.
    """
    cond = request.cond(layout)
    start_keys, step_keys = (
        jax.vmap(jax.random.fold_in, (0, None))(row_keys(request.seed), n) for n in (0, 1)
    )

    def begin(at: sampler.Trajectory) -> sampler.Trajectory:
        noise = row_noise(start_keys, at.x)
        return sampler.begin(solver, noise, request.levels[:, 0, None, None], request.known)

    trajectory = jax.lax.cond(first == 0, begin, lambda at: at, trajectory)
    return sampler.advance(
        denoise,
        solver,
        request.guidance(layout),
        request.levels,
        cond,
        trajectory,
        first,
        last,
        step_keys,
    )


def rows_of(trajectory: sampler.Trajectory, frames: np.ndarray) -> list[np.ndarray]:
    """The basses' latents `[frames, C]`, without padding and without idle rows at the end."""
    return [row[:count] for row, count in zip(np.asarray(trajectory.x), frames, strict=False)]
