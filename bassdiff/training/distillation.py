"""Distillation: sampling in a few evaluations instead of dozens.

The student steps down K noise levels. From its place at a level, the guided teacher takes many
small steps to the next level, and the student learns the estimate whose single Euler step ends in
the same place. The student therefore includes guidance, and K evaluations of a single batch replace
the teacher's steps on a doubled one. Half of the rows are told the style of a reference. This is
progressive distillation (arXiv 2202.00512) in one round instead of log2(steps), on the student's
own path instead of noised data. It has exact targets and needs no second network, which suits short
runs. The student is a low-rank adapter of the teacher, so that both fit into one small download.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bassdiff.diffusion import sampler
from bassdiff.diffusion.chain import chain
from bassdiff.diffusion.denoiser import precondition
from bassdiff.diffusion.request import LatentLayout
from bassdiff.diffusion.rows import row_keys
from bassdiff.diffusion.schedules import cosine
from bassdiff.diffusion.solvers import DPMpp2M, Euler
from bassdiff.diffusion.types import Array, Cond, Denoise, Guidance, PyTree
from bassdiff.models.adapter import adapted, init_adapter
from bassdiff.models.unet import UNet
from bassdiff.training.guard import gradient_step
from bassdiff.training.log import RunLog
from bassdiff.training.objective import Objective
from bassdiff.training.sharding import collected, spread
from bassdiff.training.state import TrainState, fresh_state

# Steps of the teacher for the reference in validation.
NUM_FINE_STEPS = 50


@dataclasses.dataclass(frozen=True)
class DistillationObjective(Objective):
    """Trains an adapter that samples in as many evaluations as there are levels.

    Attributes:
      model: The network of teacher and student.
      teacher: Its parameters.
      optimizer: The adapter's optimiser.
      ema_decay: Decay of the average that is released.
      rank: Rank of the adapter.
      levels: `[K]` strictly decreasing noise levels, the student's schedule.
      sigma_min: The teacher's last level, below the student's last one.
      num_substeps: The teacher's steps from one level to the next.
      contrast: The teacher's guidance, which the student learns.
      layout: Meaning of the channels of the bass's latents.
      validation: `{"mix": [n, T, C'], "reference": [n, T, C]}`, normalised, from unseen songs.
      bindings: Recorded with the weights: the teacher and the sampling defaults.
    """

    model: UNet
    teacher: PyTree
    optimizer: optax.GradientTransformation
    ema_decay: float
    rank: int
    levels: np.ndarray
    sigma_min: float
    num_substeps: int
    contrast: tuple[Guidance, ...]
    layout: LatentLayout
    validation: dict[str, np.ndarray]
    bindings: dict[str, Any]

    def init(self, key: Array) -> TrainState:
        """An adapter that does not change the teacher."""
        return fresh_state(init_adapter(key, self.teacher, self.rank), self.optimizer)

    def denoiser(self, adapter: PyTree | None = None) -> Denoise:
        """The denoiser of the teacher, or of the student given its adapter."""
        params = self.teacher if adapter is None else adapted(self.teacher, adapter)

        def network(x: Array, sigma: Array, cond: Cond) -> Array:
            return self.model.apply({"params": params}, x, sigma, cond)

        return precondition(network)

    def condition(self, mix: Array, reference: Array, told: Array) -> Cond:
        """The condition of mixes `[B, T, C']` and, where `told` `[B]`, the references' styles."""
        rows, frames = mix.shape[:2]
        return Cond(
            mix=mix,
            keep=jnp.ones(rows),
            frames=jnp.full(rows, frames, jnp.int32),
            style=self.layout.style(reference),
            keep_style=told.astype(jnp.float32),
            mix_noise=jnp.zeros(rows),
        )

    def target(self, x: Array, level: Array, cond: Cond) -> Array:
        """The estimate whose single Euler step ends where the teacher's small steps end.

        Args:
          x: `[B, T, C]` at `levels[level]`.
          level: Index, an integer scalar.
          cond: Condition.
        """
        lower = np.append(self.levels[1:], self.sigma_min)
        ladders = np.geomspace(self.levels, lower, self.num_substeps + 1, axis=1)
        sigmas = jnp.asarray(ladders, jnp.float32)[level]
        teacher, guidance, solver = self.denoiser(), chain(*self.contrast), DPMpp2M()
        # From the last level both jump to zero.
        last = level == len(self.levels) - 1
        at = sampler.advance(
            teacher,
            solver,
            guidance,
            sampler.to_zero(sigmas),
            cond,
            sampler.Trajectory(x, solver.init(x)),
            0,
            self.num_substeps + last.astype(jnp.int32),
            _no_noise(x),
        )
        ratio = jnp.where(last, 0.0, sigmas[-1] / sigmas[0])
        return (at.x - ratio * x) / (1.0 - ratio)

    def reach(self, adapter: PyTree, noise: Array, level: Array, cond: Cond) -> Array:
        """The student's latents at `levels[level]`, starting from unit noise `[B, T, C]`.

        Training on the student's own path matches sampling: the path of a guided model differs from
        noised data, and the student must correct its own errors.
        """
        solver, levels = Euler(), jnp.asarray(self.levels)
        at = sampler.begin(solver, noise, levels[0])
        at = sampler.advance(
            self.denoiser(adapter), solver, chain(), levels, cond, at, 0, level, _no_noise(noise)
        )
        return at.x

    def loss(self, adapter: PyTree, cond: Cond, level: Array, noise: Array) -> Array:
        """Mean squared error of the student's velocity at one level of its own path."""
        sigma = jnp.asarray(self.levels)[level]
        x = self.reach(jax.lax.stop_gradient(adapter), noise, level, cond)
        target = jax.lax.stop_gradient(self.target(x, level, cond))
        estimate = self.denoiser(adapter)(x, jnp.full(x.shape[0], sigma), cond)
        # Converts an error of x0 to one of the velocity.
        weight = 1.0 + 1.0 / jnp.square(sigma)
        return weight * jnp.mean(jnp.square(estimate - target))

    def train_step(
        self, state: TrainState, batch: dict[str, Array], key: Array
    ) -> tuple[TrainState, dict[str, Array]]:
        """One optimiser step, at one level for the whole batch."""
        level_key, noise_key, style_key = jax.random.split(key, 3)
        level = jax.random.randint(level_key, (), 0, len(self.levels))
        noise = jax.random.normal(noise_key, batch["bass"].shape)
        told = jax.random.bernoulli(style_key, shape=noise.shape[:1])
        cond = self.condition(batch["mix"], batch["reference"], told)
        loss, grads = jax.value_and_grad(self.loss)(state.params, cond, level, noise)
        return gradient_step(state, loss, grads, self.optimizer, self.ema_decay)

    def validate(self, state: TrainState, log: RunLog) -> float:
        """Distance of the student's basses to the teacher's with many steps, on unseen songs.

        All start from the same noise, every other row with a style. `undistilled` is the guided
        teacher on the student's levels, as a baseline. Distances are RMS differences of
        unit-variance latents.
        """
        mix, reference = (jnp.asarray(self.validation[name]) for name in ("mix", "reference"))
        cond = collected(self.condition(mix, reference, jnp.arange(len(mix)) % 2))
        noise = collected(jax.random.normal(jax.random.key(0), reference.shape))
        squares = collected(self._squares(state.ema, *spread((cond, noise))))
        distances = {
            name: float(np.sqrt(np.mean(of_rows[: len(noise)])))
            for name, of_rows in squares.items()
        }
        log.scalars(int(state.step), {f"validation/{name}": d for name, d in distances.items()})
        return distances["distilled"]

    @functools.cached_property
    def _squares(self) -> Callable[[PyTree, Cond, Array], dict[str, Array]]:
        """Mean squares `[B]` of differences from the teacher with many steps."""

        @jax.jit
        def squares(adapter: PyTree, cond: Cond, noise: Array) -> dict[str, Array]:
            keys = _no_noise(noise)
            fine = jnp.asarray(cosine(NUM_FINE_STEPS, self.sigma_min, float(self.levels[0])))
            teacher, guided = self.denoiser(), chain(*self.contrast)
            levels = jnp.asarray(self.levels)
            truth = sampler.sample(teacher, DPMpp2M(), guided, fine, cond, noise, keys)
            before = sampler.sample(teacher, Euler(), guided, levels, cond, noise, keys)
            denoise = self.denoiser(adapter)
            student = sampler.sample(denoise, Euler(), chain(), levels, cond, noise, keys)
            return {
                "distilled": jnp.mean(jnp.square(student - truth), axis=(1, 2)),
                "undistilled": jnp.mean(jnp.square(before - truth), axis=(1, 2)),
            }

        return squares

    def export(self, state: TrainState, folder: Path) -> None:
        """Writes `adapter.safetensors`."""
        from bassdiff.pretrained.weights import save_adapter

        save_adapter(
            folder / "adapter.safetensors",
            jax.device_get(state.ema),
            bindings=self.bindings,
            training={"steps": int(state.step), "rank": self.rank},
        )


def _no_noise(x: Array) -> Array:
    """Keys `[B]` for solvers that take keys but draw no noise."""
    return row_keys(jnp.zeros(x.shape[0]))
