import functools

import jax
import numpy as np
import pytest
import scipy.signal

from bassdiff.audio.io import SAMPLE_RATE_HZ
from bassdiff.audio.pitch import pitch_agreement
from bassdiff.models.bass_codec import NUM_PITCH_CHANNELS
from bassdiff.models.chunked import HALO_FRAMES
from bassdiff.models.features import LATENT_HOP
from bassdiff.pretrained import release
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.weights import CodecWeights

CHANNELS = NUM_PITCH_CHANNELS + 4
MEAN = np.linspace(-0.5, 0.5, CHANNELS).astype(np.float32)
STD = 1.5
HIGH = scipy.signal.butter(4, 1000.0, "high", fs=SAMPLE_RATE_HZ, output="sos")


@pytest.fixture(scope="module")
def codec(tiny_autoencoder):
    return Codec(CodecWeights(*tiny_autoencoder, MEAN, STD, "", {}))


@pytest.fixture(scope="module")
def apply(tiny_autoencoder):
    model, params = tiny_autoencoder
    jitted = jax.jit(model.apply, static_argnums=4, static_argnames="method")
    return functools.partial(jitted, {"params": params})


@pytest.fixture(scope="module")
def audio():
    """A tone that wanders and never rests: without a pitch, which one is decoded is arbitrary."""
    samples = np.arange(300 * LATENT_HOP)
    frequency_hz = 80.0 + 40.0 * np.sin(samples / 50_000)
    phase = 2 * np.pi * np.cumsum(frequency_hz) / SAMPLE_RATE_HZ
    tone = sum(np.sin(k * phase) / k for k in range(1, 6))
    noise = np.random.default_rng(2).normal(size=len(samples))
    return (0.1 * tone + 1e-3 * noise).astype(np.float32)


@pytest.fixture(scope="module")
def latents(codec, audio):
    return codec.encode(audio)


def test_latents_are_those_of_the_whole_signal_normalised(codec, apply, audio, latents):
    assert codec.num_channels == CHANNELS
    assert latents.shape == (300, CHANNELS)
    assert latents.dtype == np.float32
    whole = (np.asarray(apply(audio[None], method="encode"))[0] - MEAN) / STD
    inner = slice(HALO_FRAMES, -HALO_FRAMES)
    np.testing.assert_allclose(latents[inner], whole[inner], rtol=1e-3, atol=5e-3)


def test_decoding_undoes_the_normalisation_and_keeps_the_oscillator_going(
    codec, apply, latents, usual_chunks
):
    wave = codec.decode(latents)
    assert wave.shape == (300 * LATENT_HOP,)
    assert wave.dtype == np.float32
    # In one piece, with the halo that the first and the last chunk have.
    halo = [(0, 0), (HALO_FRAMES, HALO_FRAMES), (0, 0)]
    restored = np.pad((latents * STD + MEAN)[None], halo, mode="edge")
    first = np.full(1, -HALO_FRAMES, np.int32)
    whole = apply(restored, np.zeros(1, np.float32), first, HALO_FRAMES, method="decode")
    inner = slice(HALO_FRAMES * LATENT_HOP, -HALO_FRAMES * LATENT_HOP)
    # In one piece the phase is added up in float32, for 13 s: upper partials feel its rounding. An
    # oscillator that began anew, or a frame late, would be as far off as the signal is large.
    error = np.abs(wave - whole[0, inner])
    assert np.sqrt(np.mean(np.square(error))) < 1e-3 * wave.std()
    assert error.max() < 0.02 * wave.std()


def test_an_unfinished_frame_counts_as_one(codec, audio, latents):
    cut = codec.encode(audio[: 20 * LATENT_HOP - 700])
    assert cut.shape == (20, CHANNELS)
    padded = np.pad(audio[: 20 * LATENT_HOP - 700], (0, 700))
    np.testing.assert_array_equal(cut, codec.encode(padded))


def test_no_length_compiles_anything_new(codec, latents, audio, compilations):
    codec.decode(latents)
    compilations.clear()
    for num_frames in (1, 255, 257, 300):
        codec.decode(codec.encode(audio[: num_frames * LATENT_HOP - 5]))
    assert compilations == []


def test_two_codecs_of_one_model_share_their_programs(tiny_autoencoder, audio, codec, latents,
                                                      compilations):  # fmt: skip
    model, params = tiny_autoencoder
    other = Codec(CodecWeights(model, params, MEAN + 1.0, 3.0, "", {}))
    moved = other.encode(audio)
    assert compilations == []
    np.testing.assert_allclose(moved, (latents * STD - 1.0) / 3.0, rtol=1e-3, atol=1e-4)


def test_notes_have_codes(codec):
    """What a pedal holds is decoded as that note, whether or not it sounds."""
    codes = codec.note_codes()
    assert codes.shape == (48, codec.num_channels)
    frequency_hz, _ = codec.pitch(codes)
    notes = 12 * np.log2(frequency_hz.reshape(-1, 2) / 27.5)
    np.testing.assert_allclose(notes[1:], np.arange(1, 48)[:, None] + [0, 0], atol=0.02)
    halves = codec.note_channels
    assert halves.shape[0] == 2
    np.testing.assert_array_equal(halves.sum(axis=1), [12, 12])
    assert halves[0, :12].all() and halves[1, 13:25].all()
    channels = halves.sum(axis=0)
    # The channels that say whether it sounds are not among them.
    assert not channels[[12, 25]].any()
    assert not channels[26:].any()


@pytest.mark.parametrize("hz", [30.87, 32.7, 34.65, 41.2])
def test_released_weights_keep_the_fundamental_of_the_lowest_strings(hz):
    """The low B of five strings is below all narrow bands; 20 dB of it were lost."""
    codec = Codec(release.load_weights("small").bass_codec)
    time = np.arange(60 * LATENT_HOP) / SAMPLE_RATE_HZ
    wave = 0.1 * sum(np.sin(2 * np.pi * k * hz * time) / k for k in range(1, 9))
    again = codec.decode(codec.encode(wave.astype(np.float32)))
    middle = slice(20 * LATENT_HOP, 40 * LATENT_HOP)
    turn = np.exp(-2j * np.pi * hz * time[middle]) * np.hanning(20 * LATENT_HOP)
    kept = abs(np.sum(again[middle] * turn)) / abs(np.sum(wave[middle] * turn))
    assert -14.0 < 20 * np.log10(kept) < 6.0
    assert pitch_agreement(wave, again).within_25_cents > 0.95


@pytest.mark.parametrize("hz", [41.2, 61.7, 98.0])
def test_released_weights_do_not_buzz(hz, rng):
    """A bright held note comes back as no train of pulses: they had a kurtosis of 8 to 15."""
    codec = Codec(release.load_weights("small").bass_codec)
    time = np.arange(60 * LATENT_HOP) / SAMPLE_RATE_HZ
    starts = rng.uniform(0, 2 * np.pi, 150)
    wave = sum(np.sin(2 * np.pi * k * hz * time + starts[k]) / k for k in range(1, int(6000 / hz)))
    again = codec.decode(codec.encode((0.1 * wave).astype(np.float32)))[20 * LATENT_HOP :]
    high = scipy.signal.sosfilt(HIGH, again)[: 20 * LATENT_HOP]
    assert np.mean(high**4) / np.mean(high**2) ** 2 < 5.0


def test_dynamics_are_the_last_channels_of_sound(codec):
    model = codec.weights.model
    assert codec.dynamics_channels.sum() == model.num_dynamics_channels
    assert codec.dynamics_channels[-model.num_dynamics_channels :].all()
