import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.models.chunked import HALO_FRAMES, chunked
from bassdiff.models.features import (
    LATENT_HOP,
    bank_log_power,
    log_power,
    long_centres_hz,
    spectral_features,
)
from bassdiff.models.mix_codec import MixCodec
from bassdiff.models.tones import sound_bank

FRAMES = 40


@pytest.fixture(scope="module")
def make(randomised, halves):
    """Makes the two halves of a codec of the smallest useful sizes, with parameters of noise."""

    def make(**sizes):
        model = MixCodec(6, num_long_bands=8, encoder_width=4, decoder_width=8, **sizes)
        shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8 * LATENT_HOP)))
        return halves(model, randomised(shapes["params"]))

    return make


@pytest.fixture(scope="module")
def codec(make):
    return make()


@pytest.fixture(scope="module")
def audio(noise_that_wanders):
    return noise_that_wanders


@pytest.fixture(scope="module")
def latents(codec, audio):
    return np.asarray(codec["encode"](audio[None]))


@pytest.fixture(scope="module")
def decoded(codec, latents):
    return np.asarray(codec["decode_whole"](latents))


def test_both_ways_keep_time(latents, decoded):
    model = MixCodec(6)
    assert (model.kind, model.num_channels) == ("mix", 6)
    assert latents.shape == (1, FRAMES, 6)
    assert decoded.shape == (1, FRAMES * LATENT_HOP)
    assert latents.dtype == decoded.dtype == np.float32
    assert np.all(np.isfinite(decoded))
    assert decoded.std() > 0


@pytest.mark.parametrize("chunk_frames", [7, 16])
def test_encoding_in_chunks_gives_what_the_whole_gives(codec, audio, latents, chunk_frames):
    """Everywhere but at the signal's ends, where the whole has no halo of silence."""
    pieces = chunked(codec["encode"], [audio], LATENT_HOP, 1, HALO_FRAMES, chunk_frames)[0]
    one = chunked(codec["encode"], [audio], LATENT_HOP, 1, HALO_FRAMES, FRAMES)[0]
    np.testing.assert_allclose(pieces, one, atol=1e-4, rtol=1e-4)
    inner = slice(HALO_FRAMES, -HALO_FRAMES)
    np.testing.assert_allclose(pieces[inner], latents[0, inner], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("first", [2, 5])
def test_decoding_a_piece_gives_what_the_whole_gives(codec, latents, decoded, first):
    """Told which frame comes first, and whatever the phase: it has none to go on from."""
    number = jnp.full(1, first, jnp.int32)
    inner = slice(HALO_FRAMES * LATENT_HOP, None)
    for phase in (0.0, 0.7):
        piece = codec["decode"](latents[:, first:], jnp.full(1, phase), number, HALO_FRAMES)
        np.testing.assert_allclose(
            piece[0, inner], decoded[0, first * LATENT_HOP :][inner], atol=2e-4 * decoded.std()
        )


@pytest.mark.parametrize("half", ["encode", "decode"])
def test_nothing_beyond_the_halo_is_heard(make, audio, latents, half):
    """Measured by changing a frame, with as many blocks as the largest config has."""
    codec, middle = make(decoder_blocks=3), FRAMES // 2
    if half == "encode":
        apply, values, changed = codec["encode"], audio[None], audio[None].copy()
        changed[:, middle * LATENT_HOP :][:, :LATENT_HOP] *= -2.0
    else:
        values, changed = latents, latents.copy()
        changed[:, middle] *= -2.0

        def apply(values):
            return codec["decode_whole"](values)

    difference = np.abs(apply(values) - apply(changed)).reshape(FRAMES, -1).max(axis=1)
    heard = np.flatnonzero(difference)
    assert middle - HALO_FRAMES < heard[0] < middle < heard[-1] < middle + HALO_FRAMES


def test_later_audio_gives_later_latents(codec, audio, latents):
    """Frames are treated alike wherever they are, however loud their surroundings."""
    shifted = codec["encode"](np.roll(audio, 3 * LATENT_HOP)[None])
    inner = slice(HALO_FRAMES, FRAMES - HALO_FRAMES)
    np.testing.assert_allclose(
        np.roll(shifted, -3, axis=1)[:, inner], latents[:, inner], rtol=1e-3, atol=1e-4
    )


def test_rows_are_coded_alone(codec, audio, latents):
    pair = codec["encode"](np.stack([audio, np.zeros_like(audio)]))
    np.testing.assert_allclose(pair[:1], latents, rtol=1e-4, atol=1e-5)


def test_features_of_silence_are_zero_and_a_loud_tone_lights_its_band():
    silence = np.zeros((1, 8 * LATENT_HOP), np.float32)
    quiet = np.asarray(spectral_features(jnp.asarray(silence), 48))
    assert quiet.shape == (1, 8, 8 * 24 + 48)
    np.testing.assert_allclose(quiet, 0.0, atol=1e-5)
    centres = np.geomspace(40.0, 3520.0, 50)[1:-1]
    tone = np.sin(2 * np.pi * centres[20] * np.arange(8 * LATENT_HOP) / SAMPLE_RATE_HZ)
    loud = np.asarray(spectral_features(jnp.asarray(tone[None], jnp.float32), 48))
    assert np.argmax(loud[0, 4, 8 * 24 :]) == 20
    assert 0.8 < loud.max() < 1.5


def test_the_small_codec_costs_a_gigaflop_per_second_at_most(get_config):
    model = MixCodec(**get_config("autoencoder", "small,mix").model)
    clip = jnp.zeros((1, 32 * LATENT_HOP))
    params = jax.eval_shape(model.init, jax.random.key(0), clip)
    flops = jax.jit(model.apply).lower(params, clip).cost_analysis()["flops"]
    assert 1e7 < flops / (clip.size / SAMPLE_RATE_HZ) < 1e9


def test_a_bank_of_tones_says_again_what_the_features_of_a_chord_say():
    """The levels that the features stand for, given to the bank, make the same features."""
    num_bands, num_samples = 156, 16 * LATENT_HOP
    centres = long_centres_hz(num_bands)
    time = np.arange(num_samples) / SAMPLE_RATE_HZ
    chosen = [60, 76, 91, 120]
    chord = sum(0.1 * np.sin(2 * np.pi * centres[k] * time) for k in chosen)
    features = spectral_features(jnp.asarray(chord[None], jnp.float32), num_bands)
    short = log_power(features[..., : 8 * 24]).reshape(1, -1, 24)
    level = bank_log_power(short, features[..., 8 * 24 :])
    middle = np.asarray(level)[0, 64]
    assert set(np.argsort(middle)[-4:]) == set(chosen)
    np.testing.assert_allclose(middle[np.array(chosen)], 2 * np.log(0.1), atol=0.6)
    made = sound_bank(centres, jnp.exp(0.5 * level), jnp.zeros(1, jnp.int32))
    again, wanted = (
        np.asarray(x)[0, 8, 8 * 24 :][chosen]
        for x in (spectral_features(made, num_bands), features)
    )
    np.testing.assert_allclose(again, wanted, atol=2.5 / 75)
