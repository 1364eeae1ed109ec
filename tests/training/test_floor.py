import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.models.autoencoder import Autoencoder
from bassdiff.models.features import LATENT_HOP, spectral_features
from bassdiff.training.floor import linear_floor, overwrite, principal_components

NUM_BANDS = 16


@pytest.fixture(scope="module")
def clips():
    """Eight clips of noise bursts, bright and dull, that are not alike."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(8, 16 * LATENT_HOP))
    dull = np.apply_along_axis(np.convolve, 1, noise, np.ones(32) / 32, "same")
    bursts = np.repeat(10 ** rng.uniform(-3, 0, (8, 32)), LATENT_HOP // 2, axis=1)
    return (bursts * np.where(np.arange(8)[:, None] < 4, noise, dull)).astype(np.float32)


@pytest.fixture(scope="module")
def features(clips):
    return np.asarray(spectral_features(jnp.asarray(clips), NUM_BANDS)).reshape(8 * 16, -1)


def fit(clips, num_channels, whitening=0.25):
    return linear_floor(Autoencoder(False, num_channels, NUM_BANDS, 4, 4), clips, whitening)


def encoded(floor, features):
    return (
        features @ floor["encoder"]["projection"]["kernel"] + floor["encoder"]["projection"]["bias"]
    )


def restored(floor, latents):
    return latents @ floor["decoder"]["expansion"]["kernel"] + floor["decoder"]["expansion"]["bias"]


def test_components_are_orthonormal_and_come_by_variance(rng):
    spreads = np.asarray([0.1, 3.0, 1.0, 2.0])
    values = rng.normal(size=(20_000, 4)) * spreads + 5.0
    directions, variances = principal_components(values, 3)
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-10)
    np.testing.assert_allclose(np.abs(directions), np.eye(4)[:, [1, 3, 2]], atol=0.05)
    np.testing.assert_allclose(variances, [9.0, 4.0, 1.0], rtol=0.05)


def test_components_of_constant_values_have_a_positive_variance():
    assert principal_components(np.ones((5, 3)), 2)[1].min() > 0


@pytest.mark.parametrize("whitening", [0.0, 0.25, 0.5])
def test_latents_have_zero_mean_and_unit_variance(clips, features, whitening):
    latents = encoded(fit(clips, 12, whitening), features)
    np.testing.assert_allclose(latents.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(np.mean(latents.var(axis=0)), 1.0, rtol=0.02)
    off_diagonal = np.corrcoef(latents, rowvar=False) - np.eye(12)
    assert np.abs(off_diagonal).max() < 0.02


def test_whitening_makes_components_alike(clips, features):
    spread = [
        np.ptp(np.log(encoded(fit(clips, 12, w), features).var(axis=0))) for w in (0, 0.25, 0.5)
    ]
    assert spread[0] > 1.9 * spread[1] > 0
    assert spread[2] < 0.02


def test_as_many_channels_as_features_lose_nothing(clips, features):
    # There are fewer frames than features: the frames' own span is all there is to keep.
    floor = fit(clips, len(features) - 1)
    np.testing.assert_allclose(restored(floor, encoded(floor, features)), features, atol=2e-3)


def test_no_other_linear_codec_of_that_width_is_better(clips, features, rng):
    errors = {}
    for count in (2, 8, 32):
        floor = fit(clips, count)
        errors[count] = np.mean((restored(floor, encoded(floor, features)) - features) ** 2)
        centred = features - features.mean(axis=0)
        other, _ = np.linalg.qr(rng.normal(size=(features.shape[1], count)))
        assert errors[count] < 0.8 * np.mean((centred @ other @ other.T - centred) ** 2)
        # Eckart and Young: the smallest error is that of the dropped singular values.
        dropped = np.linalg.svd(centred, compute_uv=False)[count:]
        np.testing.assert_allclose(errors[count], np.sum(dropped**2) / centred.size, rtol=1e-2)
    assert errors[32] < errors[8] < errors[2]


def test_overwriting_replaces_named_leaves_and_keeps_the_rest():
    params = {"a": {"kernel": 1, "bias": 2}, "b": {"kernel": 3}}
    assert overwrite(params, {"a": {"kernel": 9}}) == {
        "a": {"kernel": 9, "bias": 2}, "b": {"kernel": 3},
    }  # fmt: skip
    assert params["a"]["kernel"] == 1
    assert overwrite(params, {}) == params


def test_the_fit_goes_where_the_model_looks(clips, tiny_autoencoder):
    """Every fitted leaf has a place, and a shape, among the model's parameters."""
    model, params = tiny_autoencoder
    floor = linear_floor(model, clips[:2], 0.25)
    for half, layers in floor.items():
        for layer, leaves in layers.items():
            for name, leaf in leaves.items():
                assert params[half][layer][name].shape == leaf.shape
                assert leaf.dtype == np.float32
