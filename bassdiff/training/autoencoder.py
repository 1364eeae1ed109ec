"""The autoencoder's objective: spectral distances and a hinge GAN."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bassdiff.diffusion.types import Array, PyTree
from bassdiff.models.codecs import CodecModel
from bassdiff.models.discriminator import Discriminator
from bassdiff.pretrained.weights import CodecWeights, save_codec
from bassdiff.training.accumulation import accumulated_gradient
from bassdiff.training.codec_losses import (
    hinge_discriminator_loss,
    in_step_distance,
    log_magnitude_distance,
    multi_scale_distance,
)
from bassdiff.training.guard import guard
from bassdiff.training.initialization import Origin
from bassdiff.training.log import RunLog
from bassdiff.training.objective import Objective
from bassdiff.training.pca_init import decoder_init, overwrite, pca_init
from bassdiff.training.sampled_latents import SampledLatents
from bassdiff.training.sharding import alone, collected, spread
from bassdiff.training.state import TrainState, update_ema


@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Factors of the generator's losses."""

    log_magnitude: float = 1.0
    multi_scale: float = 1.0
    waveform: float = 1.0
    in_step: float = 0.0
    adversarial: float = 0.0
    feature_matching: float = 0.0


@dataclasses.dataclass(frozen=True)
class AutoencoderObjective(Objective):
    """Trains a codec against a `Discriminator`.

    Attributes:
      model: The autoencoder.
      target: The stem that is played to the mixes, see `data/target.py`.
      side: Which sounds it is for: "bass", "mix" or, for one codec of all, "both".
      discriminator: Used and trained only if `weights.adversarial` is positive.
      weights: Loss factors.
      optimizer: Optimiser of the autoencoder.
      discriminator_optimizer: Optimiser of the discriminator.
      ema_decay: Decay of the average that is released.
      train_encoder: False keeps the latent space at its closed-form fit, so that diffusion
        training can start before the decoder is finished.
      whitening: See `pca_init`.
      adversarial_from_step: Steps before the discriminator joins; see `at`.
      fit_clips: `[n, N]` clips that the closed-form start is fitted to.
      validation_clips: `[n, N]` clips to log and score in validation.
      num_parts: Parts that a batch is processed in, to save memory; spectral distances are then
        means over the parts.
      start: A codec of this model to start from, instead of the closed-form start. As long as its
        encoder is not trained, its latents keep their meaning.
      origin: The origin of `start`, recorded with the weights.
      sampled_latents: Replaces some of the latents that the decoder learns from; None for none.
    """

    model: CodecModel
    target: str
    side: str
    discriminator: Discriminator
    weights: LossWeights
    optimizer: optax.GradientTransformation
    discriminator_optimizer: optax.GradientTransformation
    ema_decay: float
    train_encoder: bool
    whitening: float
    adversarial_from_step: int
    fit_clips: np.ndarray
    validation_clips: np.ndarray
    num_parts: int = 1
    start: CodecWeights | None = None
    origin: Origin = dataclasses.field(default_factory=dict)
    sampled_latents: SampledLatents | None = None

    def at(self, step: int) -> AutoencoderObjective:
        """Without the discriminator before it joins: it is neither used nor trained."""
        return self._without_critic if step < self.adversarial_from_step else self

    @functools.cached_property
    def _without_critic(self) -> AutoencoderObjective:
        weights = dataclasses.replace(self.weights, adversarial=0.0, feature_matching=0.0)
        return dataclasses.replace(self, weights=weights)

    def init(self, key: Array) -> TrainState:
        """Random parameters of both networks; see `prepare` for the closed-form start."""
        clip = jnp.zeros((1, self.validation_clips.shape[1]))
        keys = jax.random.split(key)
        generator = self.model.init(keys[0], clip)["params"]
        critic = self.discriminator.init(keys[1], clip)["params"]
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params={"generator": generator, "critic": critic},
            ema=jax.tree.map(jnp.copy, generator),
            opt_state={
                "generator": self.optimizer.init(generator),
                "critic": self.discriminator_optimizer.init(critic),
            },
            log_norms=jnp.full(2, jnp.nan),
        )

    def prepare(self, state: TrainState) -> TrainState:
        """Replaces the linear paths by their closed-form fit to `fit_clips`, or all by `start`.

        Where `start` is an encoder alone, the decoder's linear path is fitted to that.
        """
        if self.start is not None:
            generator = overwrite(state.params["generator"], self.start.params)
            if "decoder" not in self.start.params:
                encode = functools.partial(self._encode, generator)
                fitted = decoder_init(self.model, encode, self.fit_clips)
                generator = overwrite(generator, {"decoder": fitted})
            generator = jax.tree.map(jnp.array, generator)
        else:
            floor = pca_init(self.model, self.fit_clips, self.whitening)
            generator = overwrite(state.params["generator"], floor)
        return state.replace(
            params={**state.params, "generator": generator},
            ema=jax.tree.map(jnp.copy, generator),
        )

    def generator_loss(
        self, generator: PyTree, critic: PyTree, audio: Array, key: Array
    ) -> tuple[Array, tuple[Array, dict[str, Array]]]:
        """The autoencoder's loss, the reconstruction and the terms of the loss by name."""
        latents = self.model.apply({"params": generator}, audio, method="encode")
        if not self.train_encoder:
            latents = jax.lax.stop_gradient(latents)
        if self.sampled_latents is not None:
            latents = self.sampled_latents(latents, key)
        estimate = self.model.apply({"params": generator}, latents, method="decode_whole")
        parts = {
            "log_magnitude": log_magnitude_distance(audio, estimate),
            "multi_scale": multi_scale_distance(audio, estimate),
            "waveform": jnp.mean(jnp.abs(audio - estimate)) / jnp.mean(jnp.abs(audio)),
            "in_step": in_step_distance(audio, estimate),
        }
        if self.weights.adversarial:
            judgement = self.judge(critic, audio, estimate)
            parts["adversarial"], parts["feature_matching"] = judgement
        total = sum(getattr(self.weights, name) * value for name, value in parts.items())
        return total, (estimate, parts)

    def judge(self, critic: PyTree, audio: Array, estimate: Array) -> tuple[Array, Array]:
        """The adversarial loss of an estimate, and the distance of the discriminator's features."""
        judged = self.discriminator.apply({"params": critic}, estimate)
        real = self.discriminator.apply({"params": critic}, audio)
        distances = [
            jnp.mean(jnp.abs(f - jax.lax.stop_gradient(r))) / (jnp.mean(jnp.abs(r)) + 1e-6)
            for (_, fakes), (_, reals) in zip(judged, real, strict=True)
            for f, r in zip(fakes, reals, strict=True)
        ]
        scores = jnp.stack([jnp.mean(score) for score, _ in judged])
        adversarial, matching = -jnp.mean(scores), jnp.mean(jnp.stack(distances))
        # Losses are float32, also for bfloat16 networks.
        return adversarial.astype(jnp.float32), matching.astype(jnp.float32)

    def train_step(
        self, state: TrainState, batch: dict[str, Array], key: Array
    ) -> tuple[TrainState, dict[str, Array]]:
        """One step of both networks, each with the other's parameters from before the step."""
        (_, metrics), grads = accumulated_gradient(
            lambda params, audio: self.losses(params, audio, key),
            state.params,
            batch["audio"],
            self.num_parts,
        )
        generator, generator_opt = _stepped(self.optimizer, "generator", grads, state)
        critic, critic_opt = state.params["critic"], state.opt_state["critic"]
        if self.weights.adversarial:
            critic, critic_opt = _stepped(self.discriminator_optimizer, "critic", grads, state)
        new = state.replace(
            step=state.step + 1,
            params={"generator": generator, "critic": critic},
            ema=update_ema(state.ema, generator, state.step, self.ema_decay),
            opt_state={"generator": generator_opt, "critic": critic_opt},
        )
        losses = jnp.stack([metrics["loss"], metrics.get("critic", jnp.zeros(()))])
        norms = jnp.stack([optax.tree.norm(grads[name]) for name in ("generator", "critic")])
        new, guarded = guard(new, state, losses, norms)
        return new, {**metrics, **guarded}

    def losses(self, params: PyTree, audio: Array, key: Array) -> tuple[Array, dict[str, Array]]:
        """The sum of both networks' losses; neither has a gradient in the other's."""
        others = jax.lax.stop_gradient(params["critic"])
        loss, (estimate, parts) = self.generator_loss(params["generator"], others, audio, key)
        if not self.weights.adversarial:
            return loss, {"loss": loss, **parts}
        critic_loss = self.critic_loss(params["critic"], audio, jax.lax.stop_gradient(estimate))
        return loss + critic_loss, {"loss": loss, **parts, "critic": critic_loss}

    def critic_loss(self, critic: PyTree, real: Array, fake: Array) -> Array:
        """The discriminator's hinge loss."""
        scores = [
            [score for score, _ in self.discriminator.apply({"params": critic}, audio)]
            for audio in (real, fake)
        ]
        return hinge_discriminator_loss(*scores).astype(jnp.float32)

    def validate(self, state: TrainState, log: RunLog) -> float:
        """Distances on held-out clips, and the sound and spectrogram of two of them."""
        clips = self.validation_clips
        estimate, distances = collected(self._judge_round_trip(state.ema, spread(clips)))
        step = int(state.step)
        log.scalars(step, {f"validation/{name}": float(x) for name, x in distances.items()})
        with alone():
            for name, signal in (("original", clips[0]), ("decoded", estimate[0])):
                log.sound(step, name, signal)
        return float(distances["multi_scale"])

    # Compiled once per objective, not once per validation.
    @functools.cached_property
    def _judge_round_trip(self) -> Callable[..., tuple[Array, dict[str, Array]]]:
        @jax.jit
        def judge(params: PyTree, audio: Array) -> tuple[Array, dict[str, Array]]:
            estimate, _ = self.model.apply({"params": params}, audio)
            # Without the rows that only fill the devices.
            count = len(self.validation_clips)
            audio, estimate = audio[:count], estimate[:count]
            return estimate, {
                "multi_scale": multi_scale_distance(audio, estimate),
                "log_magnitude": log_magnitude_distance(audio, estimate),
                "in_step": in_step_distance(audio, estimate),
            }

        return judge

    @functools.cached_property
    def _encode(self) -> Callable[..., Array]:
        return jax.jit(
            lambda params, audio: self.model.apply({"params": params}, audio, method="encode")
        )

    def export(self, state: TrainState, folder: Path) -> None:
        """Writes `<side>_codec.safetensors`, or those of both sides, with latent statistics."""
        mean, std = self._statistics(state.ema)
        training = {
            "kind": self.model.kind,
            "side": self.side,
            "target": self.target,
            "steps": int(state.step),
            **self.origin,
        }
        if self.start is not None and "decoder" not in self.start.params:
            training["fresh_decoder"] = True
        params = jax.device_get(state.ema)
        for side in ("bass", "mix") if self.side == "both" else (self.side,):
            path = folder / f"{side}_codec.safetensors"
            save_codec(path, self.model, params, mean, std, training)

    def _statistics(self, params: PyTree) -> tuple[np.ndarray, float]:
        """The latents' mean `[C]` and their standard deviation around it."""
        if self.start is not None and not self.train_encoder:
            return self.start.mean, self.start.std
        # One by one, to save memory.
        latents = np.concatenate([self._encode(params, clip[None]) for clip in self.fit_clips])
        mean = latents.mean(axis=(0, 1))
        return mean, float(np.std(latents - mean))


def _stepped(
    optimizer: optax.GradientTransformation, name: str, grads: PyTree, state: TrainState
) -> tuple[PyTree, PyTree]:
    """The parameters of one network, and its optimiser's state, after a step."""
    updates, opt_state = optimizer.update(grads[name], state.opt_state[name], state.params[name])
    return optax.apply_updates(state.params[name], updates), opt_state
