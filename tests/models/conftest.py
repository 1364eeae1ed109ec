import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.models.features import LATENT_HOP

FRAMES = 40


@pytest.fixture(scope="session")
def halves():
    """The two halves of a codec as jitted functions of arrays."""

    def make(model, params):
        apply = functools.partial(model.apply, {"params": params})
        decode = jax.jit(functools.partial(apply, method="decode"), static_argnums=3)
        return {
            "encode": jax.jit(functools.partial(apply, method="encode")),
            "decode": decode,
            "decode_whole": lambda x: decode(x, jnp.zeros(1), jnp.zeros(1, jnp.int32), 0),
        }

    return make


@pytest.fixture(scope="session")
def noise_that_wanders():
    """40 frames of noise whose loudness wanders by 40 dB: a statistic over time would show."""
    rng, num_samples = np.random.default_rng(5), FRAMES * LATENT_HOP
    times = np.arange(0, num_samples, 9000)
    loudness_db = np.interp(np.arange(num_samples), times, rng.uniform(-40, 0, len(times)))
    return (rng.normal(size=num_samples) * 10 ** (loudness_db / 20)).astype(np.float32)
