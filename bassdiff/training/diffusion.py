"""The diffusion objective: v-prediction on bass latents given the mix's latents."""

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

from bassdiff.diffusion.chain import chain
from bassdiff.diffusion.denoiser import velocity_loss
from bassdiff.diffusion.generation import generate_latents
from bassdiff.diffusion.request import MAX_SECTIONS, LatentLayout, Request
from bassdiff.diffusion.sampling import make_guidance, make_solver, noise_levels
from bassdiff.diffusion.settings import Sampling
from bassdiff.diffusion.types import Array, Cond, PyTree
from bassdiff.models.adapter import adapted, init_adapter
from bassdiff.models.unet import UNet
from bassdiff.training.accumulation import accumulated_gradient
from bassdiff.training.guard import gradient_step
from bassdiff.training.initialization import Origin
from bassdiff.training.log import RunLog
from bassdiff.training.objective import Objective
from bassdiff.training.pca_init import overwrite
from bassdiff.training.sharding import alone, collected, spread
from bassdiff.training.state import TrainState, fresh_state

NUM_PLAYED = 2
ERROR_LEVELS = (0.1, 0.3, 1.0, 3.0)


@dataclasses.dataclass(frozen=True)
class Conditioning:
    """Random conditioning of training rows.

    Attributes:
      drop_mix: Probability of a row without its mix at high noise levels, for guidance.
      drop_mix_low: The same at levels near zero, where the mix tells little and is only learned by
        heart; half-way between at sigma 1.
      mix_noise: The largest standard deviation of noise on a mix's latents; half of the rows have
        some, and are told how much.
      drop_style: Probability of a row without a style.
    """

    drop_mix: float
    drop_mix_low: float
    mix_noise: float
    drop_style: float

    def draw(self, batch: dict[str, Array], sigma: Array, style: Array, key: Array) -> Cond:
        """A batch's condition.

        Args:
          batch: Of `LatentCrop`.
          sigma: `[B]`.
          style: `[B, C]` of the references.
          key: Decides.
        """
        mix_key, style_key, share_key, size_key, noise_key = jax.random.split(key, 5)
        rows, frames = batch["bass"].shape[:2]
        drop = self.drop_mix + (self.drop_mix_low - self.drop_mix) / (1.0 + jnp.square(sigma))
        noisy = jax.random.bernoulli(share_key, 0.5, (rows,))
        size = noisy * self.mix_noise * jax.random.uniform(size_key, (rows,))
        noise = jax.random.normal(noise_key, batch["mix"].shape)
        return Cond(
            mix=batch["mix"] + size[:, None, None] * noise,
            keep=(jax.random.uniform(mix_key, (rows,)) >= drop).astype(jnp.float32),
            frames=jnp.full(rows, frames, jnp.int32),
            style=style,
            keep_style=jax.random.bernoulli(style_key, 1.0 - self.drop_style, (rows,)).astype(
                jnp.float32
            ),
            mix_noise=size,
        )


