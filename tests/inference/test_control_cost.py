"""What control costs in every step."""

import jax
import jax.numpy as jnp
import numpy as np

from bassdiff.diffusion.chain import chain
from bassdiff.diffusion.denoiser import precondition
from bassdiff.diffusion.pitch_prior import PitchPrior
from bassdiff.inference.generator import BassGenerator
from bassdiff.pretrained.release import load_weights

FRAMES = 544


def test_a_step_with_chords_costs_next_to_nothing_more():
    weights = load_weights("small")
    player = BassGenerator(weights)
    latents = np.zeros((FRAMES, player.mix_codec.num_channels), np.float32)
    request = player.sampler.request(latents, player.defaults)
    layout = player.bass_codec.layout
    told = request.guidance(layout)
    free = chain(*(link for link in told.links if not isinstance(link, PitchPrior)))

    def operations(guidance):
        def step(params, x, sigma):
            def network(x, sigma, cond):
                return weights.unet.model.apply({"params": params}, x, sigma, cond)

            return guidance(precondition(network))(x, sigma, request.cond(layout))

        x = jnp.zeros((1, FRAMES, player.bass_codec.num_channels))
        lowered = jax.jit(step).lower(weights.unet.params, x, jnp.ones(1))
        return lowered.cost_analysis()["flops"]

    without = operations(free)
    assert without < operations(told) <= 1.05 * without
