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

from bassdiff.audio.stft import stft
from bassdiff.diffusion.types import Array, PyTree
from bassdiff.models.bass_codec import BassCodec
from bassdiff.models.discriminator import Discriminator
from bassdiff.models.features import STFT_HOP, STFT_LENGTH, SUBFRAMES
from bassdiff.models.mix_codec import MixCodec
from bassdiff.pretrained.weights import CodecWeights, save_codec
from bassdiff.training.accumulation import accumulated_gradient
from bassdiff.training.guard import guard
from bassdiff.training.initialization import Origin
from bassdiff.training.log import RunLog
from bassdiff.training.pca_init import decoder_init, overwrite, pca_init
from bassdiff.training.sampled_latents import SampledLatents
from bassdiff.training.state import TrainState, update_ema

MULTI_SCALE_LENGTHS = (256, 512, 1024, 2048, 4096, 8192)
# 70 dB below a full-scale sine, as a power and as a magnitude relative to it. Without a floor
# the logarithm's gradient, 1 / |X|, makes inaudible bins decide the step.
FLOOR_POWER = (10.0**-3.5 * STFT_LENGTH / 4) ** 2
FLOOR_MAGNITUDE = 10.0**-3.5


def log_magnitude_distance(reference: Array, estimate: Array) -> Array:
    """Mean |s(estimate) - s(reference)| of log-magnitudes over a floor of -70 dB: L_rec.

    In units of 75 dB, as `log_magnitude` is.
    """
    return jnp.mean(jnp.abs(_level(estimate) - _level(reference)))


