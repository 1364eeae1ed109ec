import jax
import jax.numpy as jnp
import numpy as np
import pytest

LENGTHS = (8, 5, 3)
CHANNELS = 4


@pytest.fixture
def sigma():
    return jnp.asarray([0.2, 2.0, 40.0])


@pytest.fixture
def cond(make_cond):
    return make_cond(len(LENGTHS), max(LENGTHS), CHANNELS, frames=list(LENGTHS))


@pytest.fixture
def x():
    return jax.random.normal(jax.random.key(1), (len(LENGTHS), max(LENGTHS), CHANNELS))


@pytest.fixture
def style():
    return jnp.asarray([0.5, -1.0, 2.0, 0.1])


@pytest.fixture
def denoise():
    """Depends on everything: position, level, mix and whether the mix may be used."""

    def toy(x, sigma, cond):
        heard = cond.mix[..., :CHANNELS] * cond.keep[:, None, None]
        return jnp.tanh(x) + 0.3 * heard + 0.01 * sigma[:, None, None]

    return toy


@pytest.fixture
def real_rows(cond):
    """The real frames of each row of a batch."""

    def rows(values):
        return [np.asarray(row[:length]) for row, length in zip(values, LENGTHS, strict=True)]

    return rows