@dataclasses.dataclass(frozen=True)
class DiffusionObjective(Objective):
    """Trains a `UNet`, or an adapter of one, as a denoiser of normalised bass latents.

    Attributes:
      model: The network.
      optimizer: Its optimiser.
      levels: Draws training noise levels: `(key, batch) -> sigma [B]`.
      ema_decay: Decay of the average that is released.
      conditioning: What training rows are told.
      num_mix_channels: Channels of the mix's latents.
      crop_frames: Latent frames of a training row.
      validation: `{"bass": [n, T, C], "mix": [n, T, C'], "reference": [n, T, C]}`, normalised,
        from unseen songs.
      decode: The bass codec, normalised latents `[T, C]` to `[N]`, to hear what is learnt.
      bindings: Recorded with the weights: codec fingerprints and sampling defaults.
      layout: Meaning of the channels of the bass's latents.
      stationary: Parameters of the network's linear part, see `stationary_init`, for a fresh one.
      num_parts: Parts that a batch is processed in, to save memory.
      start: Parameters to start from; noise when None.
      adapter_rank: If positive, `start` stays as it is, and an adapter of this rank is trained.
      origin: What `start` is, recorded with the weights.
    """

    model: UNet
    optimizer: optax.GradientTransformation
    levels: Callable[[Array, int], Array]
    ema_decay: float
    conditioning: Conditioning
    num_mix_channels: int
    crop_frames: int
    validation: dict[str, np.ndarray]
    decode: Callable[[np.ndarray], np.ndarray]
    bindings: dict[str, Any]
    layout: LatentLayout
    stationary: PyTree = dataclasses.field(default_factory=dict)
    num_parts: int = 1
    start: PyTree | None = None
    adapter_rank: int = 0
    origin: Origin = dataclasses.field(default_factory=dict)

    def init(self, key: Array) -> TrainState:
        """A fresh network; its output layer is zero, so its first loss is the data's variance.

        Or an adapter that leaves `start` as it is.
        """
        if self.adapter_rank:
            return fresh_state(init_adapter(key, self.start, self.adapter_rank), self.optimizer)
        x = jnp.zeros((1, self.crop_frames, self.model.num_channels))
        mix = jnp.zeros((1, self.crop_frames, self.num_mix_channels))
        cond = self._unstyled(mix)
        params = self.model.init(key, x, jnp.ones(1), cond)["params"]
        return fresh_state(params, self.optimizer)

    def prepare(self, state: TrainState) -> TrainState:
        """Puts `start` in the place of a fresh network, or gives that its linear part."""
        if self.adapter_rank:
            return state
        if self.start is None:
            linear = {"stationary": self.stationary}
            params, ema = (
                jax.tree.map(jnp.array, overwrite(tree, linear))
                for tree in (state.params, state.ema)
            )
            return state.replace(params=params, ema=ema)
        params, ema = (jax.tree.map(jnp.array, self.start) for _ in range(2))
        return state.replace(params=params, ema=ema)

    def network(self, params: PyTree) -> Callable[[Array, Array, Cond], Array]:
        """The network that trained parameters make: they are its own, or an adapter's."""
        full = self._full(params)

        def network(x: Array, sigma: Array, cond: Cond) -> Array:
            return self.model.apply({"params": full}, x, sigma, cond)

        return network

    def _full(self, params: PyTree) -> PyTree:
        return adapted(self.start, params) if self.adapter_rank else params

    def loss(self, params: PyTree, bass: Array, sigma: Array, cond: Cond, noise: Array) -> Array:
        """`[B]` velocity losses of basses `[B, T, C]` at given levels, conditions and noise."""
        return velocity_loss(self.network(params), bass, noise, sigma, cond)

    def train_step(
        self, state: TrainState, batch: dict[str, Array], key: Array
    ) -> tuple[TrainState, dict[str, Array]]:
        """One optimiser step with conditional dropout."""
        level_key, noise_key, cond_key = jax.random.split(key, 3)
        num_rows = batch["bass"].shape[0]
        sigma = self.levels(level_key, num_rows)
        noise = jax.random.normal(noise_key, batch["bass"].shape)
        cond = self.conditioning.draw(batch, sigma, self.layout.style(batch["reference"]), cond_key)

        def mean_loss(params: PyTree, rows: tuple[Any, ...]) -> tuple[Array, dict[str, Array]]:
            return jnp.mean(self.loss(params, *rows)), {}

        rows = (batch["bass"], sigma, cond, noise)
        (loss, _), grads = accumulated_gradient(mean_loss, state.params, rows, self.num_parts)
        return gradient_step(state, loss, grads, self.optimizer, self.ema_decay)

    def model_flops(self, batch_size: int) -> float:
        """Three forward passes: one forward, and the backward one is twice that."""
        model = self.model.clone(remat=False)
        x = jnp.zeros((1, self.crop_frames, self.model.num_channels))
        mix = jnp.zeros((1, self.crop_frames, self.num_mix_channels))
        cond = self._unstyled(mix)
        params = jax.eval_shape(model.init, jax.random.key(0), x, jnp.ones(1), cond)
        # Lowered and not compiled: counting takes no more.
        costs = jax.jit(model.apply).lower(params, x, jnp.ones(1), cond).cost_analysis()
        return 3.0 * batch_size * float((costs or {}).get("flops", np.nan))

    def validate(self, state: TrainState, log: RunLog) -> float:
        """Loss on unseen songs with their own mix, with another's, and with none; some basses.

        All devices of the mesh that is set share the work; every process of it must call this.

        The noise and levels are the same at every validation. That the loss is lower with
        the right mix than with a wrong one is the first proof that the mix is used. To the same
        mixes and from the same noise, basses are played with the default guidance, without any,
        and in the sound of the other song's bass.
        """
        bass, mix = self.validation["bass"], self.validation["mix"]
        rows = len(bass)
        theta = (np.arange(rows, dtype=np.float32) + 0.5) / rows * (np.pi / 2)
        noise = collected(jax.random.normal(jax.random.key(0), bass.shape))
        own = collected(self._unstyled(jnp.asarray(mix)))
        style = collected(self.layout.style(jnp.asarray(self.validation["reference"])))
        cases = {
            "own_mix": own,
            "other_mix": own.replace(mix=np.roll(mix, 1, axis=0)),
            "no_mix": collected(own.null()),
            "own_style": own.replace(style=style, keep_style=np.ones(rows, np.float32)),
        }
        losses = {
            f"validation/{name}": self._loss_of(state.ema, bass, np.tan(theta), cond, noise)
            for name, cond in cases.items()
        }
        errors = self._errors(state.ema, bass, own, noise)
        losses |= {f"validation/error_at_{s:g}": e for s, e in errors.items()}
        step = int(state.step)
        log.scalars(step, losses)
        mix, bass = mix[:NUM_PLAYED], bass[:NUM_PLAYED]
        others = collected(self.layout.style(jnp.asarray(np.roll(bass, 1, axis=0))))
        guidance = Sampling.of_weights(self.bindings).guidance
        heard = {
            "original": bass,
            "played": self.play(state.ema, mix, guidance),
            "unguided": self.play(state.ema, mix, 1.0),
            "grounded": self.play(state.ema, mix, guidance, others, 1.0),
        }
        if log.enabled:
            with alone():
                for name, latents in heard.items():
                    for number, row in enumerate(latents):
                        log.sound(step, f"{name}_{number}", self.decode(row))
        return losses["validation/own_mix"]

    def _unstyled(self, mix: Array) -> Cond:
        rows, frames = mix.shape[:2]
        style = jnp.zeros((rows, self.model.num_channels))
        lengths = jnp.full(rows, frames, jnp.int32)
        return Cond(mix, jnp.ones(rows), lengths, style, jnp.zeros(rows), jnp.zeros(rows))

    def _errors(
        self, params: PyTree, bass: np.ndarray, cond: Cond, noise: np.ndarray
    ) -> dict[float, float]:
        """Root mean square error of the estimate of clean latents, by noise level."""
        found = {}
        for sigma in ERROR_LEVELS:
            loss = self._loss_of(params, bass, np.full(len(bass), sigma, np.float32), cond, noise)
            # An error of the velocity is sqrt(1 + sigma^2) / sigma times one of the estimate.
            found[sigma] = float(np.sqrt(loss * sigma**2 / (1.0 + sigma**2)))
        return found

    def _loss_of(self, params: PyTree, bass: np.ndarray, *others: Any) -> float:
        """The mean of `loss` over rows that all devices share."""
        losses = collected(self._losses(params, *spread((bass, *others))))
        return float(np.mean(losses[: len(bass)]))

    # Compiled once per objective, not once per validation.
    @functools.cached_property
    def _losses(self) -> Callable[..., Array]:
        return jax.jit(self.loss)

    def play(
        self,
        params: PyTree,
        mix: np.ndarray,
        guidance: float,
        style: np.ndarray | None = None,
        strength: float = 0.0,
    ) -> np.ndarray:
        """Basses `[B, T, C]` to mixes `[B, T, C']`, with the weights' solver and levels.

        Args:
          params: Parameters of the network, or of the adapter that is trained.
          mix: `[B, T, C']`.
          guidance: Weight of plain guidance; 1 is off.
          style: `[B, C]` mean latents of the wanted sound; None for any.
          strength: Strength of the grounding.
        """
        settings = dataclasses.replace(
            Sampling.of_weights(self.bindings), guidance_kind="cfg", guidance=guidance
        )
        request = Request.plain(
            mix, noise_levels(settings), self.model.num_channels, make_guidance(settings)
        ).replace(steadiness=np.full(len(mix), settings.steadiness, np.float32))
        if style is not None:
            request = request.replace(
                style=np.pad(style[:, None], ((0, 0), (0, MAX_SECTIONS - 1), (0, 0))),
                style_strength=np.full(len(style), strength, np.float32),
            )
        mesh = jax.sharding.get_mesh()
        rows = generate_latents(
            self.model,
            self._full(params),
            chain(),
            make_solver(settings),
            self.layout,
            request,
            None if mesh.empty else mesh,
        )
        return np.stack(rows)

    def export(self, state: TrainState, folder: Path) -> None:
        """Writes `unet.safetensors` with the codecs' fingerprints, or `adapter.safetensors`."""
        from bassdiff.pretrained.weights import save_adapter, save_unet

        params = jax.device_get(state.ema)
        training = {"steps": int(state.step), "crop_frames": self.crop_frames, **self.origin}
        if self.adapter_rank:
            bindings = {"base": self.origin["init"], "unet": self.origin["init_checksum"]}
            training["rank"] = self.adapter_rank
            save_adapter(folder / "adapter.safetensors", params, bindings, training)
        else:
            path = folder / "unet.safetensors"
            save_unet(path, self.model, params, self.bindings, training)
