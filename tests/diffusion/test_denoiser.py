import jax
import jax.numpy as jnp
import numpy as np

from bassdiff.diffusion.denoiser import precondition, velocity_loss
from bassdiff.diffusion.schedules import noise_rate

SIGMAS = jnp.asarray([0.01, 0.3, 1.0, 7.0, 80.0])


def clean_and_noise(batch, num_frames=6, channels=3):
    keys = jax.random.split(jax.random.key(0))
    return (jax.random.normal(k, (batch, num_frames, channels)) for k in keys)


def column(sigma):
    return sigma[:, None, None]


def test_a_network_that_knows_v_gives_the_clean_signal(make_cond):
    z, noise = clean_and_noise(5)
    rate = noise_rate(column(SIGMAS))
    v = jnp.sqrt(1 - rate**2) * noise - rate * z
    denoise = precondition(lambda x, sigma, cond: v)
    x0 = denoise(z + column(SIGMAS) * noise, SIGMAS, make_cond(5, 6, 2))
    assert x0.dtype == jnp.float32
    np.testing.assert_allclose(x0, z, atol=1e-4)


def test_the_network_sees_unit_variance_at_every_level(make_cond):
    z, noise = clean_and_noise(5, num_frames=4000)
    seen = {}

    def network(x, sigma, cond):
        seen.update(x=x, sigma=sigma, cond=cond)
        return x

    cond = make_cond(5, 4000, 2)
    precondition(network)(z + column(SIGMAS) * noise, SIGMAS, cond)
    np.testing.assert_allclose(seen["x"].std(axis=(1, 2)), 1.0, atol=0.02)
    np.testing.assert_array_equal(seen["sigma"], SIGMAS)
    assert seen["cond"] is cond


def test_the_zero_network_gives_the_best_linear_estimate_of_white_data(make_cond):
    z, noise = clean_and_noise(5)
    x = z + column(SIGMAS) * noise
    denoise = precondition(lambda x, sigma, cond: jnp.zeros_like(x))
    x0 = denoise(x, SIGMAS, make_cond(5, 6, 2))
    np.testing.assert_allclose(x0, x / (1 + column(SIGMAS) ** 2), rtol=1e-5)


def test_the_zero_network_loses_one_on_white_data(make_cond):
    z, noise = clean_and_noise(5, num_frames=4000)
    loss = velocity_loss(lambda x, *_: jnp.zeros_like(x), z, noise, SIGMAS, make_cond(5, 4000, 2))
    assert loss.shape == (5,)
    np.testing.assert_allclose(loss, 1.0, atol=0.05)


def test_a_network_that_knows_v_loses_nothing(make_cond):
    z, noise = clean_and_noise(5)
    rate = noise_rate(column(SIGMAS))
    v = jnp.sqrt(1 - rate**2) * noise - rate * z
    loss = velocity_loss(lambda *_: v, z, noise, SIGMAS, make_cond(5, 6, 2))
    np.testing.assert_allclose(loss, 0.0, atol=1e-10)


def test_loss_and_denoiser_feed_the_network_alike(make_cond):
    z, noise = clean_and_noise(5)
    inputs = []

    def network(x, sigma, cond):
        inputs.append(x)
        return x

    cond = make_cond(5, 6, 2)
    velocity_loss(network, z, noise, SIGMAS, cond)
    precondition(network)(z + column(SIGMAS) * noise, SIGMAS, cond)
    np.testing.assert_allclose(*inputs, rtol=1e-5, atol=1e-6)


def test_padding_neither_costs_nor_counts(make_cond):
    z, noise = clean_and_noise(5)
    short = make_cond(5, 6, 2, frames=[4] * 5)
    alone = make_cond(5, 4, 2)
    spoilt = z.at[:, 4:].set(1e3)
    padded = velocity_loss(lambda x, *_: 0.5 * x, spoilt, noise, SIGMAS, short)
    cut = velocity_loss(lambda x, *_: 0.5 * x, z[:, :4], noise[:, :4], SIGMAS, alone)
    np.testing.assert_allclose(padded, cut, rtol=1e-5)