def in_step_distance(reference: Array, estimate: Array) -> Array:
    """How differently an estimate errs at the eight places of a latent frame.

    An error that comes back with every frame is heard as a buzz at 21.5 Hz and its multiples;
    in a distance of spectra it is lost among all other errors.

    Args:
      reference: `[B, N]`, N a multiple of 2048.
      estimate: `[B, N]`.

    Returns:
      A scalar in units of 75 dB: the root mean square, over clips, places and 16 bands, of the
      error that a place has on average over the clip, less that of all places.
    """
    batch = reference.shape[0]
    error = _level(estimate) - _level(reference)  # [B, 8 T, 513]
    bands = error[..., : 16 * (error.shape[-1] // 16)].reshape(batch, -1, SUBFRAMES, 16, 32)
    by_place = jnp.mean(bands, axis=(1, 4))  # [B, 8, 16]
    uneven = by_place - jnp.mean(by_place, axis=1, keepdims=True)
    # The slope of a root is infinite at zero.
    return jnp.sqrt(jnp.mean(jnp.square(uneven)) + 1e-12)


def _level(signal: Array) -> Array:
    """Log-magnitudes `[B, M, 513]` over a floor of -70 dB, in units of 75 dB."""
    spectrum = stft(signal, STFT_LENGTH, STFT_HOP)
    power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
    return 10.0 / 75.0 * jnp.log10(power + FLOOR_POWER)


def multi_scale_distance(
    reference: Array, estimate: Array, lengths: tuple[int, ...] = MULTI_SCALE_LENGTHS
) -> Array:
    """Spectral convergence plus mean log-magnitude difference, averaged over FFT sizes.

    ||S| - |S^||_F / ||S|_F + mean |ln|S| - ln|S^||, with hop = size / 4. Sizes up to 8192
    resolve the partials of low notes.

    Args:
      reference: `[B, N]`, N a multiple of a quarter of the largest size.
      estimate: `[B, N]`.
      lengths: FFT sizes in samples.

    Returns:
      A scalar, 0 for equal magnitudes.
    """
    total = jnp.zeros(())
    for length in lengths:
        target, other = (
            jnp.sqrt(jnp.square(s.real) + jnp.square(s.imag) + FLOOR_MAGNITUDE**2)
            # A sine of amplitude 1 has magnitude 1 at every size.
            for s in (stft(x * (4.0 / length), length, length // 4) for x in (reference, estimate))
        )
        convergence = jnp.linalg.norm(target - other) / jnp.linalg.norm(target)
        total = total + convergence + jnp.mean(jnp.abs(jnp.log(target) - jnp.log(other)))
    return total / len(lengths)


def hinge_discriminator_loss(real: list[Array], fake: list[Array]) -> Array:
    """E[max(0, 1 - D(real))] + E[max(0, 1 + D(fake))], averaged over discriminators."""
    losses = [
        jnp.mean(nonnegative(1.0 - r)) + jnp.mean(nonnegative(1.0 + f))
        for r, f in zip(real, fake, strict=True)
    ]
    return jnp.mean(jnp.stack(losses))


def nonnegative(x: Array) -> Array:
    """max(0, x)."""
    return jnp.maximum(x, 0.0)


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
class AutoencoderObjective:
    """Trains a codec against a `Discriminator`.

    Attributes:
      model: The autoencoder.
      discriminator: Trained only while `weights.adversarial` is positive.
      weights: Loss factors.
      optimizer: Optimiser of the autoencoder.
      discriminator_optimizer: Optimiser of the discriminator.
      ema_decay: Decay of the average that is released.
      train_encoder: False keeps the latent space at its closed-form fit, so that diffusion
        training can start before the decoder is finished.
      whitening: See `pca_init`.
      adversarial_from_step: The discriminator joins here; before, it neither learns nor judges.
      fit_clips: `[n, N]` clips the closed-form start is fitted to.
      validation_clips: `[n, N]` clips shown and scored in validation.
      num_parts: A batch goes through the networks in so many parts, for its memory; a spectral
        distance is then the mean of those of the parts.
      start: A codec of this model to start from, instead of the closed-form start. While its
        encoder is not trained, its latents keep their meaning.
      origin: What `start` is, recorded with the weights.
      sampled_latents: Makes some of the latents that the decoder learns from; None for none.
    """

    model: BassCodec | MixCodec
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
        self, generator: PyTree, critic: PyTree, audio: Array, adversarial: Array, key: Array
    ) -> tuple[Array, tuple[Array, dict[str, Array]]]:
        """The autoencoder's loss, the reconstruction and the parts by name."""
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

            def judge(estimate: Array) -> tuple[Array, Array]:
                return self.judge(critic, audio, estimate)

            def pass_over(estimate: Array) -> tuple[Array, Array]:
                return jnp.zeros(()), jnp.zeros(())

            parts["adversarial"], parts["feature_matching"] = jax.lax.cond(
                adversarial, judge, pass_over, estimate
            )
        total = sum(getattr(self.weights, name) * value for name, value in parts.items())
        return total, (estimate, parts)

    def judge(self, critic: PyTree, audio: Array, estimate: Array) -> tuple[Array, Array]:
        """The discriminator's opinion of an estimate, and its distance in what it looks at."""
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
        """One step of both networks, each on what the other was before it."""
        adversarial = state.step >= self.adversarial_from_step
        (_, metrics), grads = accumulated_gradient(
            lambda params, audio: self.losses(params, audio, adversarial, key),
            state.params,
            batch["audio"],
            self.num_parts,
        )
        generator, generator_opt = _stepped(self.optimizer, "generator", grads, state)
        # Nothing decays and no momentum runs down before it is the discriminator's turn.
        critic, critic_opt = jax.lax.cond(
            adversarial & bool(self.weights.adversarial),
            lambda: _stepped(self.discriminator_optimizer, "critic", grads, state),
            lambda: (state.params["critic"], state.opt_state["critic"]),
        )
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

    def losses(
        self, params: PyTree, audio: Array, adversarial: Array, key: Array
    ) -> tuple[Array, dict[str, Array]]:
        """What both networks are to lower, as one sum: neither has a gradient in the other's."""
        others = jax.lax.stop_gradient(params["critic"])
        loss, (estimate, parts) = self.generator_loss(
            params["generator"], others, audio, adversarial, key
        )
        if not self.weights.adversarial:
            return loss, {"loss": loss, **parts}
        critic_loss = jax.lax.cond(
            adversarial,
            self.critic_loss,
            lambda *_: jnp.zeros(()),
            *(params["critic"], audio, jax.lax.stop_gradient(estimate)),
        )
        return loss + critic_loss, {"loss": loss, **parts, "critic": critic_loss}

    def critic_loss(self, critic: PyTree, real: Array, fake: Array) -> Array:
        """The discriminator's hinge loss."""
        scores = [
            [score for score, _ in self.discriminator.apply({"params": critic}, audio)]
            for audio in (real, fake)
        ]
        return hinge_discriminator_loss(*scores).astype(jnp.float32)

    def model_flops(self, batch_size: int) -> float:
        """Not known."""
        del batch_size
        return float("nan")

    def validate(self, state: TrainState, log: RunLog) -> float:
        """Distances on held-out clips, and what two of them sound and look like."""
        clips = self.validation_clips
        estimate, distances = self._judge_round_trip(state.ema, clips)
        step = int(state.step)
        log.scalars(step, {f"validation/{name}": float(x) for name, x in distances.items()})
        for name, signal in (("original", clips[0]), ("decoded", np.asarray(estimate)[0])):
            log.sound(step, name, signal)
        return float(distances["multi_scale"])

    # Compiled once per objective, not once per validation.
    @functools.cached_property
    def _judge_round_trip(self) -> Callable[..., tuple[Array, dict[str, Array]]]:
        @jax.jit
        def judge(params: PyTree, audio: Array) -> tuple[Array, dict[str, Array]]:
            estimate, _ = self.model.apply({"params": params}, audio)
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
        """Writes `<kind>_codec.safetensors` with the statistics of its latents."""
        mean, std = self._statistics(state.ema)
        training = {"kind": self.model.kind, "steps": int(state.step), **self.origin}
        if self.start is not None and "decoder" not in self.start.params:
            training["fresh_decoder"] = True
        save_codec(
            folder / f"{self.model.kind}_codec.safetensors",
            self.model,
            jax.device_get(state.ema),
            mean,
            std,
            training=training,
        )

    def _statistics(self, params: PyTree) -> tuple[np.ndarray, float]:
        """The latents' mean `[C]` and their standard deviation around it."""
        if self.start is not None and not self.train_encoder:
            return self.start.mean, self.start.std
        # One by one: all spectra at once would fill the memory.
        latents = np.concatenate([self._encode(params, clip[None]) for clip in self.fit_clips])
        mean = latents.mean(axis=(0, 1))
        return mean, float(np.std(latents - mean))


def _stepped(
    optimizer: optax.GradientTransformation, name: str, grads: PyTree, state: TrainState
) -> tuple[PyTree, PyTree]:
    """The parameters of one network, and its optimiser's state, after a step."""
    updates, opt_state = optimizer.update(grads[name], state.opt_state[name], state.params[name])
    return optax.apply_updates(state.params[name], updates), opt_state
