"""The matching model's objective: symmetric InfoNCE over easily confused pairs."""

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

from bassdiff.diffusion.types import Array, PyTree
from bassdiff.models.matching import MatchingModel
from bassdiff.training.guard import gradient_step
from bassdiff.training.log import RunLog
from bassdiff.training.objective import Objective
from bassdiff.training.sharding import collected, spread
from bassdiff.training.state import TrainState, fresh_state


def info_nce(mix: Array, bass: Array, scale: Array) -> tuple[Array, Array]:
    """Symmetric InfoNCE of matched rows: each must pick its partner among all of the batch.

        -1/2 mean_i [log softmax_j(scale mix_i . bass_j)_i + log softmax_j(scale bass_i . mix_j)_i]

    Under `jit` a batch that is split over devices is still one batch: the product gathers the
    vectors, so every row has the rows of all devices as negatives.

    Args:
      mix: `[B, E]` unit vectors.
      bass: `[B, E]` unit vectors; row i belongs to row i of `mix`.
      scale: Inverse temperature.

    Returns:
      The loss, log(B) for vectors that say nothing, and the share of mixes that pick right.

    Source: arXiv 1807.03748; the symmetric form, arXiv 2103.00020.
    """
    logits = scale * (mix @ bass.T)
    own = jnp.diagonal(logits)
    rows = jax.nn.logsumexp(logits, axis=1) - own
    columns = jax.nn.logsumexp(logits, axis=0) - own
    picked = jnp.argmax(logits, axis=1) == jnp.arange(len(own))
    return 0.5 * jnp.mean(rows + columns), jnp.mean(picked.astype(jnp.float32))


@dataclasses.dataclass(frozen=True)
class MatchingObjective(Objective):
    """Trains a `MatchingModel` on batches of `data.pipeline.ConfusableCrops`.

    Attributes:
      model: The two towers.
      optimizer: Their optimiser.
      ema_decay: Decay of the average that is released.
      noise: Standard deviation of the noise added to what the towers read, in units of the
        features' own.
      mean: `{"bass": [C], "mix": [C']}`, subtracted from the features.
      std: Likewise `[C]` and `[C']`; the features are divided by them.
      validation: `{"bass": [n, V, T, C], "mix": [n, V, T, C']}` of unseen songs.
      bindings: Recorded with the weights: what the features are.
    """

    model: MatchingModel
    optimizer: optax.GradientTransformation
    ema_decay: float
    noise: float
    mean: dict[str, np.ndarray]
    std: dict[str, np.ndarray]
    validation: dict[str, np.ndarray]
    bindings: dict[str, Any]

    def init(self, key: Array) -> TrainState:
        """Fresh towers."""
        frames = jnp.full(1, self.model.window_frames, jnp.int32)
        sides = [
            jnp.zeros((1, self.model.window_frames, len(self.mean[side])))
            for side in ("mix", "bass")
        ]
        params = self.model.init(key, *sides, frames)["params"]
        return fresh_state(params, self.optimizer)

    def embed(self, params: PyTree, batch: dict[str, Array], noise_key: Array | None) -> Any:
        """Vectors of both sides, one row per view, and the scale."""
        sides = {}
        for number, side in enumerate(("mix", "bass")):
            x = batch[side].reshape(-1, *batch[side].shape[2:])  # [B V, T, C]
            x = (x - self.mean[side][None, None]) / self.std[side][None, None]
            if noise_key is not None:
                key = jax.random.fold_in(noise_key, number)
                x = x + self.noise * jax.random.normal(key, x.shape)
            sides[side] = x
        frames = jnp.full(sides["mix"].shape[0], sides["mix"].shape[1], jnp.int32)
        return self.model.apply({"params": params}, sides["mix"], sides["bass"], frames)

    def train_step(
        self, state: TrainState, batch: dict[str, Array], key: Array
    ) -> tuple[TrainState, dict[str, Array]]:
        """One optimiser step."""

        def loss_of(params: PyTree) -> tuple[Array, Array]:
            return info_nce(*self.embed(params, batch, key))

        (loss, picked), grads = jax.value_and_grad(loss_of, has_aux=True)(state.params)
        new, metrics = gradient_step(state, loss, grads, self.optimizer, self.ema_decay)
        return new, {**metrics, "picked": picked}

    def validate(self, state: TrainState, log: RunLog) -> float:
        """Picks among unseen songs, and each kind of confusion on its own, window by window."""
        *sides, scale = collected(self._embed(state.ema, spread(self.validation)))
        songs, views = self.validation["mix"].shape[:2]
        sides = [side[: songs * views] for side in sides]
        loss, picked = collected(info_nce(*map(jnp.asarray, (*sides, scale))))
        mix, bass = (side.reshape(-1, views, side.shape[-1]) for side in sides)
        # Views are described in `ConfusableCrops`: another key, half a beat off, another moment.
        fit = np.einsum("nve,nwe->nvw", mix, bass)
        own = fit[:, 0, 0, None]
        won = (own > fit[:, 0, 1:]).mean(axis=0)
        scalars = {"loss": float(loss), "picked": float(picked), "scale": float(scale)}
        scalars |= dict(zip(("not_another_key", "not_shifted", "not_elsewhere"), won, strict=True))
        log.scalars(int(state.step), {f"validation/{k}": float(v) for k, v in scalars.items()})
        return scalars["loss"]

    # Compiled once per objective, not once per validation.
    @functools.cached_property
    def _embed(self) -> Callable[..., Any]:
        return jax.jit(lambda params, batch: self.embed(params, batch, None))

    def export(self, state: TrainState, folder: Path) -> None:
        """Writes `matching.safetensors` with the features' statistics and origin."""
        from bassdiff.pretrained.weights import save_matching

        save_matching(
            folder / "matching.safetensors",
            self.model,
            jax.device_get(state.ema),
            self.mean,
            self.std,
            bindings=self.bindings,
            training={"steps": int(state.step)},
        )
