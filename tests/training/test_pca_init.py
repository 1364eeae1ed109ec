import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.models.bass_codec import NUM_PITCH_CHANNELS, BassCodec
from bassdiff.models.features import LATENT_HOP, spectral_features
from bassdiff.models.mix_codec import MixCodec
from bassdiff.training.pca_init import (
    DYNAMICS_STD,
    decoder_init,
    overwrite,
    pca_init,
    principal_components,
)

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
    return pca_init(MixCodec(num_channels, NUM_BANDS, 4, 4), clips, whitening)


def dense(layer, values):
    return values @ layer["kernel"] + layer["bias"]


def encoded(fitted, features):
    return dense(fitted["encoder"]["projection"], features)


def restored(fitted, latents):
    return dense(fitted["decoder"]["expansion"], latents)


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
    fitted = fit(clips, len(features) - 1)
    np.testing.assert_allclose(restored(fitted, encoded(fitted, features)), features, atol=2e-3)


def test_no_other_linear_codec_of_that_width_is_better(clips, features, rng):
    errors = {}
    for count in (2, 8, 32):
        fitted = fit(clips, count)
        errors[count] = np.mean((restored(fitted, encoded(fitted, features)) - features) ** 2)
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


@pytest.fixture(scope="module")
def mix_codec(randomised):
    model = MixCodec(12, NUM_BANDS, 4, 4)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8 * LATENT_HOP)))
    return model, randomised(shapes["params"])


@pytest.mark.parametrize("codec", ["tiny_autoencoder", "mix_codec"])
def test_the_fit_goes_where_the_model_looks(clips, codec, request):
    """Every fitted leaf has a place, and a shape, among the model's parameters."""
    model, params = request.getfixturevalue(codec)
    fitted = pca_init(model, clips[:4], 0.25)
    assert fitted.keys() == {"encoder", "decoder"}
    for half, layers in fitted.items():
        assert layers
        for layer, leaves in layers.items():
            assert leaves.keys() == params[half][layer].keys()
            for name, leaf in leaves.items():
                assert params[half][layer][name].shape == leaf.shape
                assert leaf.dtype == np.float32


@pytest.fixture(scope="module")
def bass(clips, tiny_autoencoder):
    """The tiny bass codec, its closed-form start and the latents that it makes of the clips."""
    model, params = tiny_autoencoder
    fitted = pca_init(model, clips, 0.25)
    params = overwrite(params, fitted)
    encode = jax.jit(lambda audio: model.apply({"params": params}, audio, method="encode"))
    return model, fitted, encode, np.concatenate([np.asarray(encode(c[None]))[0] for c in clips])


def test_a_bass_has_a_spectrum_of_unit_variance_and_softer_dynamics(bass):
    model, _, _, latents = bass
    middle = NUM_PITCH_CHANNELS + model.num_spectrum_channels
    spectrum, dynamics = latents[:, NUM_PITCH_CHANNELS:middle], latents[:, middle:]
    for channels, std in ((spectrum, 1.0), (dynamics, DYNAMICS_STD)):
        np.testing.assert_allclose(channels.mean(axis=0), 0.0, atol=2e-3)
        np.testing.assert_allclose(np.sqrt(np.mean(channels.var(axis=0))), std, rtol=0.02)
    # Spectrum channels among themselves, and dynamics channels too, have nothing in common.
    off_diagonal = np.corrcoef(spectrum, rowvar=False) - np.eye(model.num_spectrum_channels)
    assert np.abs(off_diagonal).max() < 0.02


def test_a_bass_of_all_channels_loses_nothing(clips):
    """44 and 16 are as many as there is to measure."""
    model = BassCodec(44, 16, decoder_width=8)
    fitted = pca_init(model, clips, 0.125)
    for layer, count in (("spectrum", 44), ("dynamics", 16)):
        there, back = fitted["encoder"][layer]["kernel"], fitted["decoder"][layer]["kernel"]
        np.testing.assert_allclose(there @ back, np.eye(count), atol=5e-3)


def test_a_decoder_fitted_to_a_closed_form_encoder_is_the_closed_form_one(clips, bass):
    """Least squares finds the inverse that the components have."""
    model, fitted, encode, _ = bass
    again = decoder_init(model, encode, clips)
    assert again.keys() == fitted["decoder"].keys() == {"spectrum", "dynamics"}
    for layer, leaves in again.items():
        for name, leaf in leaves.items():
            np.testing.assert_allclose(leaf, fitted["decoder"][layer][name], atol=0.02)


def test_a_decoder_of_a_mix_is_fitted_to_any_encoder(clips, features, mix_codec):
    """Here one that turns and scales what the closed form makes: nothing is lost by that."""
    model, _ = mix_codec
    fitted = fit(clips, 12)
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(12, 12)))
    run = jax.jit(lambda audio: spectral_features(audio, NUM_BANDS))

    def encode(audio):
        return 1.0 + 2.0 * encoded(fitted, np.asarray(run(audio))) @ turn

    again = decoder_init(model, encode, clips)
    latents = encoded(fitted, features)
    made = dense(again["expansion"], 1.0 + 2.0 * latents @ turn)
    np.testing.assert_allclose(made, restored(fitted, latents), atol=5e-3)
