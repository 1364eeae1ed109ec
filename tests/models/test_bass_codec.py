import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.models.bass_codec import NUM_PITCH_CHANNELS, PITCHES_PER_FRAME, BassCodec
from bassdiff.models.chunked import HALO_FRAMES, chunked
from bassdiff.models.features import LATENT_HOP
from bassdiff.models.pitch import (
    CODE_SIZE,
    LOWEST_HZ,
    NUM_WAVES,
    PITCH_HOP,
    decode_pitch,
    wave_table,
)
from bassdiff.training.pca_init import pca_init

FRAMES = 40
TIME = np.arange(FRAMES * LATENT_HOP) / SAMPLE_RATE_HZ


@pytest.fixture(scope="module")
def codec(halves, tiny_autoencoder):
    return halves(*tiny_autoencoder)


@pytest.fixture(scope="module")
def audio(noise_that_wanders):
    """Two notes and a rest, in noise."""
    notes = np.select([TIME < 0.7, TIME < 1.1], [0.0, 1.0], 2.0)
    phase = 2 * np.pi * np.cumsum(55.0 * 2 ** (notes * 5 / 12)) / SAMPLE_RATE_HZ
    tone = sum(np.sin(k * phase + k) / k for k in range(1, 12)) * (notes != 1.0)
    return (0.3 * tone + 0.1 * noise_that_wanders).astype(np.float32)


@pytest.fixture(scope="module")
def latents(codec, audio):
    return np.asarray(codec["encode"](audio[None]))


@pytest.fixture(scope="module")
def whole(codec, latents):
    return np.asarray(codec["decode_whole"](latents))


def test_both_ways_keep_time(tiny_autoencoder, latents, whole):
    model, _ = tiny_autoencoder
    assert model.kind == "bass"
    assert latents.shape == (1, FRAMES, model.num_channels)
    assert model.num_channels == NUM_PITCH_CHANNELS + 4
    assert whole.shape == (1, FRAMES * LATENT_HOP)
    assert latents.dtype == whole.dtype == np.float32
    assert np.all(np.isfinite(whole))
    assert whole.std() > 0


def test_the_round_trip_is_both_halves(tiny_autoencoder, audio, latents, whole):
    model, params = tiny_autoencoder
    decoded, same = jax.jit(model.apply)({"params": params}, audio[None])
    # Two programs round differently, and logarithms of quiet partials magnify it: 1e-3 was seen.
    np.testing.assert_allclose(same, latents, rtol=1e-4, atol=3e-3)
    np.testing.assert_allclose(decoded, whole, atol=1e-3 * whole.std())


def test_the_first_channels_are_the_code_of_the_pitch(latents):
    code = latents[0, :, :NUM_PITCH_CHANNELS].reshape(-1, CODE_SIZE)
    for spans, semitones in ((slice(4, 26), 12.0), (slice(52, 76), 22.0)):
        waves = np.tile(wave_table(np.array([semitones])), (spans.stop - spans.start, 1))
        np.testing.assert_allclose(code[spans, :NUM_WAVES], waves, atol=0.1)
        np.testing.assert_array_equal(code[spans, NUM_WAVES], 1.0)
    # From 0.7 s to 1.1 s: the pitch is known a while, and does not sound.
    np.testing.assert_array_equal(code[35:43, NUM_WAVES], -1.0)


@pytest.mark.parametrize("chunk_frames", [7, 16])
def test_encoding_in_chunks_gives_what_the_whole_gives(codec, audio, latents, chunk_frames):
    """Everywhere but at the signal's ends, where the whole has no halo of silence."""
    pieces = chunked(codec["encode"], [audio], LATENT_HOP, 1, HALO_FRAMES, chunk_frames)[0]
    one = chunked(codec["encode"], [audio], LATENT_HOP, 1, HALO_FRAMES, FRAMES)[0]
    np.testing.assert_allclose(pieces, one, atol=1e-3, rtol=1e-3)
    inner = slice(HALO_FRAMES, -HALO_FRAMES)
    np.testing.assert_allclose(pieces[inner], latents[0, inner], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("first", [0, 2, 5])
def test_decoding_a_piece_gives_what_the_whole_gives(codec, latents, whole, first):
    """Told where the oscillator stands in a frame of its own and which frame comes first."""
    anchor = HALO_FRAMES
    code = latents[:, : first + anchor, :NUM_PITCH_CHANNELS].reshape(-1, CODE_SIZE)
    frequency, _ = decode_pitch(code)
    phase = jnp.sum(frequency * PITCH_HOP / 44100 % 1.0, keepdims=True) % 1.0
    number = jnp.full(1, first, jnp.int32)
    piece = codec["decode"](latents[:, first:], phase, number, anchor)
    inner = slice((first + anchor) * LATENT_HOP, None)
    np.testing.assert_allclose(
        piece[0, anchor * LATENT_HOP :], whole[0, inner], atol=5e-4 * whole.std()
    )
    # Told another phase, it sounds otherwise.
    other = codec["decode"](latents[:, first:], phase + 0.3, number, anchor)
    assert np.abs(other - piece).max() > 0.1 * whole.std()


@pytest.mark.parametrize("half", ["encode", "decode"])
def test_nothing_beyond_the_halo_is_heard(randomised, halves, audio, latents, half):
    """Measured by changing a frame, with as many blocks as the largest config has."""
    model = BassCodec(3, 1, decoder_width=8, decoder_blocks=3)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8 * LATENT_HOP)))
    codec = halves(model, randomised(shapes["params"]))
    middle = FRAMES // 2
    if half == "encode":
        apply, values, changed = codec["encode"], audio[None], audio[None].copy()
        changed[:, middle * LATENT_HOP :][:, :LATENT_HOP] *= -2.0
    else:
        values, changed = latents, latents.copy()
        # The pitch stays: through the oscillator's phase it is heard ever after.
        changed[:, middle, NUM_PITCH_CHANNELS:] *= -2.0

        def apply(values):
            return codec["decode_whole"](values)

    before, after = (np.asarray(apply(x)).reshape(FRAMES, -1) for x in (values, changed))
    # A band's energy is a difference of sums over all bins, which rounds.
    heard = np.flatnonzero(np.abs(after - before).max(axis=1) > 1e-5 * np.abs(before).max())
    assert middle - HALO_FRAMES < heard[0] < middle < heard[-1] < middle + HALO_FRAMES


