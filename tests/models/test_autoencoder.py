import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.models.autoencoder import (
    HALO_FRAMES,
    LATENT_HOP,
    SAMPLE_RATE_HZ,
    Autoencoder,
    excitations,
    lapped_window,
    spectral_features,
)
from bassdiff.models.chunked import chunked

FRAMES = 40


def audio_like(rng, num_samples):
    """Noise whose loudness wanders by 40 dB, so that a statistic over time would show."""
    loudness_db = np.interp(np.arange(num_samples), np.arange(0, num_samples, 9000),
                            rng.uniform(-40, 0, -(-num_samples // 9000)))  # fmt: skip
    return (rng.normal(size=num_samples) * 10 ** (loudness_db / 20)).astype(np.float32)


@pytest.fixture(scope="module")
def codec(tiny_autoencoder):
    """The two halves as jitted functions of one array."""
    model, params = tiny_autoencoder
    return {
        half: jax.jit(functools.partial(model.apply, {"params": params}, method=half))
        for half in ("encode", "decode")
    }


@pytest.fixture(scope="module")
def audio():
    return audio_like(np.random.default_rng(5), FRAMES * LATENT_HOP)


@pytest.fixture(scope="module")
def latents(codec, audio):
    return np.asarray(codec["encode"](audio[None]))


@pytest.fixture(scope="module")
def decoded(codec, latents):
    return np.asarray(codec["decode"](latents))


def test_both_ways_keep_time(latents, decoded):
    assert latents.shape == (1, FRAMES, 8)
    assert decoded.shape == (1, FRAMES * LATENT_HOP)
    assert latents.dtype == decoded.dtype == np.float32
    assert np.all(np.isfinite(decoded))
    assert decoded.std() > 0


@pytest.mark.parametrize("chunk_frames", [7, 16])
@pytest.mark.parametrize("half", ["encode", "decode"])
def test_chunks_give_what_the_whole_gives(codec, audio, latents, decoded, half, chunk_frames):
    """Everywhere but at the signal's ends, where the whole has no halo of silence."""
    if half == "encode":
        values, frame_in, frame_out, whole = audio, LATENT_HOP, 1, latents[0]
    else:
        values, frame_in, frame_out, whole = latents[0], 1, LATENT_HOP, decoded[0]
    pieces = chunked(codec[half], values, frame_in, frame_out, HALO_FRAMES, chunk_frames)
    one = chunked(codec[half], values, frame_in, frame_out, HALO_FRAMES, FRAMES)
    scale = np.std(whole)
    np.testing.assert_allclose(pieces, one, atol=1e-4 * scale, rtol=1e-4)
    inner = slice(HALO_FRAMES * frame_out, -HALO_FRAMES * frame_out)
    np.testing.assert_allclose(pieces[inner], whole[inner], atol=1e-4 * scale, rtol=1e-4)


@pytest.mark.parametrize("half", ["encode", "decode"])
def test_nothing_beyond_the_halo_is_heard(randomised, audio, latents, half):
    """Measured by gradients, through as many blocks as the largest config has."""
    model = Autoencoder(4, 4, 8, 4, 8, decoder_blocks=3)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8 * LATENT_HOP)))
    apply = functools.partial(model.apply, {"params": randomised(shapes["params"])}, method=half)
    values = audio[None] if half == "encode" else latents
    middle = FRAMES // 2

    def one_frame(values):
        out = apply(values).reshape(1, FRAMES, -1)[:, middle]
        return jnp.sum(out * jnp.cos(jnp.arange(out.shape[-1]))[None])

    gradient = jax.jit(jax.grad(one_frame))
    heard = np.flatnonzero(np.abs(gradient(values).reshape(FRAMES, -1)).max(axis=1))
    assert middle - HALO_FRAMES < heard[0] < middle < heard[-1] < middle + HALO_FRAMES
    assert np.all(np.isfinite(gradient(np.zeros_like(values))))


def test_later_audio_gives_later_latents(codec, audio, latents):
    """Frames are treated alike wherever they are, however loud their surroundings."""
    shifted = codec["encode"](np.roll(audio, 3 * LATENT_HOP)[None])
    inner = slice(HALO_FRAMES, FRAMES - HALO_FRAMES)
    np.testing.assert_allclose(
        np.roll(shifted, -3, axis=1)[:, inner], latents[:, inner], rtol=1e-3, atol=1e-4
    )


def test_waveform_channels_are_linear_and_unbounded(codec, audio, latents):
    louder = np.asarray(codec["encode"](1000.0 * audio[None]))
    np.testing.assert_allclose(louder[..., :4], 1000.0 * latents[..., :4], rtol=1e-4, atol=1e-2)


def test_rows_are_coded_alone(codec, audio, latents):
    pair = codec["encode"](np.stack([audio, np.zeros_like(audio)]))
    np.testing.assert_allclose(pair[:1], latents, rtol=1e-4, atol=1e-5)


def test_a_codec_of_mixes_does_without_waveform_channels(randomised):
    model = Autoencoder(0, 6, 8, 4, 8)
    assert model.num_channels == 6
    silence = jnp.zeros((1, 4 * LATENT_HOP))
    params = jax.eval_shape(model.init, jax.random.key(0), silence)
    assert not any("analysis" in str(path) for path, _ in jax.tree.leaves_with_path(params))
    decoded, latents = jax.eval_shape(model.apply, params, silence)
    assert latents.shape == (1, 4, 6)
    assert decoded.shape == silence.shape


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


def test_lapped_windows_overlap_to_one():
    squares = lapped_window().astype(np.float64) ** 2
    np.testing.assert_allclose(squares[:LATENT_HOP] + squares[LATENT_HOP:], 1.0, rtol=1e-6)


def test_excitations_are_overtones_as_loud_as_their_source(rng):
    time_seconds = np.arange(16 * LATENT_HOP) / SAMPLE_RATE_HZ
    low = jnp.asarray(0.3 * np.sin(2 * np.pi * 55.0 * time_seconds)[None], jnp.float32)
    make = jax.jit(excitations)
    odd, mixed = make(low)
    np.testing.assert_allclose(make(-low)[0], -odd, atol=1e-6)
    np.testing.assert_allclose(make(2.0 * low)[0], 2.0 * odd, atol=2e-3)
    for signal in (odd, mixed):
        assert 0.5 < float(jnp.std(signal) / jnp.std(low)) < 2.0
    # A wave and its mirror image cancel in the even overtones of a symmetric shaping alone.
    assert float(jnp.std(make(-low)[1] + mixed)) > 0.1 * float(jnp.std(mixed))


@pytest.mark.parametrize("which", ["small", "small,mix"])
def test_the_small_codec_costs_a_gigaflop_per_second_at_most(get_config, which):
    model = Autoencoder(**get_config("autoencoder", which).model)
    clip = jnp.zeros((1, 32 * LATENT_HOP))
    params = jax.eval_shape(model.init, jax.random.key(0), clip)
    flops = jax.jit(model.apply).lower(params, clip).cost_analysis()["flops"]
    assert 1e7 < flops / (clip.size / SAMPLE_RATE_HZ) < 1e9
