import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.models.autoencoder import (
    HALO_FRAMES,
    LATENT_HOP,
    NOISE_FRAMES,
    NUM_PITCH_CHANNELS,
    PITCHES,
    SAMPLE_RATE_HZ,
    Autoencoder,
    advance_phase,
    oscillate,
    spectral_features,
)
from bassdiff.models.chunked import chunked

FRAMES = 40


def audio_like(rng, num_samples):
    """Noise whose loudness wanders by 40 dB, so that a statistic over time would show."""
    loudness_db = np.interp(np.arange(num_samples), np.arange(0, num_samples, 9000),
                            rng.uniform(-40, 0, -(-num_samples // 9000)))  # fmt: skip
    return (rng.normal(size=num_samples) * 10 ** (loudness_db / 20)).astype(np.float32)


def decode_from_columns(model, params, columns):
    """`decode` of one array: latents, phases and noise numbers side by side."""
    channels = model.num_channels
    phase = columns[..., channels : channels + PITCHES].reshape(columns.shape[0], -1)
    index = columns[..., -1].astype(jnp.int32)
    return model.apply({"params": params}, columns[..., :channels], phase, index, method="decode")


@pytest.fixture(scope="module")
def codec(tiny_autoencoder):
    """The two halves as jitted functions of one array."""
    model, params = tiny_autoencoder
    return {
        "encode": jax.jit(functools.partial(model.apply, {"params": params}, method="encode")),
        "decode": jax.jit(functools.partial(decode_from_columns, model, params)),
    }


@pytest.fixture(scope="module")
def audio():
    return audio_like(np.random.default_rng(5), FRAMES * LATENT_HOP)


@pytest.fixture(scope="module")
def latents(codec, audio):
    return np.asarray(codec["encode"](audio[None]))


@pytest.fixture(scope="module")
def columns(tiny_autoencoder, latents):
    """Latents with what the decoder must know of the frames before: `[1, T, C + 3]`."""
    model, params = tiny_autoencoder
    frequency = model.apply({"params": params}, latents, method="frequency")
    phase = advance_phase(np.asarray(frequency, np.float64)).reshape(1, FRAMES, PITCHES)
    index = np.arange(FRAMES)[None, :, None] % NOISE_FRAMES
    return np.concatenate([latents, phase, index], axis=-1).astype(np.float32)


@pytest.fixture(scope="module")
def decoded(codec, columns):
    return np.asarray(codec["decode"](columns))


def test_both_ways_keep_time(latents, decoded):
    assert latents.shape == (1, FRAMES, NUM_PITCH_CHANNELS + 4)
    assert decoded.shape == (1, FRAMES * LATENT_HOP)
    assert latents.dtype == decoded.dtype == np.float32
    assert np.all(np.isfinite(decoded))
    assert decoded.std() > 0


@pytest.mark.parametrize("chunk_frames", [7, 16])
@pytest.mark.parametrize("half", ["encode", "decode"])
def test_chunks_give_what_the_whole_gives(
    codec, audio, latents, columns, decoded, half, chunk_frames
):
    """Everywhere but at the signal's ends, where the whole has no halo of silence."""
    if half == "encode":
        values, frame_in, frame_out, whole = audio, LATENT_HOP, 1, latents[0]
    else:
        values, frame_in, frame_out, whole = columns[0], 1, LATENT_HOP, decoded[0]
    pieces = chunked(codec[half], values, frame_in, frame_out, HALO_FRAMES, chunk_frames)
    one = chunked(codec[half], values, frame_in, frame_out, HALO_FRAMES, FRAMES)
    scale = np.std(whole)
    np.testing.assert_allclose(pieces, one, atol=1e-4 * scale, rtol=1e-4)
    inner = slice(HALO_FRAMES * frame_out, -HALO_FRAMES * frame_out)
    np.testing.assert_allclose(pieces[inner], whole[inner], atol=1e-4 * scale, rtol=1e-4)


@pytest.mark.parametrize("half", ["encode", "decode"])
def test_nothing_beyond_the_halo_is_heard(randomised, audio, columns, half):
    """Measured by changing a frame, with as many blocks as the largest config has."""
    model = Autoencoder(True, 4, 8, 4, 8, decoder_blocks=3)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8 * LATENT_HOP)))
    params = randomised(shapes["params"])
    if half == "encode":
        apply = functools.partial(model.apply, {"params": params}, method="encode")
        values, changed = audio[None], audio[None].copy()
        changed[:, FRAMES // 2 * LATENT_HOP :][:, :LATENT_HOP] *= -2.0
    else:
        apply = functools.partial(decode_from_columns, model, params)
        values, changed = columns, columns.copy()
        # The phases stay: they are what the decoder is told of the past.
        changed[:, FRAMES // 2, : model.num_channels] *= -2.0
    apply = jax.jit(apply)
    difference = np.abs(apply(values) - apply(changed)).reshape(FRAMES, -1).max(axis=1)
    heard = np.flatnonzero(difference)
    middle = FRAMES // 2
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


def test_a_codec_of_mixes_does_without_a_pitch():
    model = Autoencoder(False, 6, 8, 4, 8)
    assert model.num_channels == 6
    silence = jnp.zeros((1, 4 * LATENT_HOP))
    params = jax.eval_shape(model.init, jax.random.key(0), silence)
    assert not any("partials" in str(path) for path, _ in jax.tree.leaves_with_path(params))
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


def test_the_oscillator_is_a_sum_of_sines_in_phase():
    spans, frequency_hz = 12, 110.0
    frequency = np.full((1, spans), frequency_hz)
    amplitudes = np.broadcast_to(np.array([0.5, 0.0, 0.25], np.float32), (1, 4 * spans, 3))
    made = oscillate(
        jnp.asarray(frequency, jnp.float32),
        jnp.asarray(advance_phase(frequency), jnp.float32),
        jnp.asarray(amplitudes),
    )
    angle = 2 * np.pi * frequency_hz * np.arange(spans * 1024) / SAMPLE_RATE_HZ
    np.testing.assert_allclose(made[0], 0.5 * np.sin(angle) + 0.25 * np.sin(3 * angle), atol=2e-3)


def test_the_oscillator_leaves_out_what_would_alias():
    frequency, ones = jnp.full((1, 2), 9000.0), jnp.ones((1, 8, 3))
    with_all = oscillate(frequency, jnp.zeros((1, 2)), ones)
    with_two = oscillate(frequency, jnp.zeros((1, 2)), ones.at[..., 2].set(0.0))
    np.testing.assert_array_equal(with_all, with_two)


def test_phase_is_exact_after_ten_minutes():
    spans = 26_000
    frequency = np.full(spans, 55.0)
    expected = (55.0 * 1024 / SAMPLE_RATE_HZ * np.arange(spans)) % 1.0
    distance = np.abs(advance_phase(frequency) - expected)
    assert np.minimum(distance, 1.0 - distance).max() < 1e-6


@pytest.mark.parametrize("which", ["small", "small,mix"])
def test_the_small_codec_costs_a_gigaflop_per_second_at_most(get_config, which):
    model = Autoencoder(**get_config("autoencoder", which).model)
    clip = jnp.zeros((1, 32 * LATENT_HOP))
    params = jax.eval_shape(model.init, jax.random.key(0), clip)
    flops = jax.jit(model.apply).lower(params, clip).cost_analysis()["flops"]
    assert 1e7 < flops / (clip.size / SAMPLE_RATE_HZ) < 1e9