def test_later_audio_gives_later_latents(codec, audio, latents):
    """Frames are treated alike wherever they are, however loud their surroundings."""
    shifted = codec["encode"](np.roll(audio, 3 * LATENT_HOP)[None])
    inner = slice(HALO_FRAMES, FRAMES - HALO_FRAMES)
    np.testing.assert_allclose(
        np.roll(shifted, -3, axis=1)[:, inner], latents[:, inner], rtol=1e-3, atol=1e-3
    )


def test_rows_are_coded_alone(codec, audio, latents):
    pair = codec["encode"](np.stack([audio, np.zeros_like(audio)]))
    np.testing.assert_allclose(pair[:1], latents, rtol=1e-3, atol=5e-3)


def saw(hz, seed, decay=0.0):
    """A tone of partials a / k that begin anywhere."""
    partials = np.arange(1, int(8000 / hz))[:, None]
    starts = np.random.default_rng(seed).uniform(0, 2 * np.pi, partials.shape)
    waves = np.sin(2 * np.pi * hz * partials * TIME[None] + starts) / partials
    return (0.2 * np.sum(waves, axis=0) * np.exp(-decay * TIME)).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(get_config):
    """The small model and its closed-form start, fitted to plucked notes of all sorts."""
    config, rng = get_config("autoencoder", "small"), np.random.default_rng(0)
    clips = []
    for seed in range(10):
        clip = np.zeros(FRAMES * LATENT_HOP, np.float32)
        for begin in np.arange(0, len(clip), 11_000):
            note = saw(rng.uniform(31.0, 200.0), seed, rng.uniform(0.5, 8.0))[:11_000]
            bright = rng.uniform(0.0, 0.9)
            note = note - bright * np.concatenate([[0.0], note[:-1]])
            clip[begin : begin + 11_000] += note[: len(clip) - begin]
        clips.append(clip + 1e-3 * rng.normal(size=len(clip)).astype(np.float32))
    model = BassCodec(**config.model)
    return model, pca_init(model, np.stack(clips), config.whitening)


@pytest.fixture(scope="module")
def encode(fitted):
    model, params = fitted
    return jax.jit(
        functools.partial(model.apply, {"params": {"encoder": params["encoder"]}}, method="encode")
    )


@pytest.mark.parametrize("hz", [31.0, 41.2, 55.0, 82.4, 110.0, 200.0])
def test_latents_of_a_held_note_stand_still(encode, hz):
    held = np.asarray(encode(saw(hz, 99)[None]))[0, 6:-6]
    jitter = np.sqrt(np.mean(np.diff(held[:, NUM_PITCH_CHANNELS:], axis=0) ** 2))
    assert jitter < 0.03


@pytest.mark.parametrize("hz", [41.2, 82.4])
def test_latents_do_not_see_the_phase(encode, hz):
    """The same partials that begin elsewhere, and the same note a little later."""
    one, other, later = (
        np.asarray(encode(wave[None]))[0, 6:-6]
        for wave in (saw(hz, 1), saw(hz, 2), np.roll(saw(hz, 1), 777))
    )
    for changed in (other, later):
        assert np.sqrt(np.mean((changed - one) ** 2)) < 0.05


@pytest.mark.parametrize("hz", [31.0, 55.0, 110.0])
def test_the_closed_form_start_gives_back_levels_and_pitch(fitted, encode, halves, hz):
    """Before any training, partials of a held note come back as loud as they were."""
    model, params = fitted
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, FRAMES * LATENT_HOP)))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes["params"])
    # Zeros leave the network out, which only corrects.
    decoder = {**zeros["decoder"], **params["decoder"]}
    decode = halves(model, {"encoder": params["encoder"], "decoder": decoder})["decode_whole"]
    wave = saw(hz, 5)
    made = np.asarray(decode(np.asarray(encode(wave[None]))))[0]
    middle = slice(12 * LATENT_HOP, 28 * LATENT_HOP)
    turns = np.exp(-2j * np.pi * hz * np.outer(np.arange(1, 9), TIME[middle]))
    window = np.hanning(16 * LATENT_HOP)
    kept = [np.abs(turns @ (signal[middle] * window)) for signal in (made, wave)]
    np.testing.assert_allclose(20 * np.log10(kept[0] / kept[1]), 0.0, atol=3.0)


def test_the_small_codec_costs_two_gigaflops_per_second_at_most(get_config):
    model = BassCodec(**get_config("autoencoder", "small").model)
    clip = jnp.zeros((1, 32 * LATENT_HOP))
    params = jax.eval_shape(model.init, jax.random.key(0), clip)
    flops = jax.jit(model.apply).lower(params, clip).cost_analysis()["flops"]
    assert 1e7 < flops / (clip.size / SAMPLE_RATE_HZ) < 2e9


def test_sizes_of_a_latent_frame():
    assert PITCHES_PER_FRAME * CODE_SIZE == NUM_PITCH_CHANNELS == 26
    assert BassCodec(24, 8).num_channels == 58
    assert LOWEST_HZ == 27.5
