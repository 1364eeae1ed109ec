"""From the latents of mixes to those of basses, many at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.diffusion.circular import Circular
from bassdiff.diffusion.generation import frame_bucket, generate_latents
from bassdiff.diffusion.noise_range import SIGMA_MAX
from bassdiff.diffusion.request import LatentLayout, Request, stack
from bassdiff.diffusion.sampling import make_guidance, make_solver, make_window, noise_levels
from bassdiff.diffusion.settings import MAX_STEPS, Sampling
from bassdiff.diffusion.types import Guidance, PyTree
from bassdiff.inference.conditioning import Grounding, Start
from bassdiff.inference.hearing import Heard
from bassdiff.inference.progress import Progress
from bassdiff.models.features import LATENT_HOP
from bassdiff.models.pitch import RANGE_SEMITONES
from bassdiff.pretrained.weights import UNetWeights

ROWS_PER_DEVICE = 8


class LatentSampler:
    """Samples basses' latents in batches of one length, over all devices of this process."""

    def __init__(
        self,
        unet: UNetWeights,
        layout: LatentLayout,
        devices: Sequence[jax.Device],
        rows: int | None = None,
    ) -> None:
        """Places the network's parameters.

        Args:
          unet: The network.
          layout: The meaning of the channels of the bass's latents.
          devices: Where it samples.
          rows: Rows of every program that `sample_all` runs; see `sample`.
        """
        self._model, self._layout, self._rows = unet.model, layout, rows
        self._params = jax.device_put(unet.params)
        self._mesh = Mesh(np.asarray(devices), ("data",)) if len(devices) > 1 else None

    def sample_all(
        self, heard: Sequence[Heard], mixes: Sequence[np.ndarray], progress: Progress | None
    ) -> list[np.ndarray]:
        """Latents of every bass; those that share a program and a length are sampled together.

        Args:
          heard: The inputs.
          mixes: `[T, C']` normalised latents of each.
          progress: As in `BassGenerator.generate`.

        Returns:
          `[T, C]` of each.
        """
        latents: list[np.ndarray | None] = [None] * len(heard)
        groups: dict[Any, list[int]] = {}
        for number, one in enumerate(heard):
            if one.start is not None and one.start.sigma_max == 0.0:
                # Without noise there is nothing to sample.
                latents[number] = one.start.known
                continue
            bucket = frame_bucket(len(mixes[number]) + (2 * Circular().margin if one.loops else 0))
            groups.setdefault((bucket, one.sampling.program, one.loops), []).append(number)
        # As many rows at once as fill a device; more would only take memory.
        limit = self._rows or ROWS_PER_DEVICE * (self._mesh.size if self._mesh else 1)
        batches = [
            group[start : start + limit]
            for group in groups.values()
            for start in range(0, len(group), limit)
        ]
        steps = [max(heard[number].sampling.steps for number in batch) for batch in batches]
        for place, batch in enumerate(batches):

            def show(done: int, _: int, before: int = sum(steps[:place])) -> None:
                if progress:
                    progress("playing", before + done, sum(steps))

            requests = [self.request_for(heard[number], mixes[number]) for number in batch]
            first = heard[batch[0]]
            rows = self.sample(requests, first.sampling, show if progress else None, self._rows)
            for number, row in zip(batch, rows, strict=True):
                latents[number] = row
        return [row for row in latents if row is not None]

    def request_for(self, heard: Heard, mix_latents: np.ndarray) -> Request:
        """A request of one row for a mix's latents `[T, C']` and what else its task asks for."""
        return self.request(
            mix_latents,
            heard.sampling,
            heard.seed,
            heard.grounding,
            heard.start,
            heard.held,
            heard.log_prior,
            heard.loops,
        )

    def request(
        self,
        mix_latents: np.ndarray,
        sampling: Sampling,
        seed: int = 0,
        grounding: Grounding | None = None,
        start: Start | None = None,
        held: np.ndarray | None = None,
        log_prior: np.ndarray | None = None,
        loops: bool = False,
    ) -> Request:
        """A request of one row.

        Args:
          mix_latents: `[T, C']` normalised.
          sampling: Settings.
          seed: The seed of the noise.
          grounding: The sound; None leaves it to the model.
          start: Where sampling starts; None for noise.
          held: `[T]`, where one note is held; None for nowhere.
          log_prior: `[T, 48]`, the log prior of notes in nats; None for none.
          loops: Whether it is a loop.
        """
        sigmas = noise_levels(sampling, start.sigma_max if start else SIGMA_MAX)
        request = Request.plain(
            mix_latents[None],
            # Padded to one length, so that the number of steps does not recompile.
            np.pad(sigmas, (0, MAX_STEPS - sampling.steps)),
            len(self._layout.sound),
            make_guidance(sampling),
            seed,
            RANGE_SEMITONES,
        ).replace(
            replaces_mean=sampling.grounding == "replacement",
            steadiness=np.full(1, sampling.steadiness, np.float32),
            loops=loops,
        )
        if grounding is not None:
            request = request.replace(
                style=grounding.style[None],
                spread=grounding.spread[None],
                sections=grounding.sections[None],
                style_strength=np.full(1, grounding.strength, np.float32),
                match_spread=np.full(1, sampling.grounding == "moments", np.float32),
            )
        if start is not None:
            request = request.replace(known=start.known[None], keep=start.keep[None])
        if held is not None:
            request = request.replace(held=np.float32(sampling.pedal) * held[None])
        if log_prior is not None:
            request = request.replace(log_prior=log_prior[None])
        return request

    def sample(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        progress: Callable[[int, int], None] | None = None,
        rows: int | None = None,
    ) -> list[np.ndarray]:
        """Latents `[T, C]` of basses that are sampled together.

        Args:
          requests: One row each, all made with settings of one `Sampling.program`; all of them
            loops, or none.
          sampling: Settings of that kind.
          progress: Called with (steps done, steps in all).
          rows: How many there are in the program, idle ones included; by default as many as there
            are requests. With one number for all calls, one program plays on one device, and
            rounding no longer depends on how many requests come together.
        """
        idle = (rows or len(requests)) - len(requests)
        longest = max(request.mix.shape[1] for request in requests)
        window: Guidance
        if requests[0].loops:
            window = Circular()
            bucket = frame_bucket(longest + 2 * window.margin)
        else:
            bucket = frame_bucket(longest)
            window = make_window(sampling, bucket, LATENT_HOP / SAMPLE_RATE_HZ)
        mesh = self._mesh if rows is None and len(requests) > 1 else None
        params = self._params if mesh is None else self._shared_params
        return generate_latents(
            self._model,
            params,
            window,
            make_solver(sampling),
            self._layout,
            stack([request.padded(bucket) for request in [*requests, *[requests[-1]] * idle]]),
            mesh,
            progress,
        )[: len(requests)]

    # Copied to the other devices once, when a batch is first shared.
    @functools.cached_property
    def _shared_params(self) -> PyTree:
        if self._mesh is None:
            return self._params
        return jax.device_put(self._params, NamedSharding(self._mesh, PartitionSpec()))
