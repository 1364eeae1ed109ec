import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.models.chunked import HALO_FRAMES, chunked
from bassdiff.models.spectrogram_codec import SpectrogramCodec
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.weights import load_codec, save_codec
from bassdiff.runtime.errors import InputError

NUM_CHANNELS = 5


@pytest.fixture(scope="module", params=[(4, 6, 8, 10), (4, 6, 6, 8, 8)], ids=["2048", "4096"])
def model(request):
    return SpectrogramCodec(NUM_CHANNELS, request.param, num_blocks=1)


@pytest.fixture(scope="module")
def params(model, randomised):
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 2 * model.hop)))
    return randomised(shapes["params"])


@pytest.fixture(scope="module")
def codec(model, params, halves):
    return halves(model, params)


@pytest.fixture(scope="module")
def audio(noise_that_wanders):
    return noise_that_wanders


@pytest.fixture(scope="module")
def latents(codec, audio):
    return np.asarray(codec["encode"](audio[None]))


def test_both_ways_keep_time(model, codec, audio, latents):
    decoded = np.asarray(codec["decode_whole"](latents))
    assert model.hop == 256 * 2 ** (len(model.widths) - 1)
    assert latents.shape == (1, len(audio) // model.hop, NUM_CHANNELS)
    assert decoded.shape == (1, len(audio))
    assert latents.dtype == decoded.dtype == np.float32
    assert np.all(np.isfinite(decoded)) and decoded.std() > 0


def test_chunks_give_what_the_whole_gives(model, codec, audio, latents):
    """Everywhere but at the signal's ends, where the whole has no halo of silence."""
    few = chunked(codec["encode"], [audio], model.hop, 1, HALO_FRAMES, 7)[0]
    one = chunked(codec["encode"], [audio], model.hop, 1, HALO_FRAMES, 40)[0]
    np.testing.assert_allclose(few, one, atol=1e-4, rtol=1e-4)
    decode = codec["decode_whole"]
    rows = lambda x: jnp.concatenate([decode(row[None]) for row in jnp.asarray(x)])  # noqa: E731
    few = chunked(rows, [latents[0]], 1, model.hop, HALO_FRAMES, 7, edge="edge")[0]
    one = chunked(rows, [latents[0]], 1, model.hop, HALO_FRAMES, 40, edge="edge")[0]
    np.testing.assert_allclose(few, one, atol=1e-5 * np.abs(one).max())


def test_latents_are_not_bounded(codec, audio):
    """They follow the level of the sound, however loud it is."""
    levels = [np.asarray(codec["encode"](gain * audio[None])) for gain in (1e-2, 1e2, 1e6)]
    steps = [np.abs(b - a).mean() for a, b in itertools.pairwise(levels)]
    assert steps[1] > 0.5 * steps[0] > 0.01


@pytest.mark.parametrize("is_polar", [True, False], ids=["polar", "complex"])
def test_either_form_of_output_can_be_taught_a_tone(is_polar):
    """A few steps of gradient descent bring a tone nearer, in magnitude and in its waveform."""
    model = SpectrogramCodec(8, (16, 16, 16, 16), is_polar=is_polar)
    tone = 0.5 * jnp.sin(2 * jnp.pi * 441.0 * jnp.arange(8 * model.hop) / 44100.0)[None]
    params = model.init(jax.random.key(0), tone)["params"]

    @jax.jit
    def step(params, velocity):
        def loss(params):
            decoded, _ = model.apply({"params": params}, tone)
            return jnp.mean(jnp.square(decoded - tone))

        value, slope = jax.value_and_grad(loss)(params)
        norm = jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(slope)))
        velocity = jax.tree.map(lambda v, s: 0.9 * v + s / (norm + 1e-9), velocity, slope)
        return jax.tree.map(lambda p, v: p - 0.03 * v, params, velocity), velocity, value

    velocity = jax.tree.map(jnp.zeros_like, params)
    losses = []
    for _ in range(80):
        params, velocity, value = step(params, velocity)
        losses.append(float(value))
    assert min(losses[-10:]) < 0.7 * losses[0]


def test_a_file_brings_it_back(tmp_path, model, params, audio):
    path = tmp_path / "bass_codec.safetensors"
    saved = save_codec(path, model, params, np.zeros(NUM_CHANNELS, np.float32), 2.0, {})
    weights = load_codec(path)
    assert weights.model == model and weights.fingerprint == saved
    codec = Codec(weights)
    encoded = codec.encode(audio[: 3 * model.hop + 5])
    assert encoded.shape == (4, NUM_CHANNELS)
    assert codec.decode(encoded).shape == (4 * model.hop,)


def test_it_declares_that_it_knows_no_pitch(tmp_path, model, params):
    save_codec(tmp_path / "c.safetensors", model, params, np.zeros(NUM_CHANNELS, "f4"), 1.0, {})
    codec = Codec(load_codec(tmp_path / "c.safetensors"))
    assert not codec.pitch_channels.any() and not codec.note_channels.any()
    assert codec.sound_channels.all()
    assert not codec.sounding.weights.any() and codec.sounding.offset == 1.0


@pytest.mark.parametrize("widths", [[], [0], [4, 6, 8]])
def test_a_file_of_other_sizes_is_refused(tmp_path, model, params, widths):
    """Whatever a stranger wrote into it, with a fingerprint that fits."""
    path = tmp_path / "c.safetensors"
    other = model.clone(widths=tuple(widths))
    save_codec(path, other, params, np.zeros(NUM_CHANNELS, "f4"), 1.0, {})
    with pytest.raises(InputError, match="is damaged or holds other weights"):
        load_codec(path)
