"""The bassist as a library: alignment, seeds, settings without compilation, refusals."""

import jax
import numpy as np
import pytest

from bassdiff import bassist
from bassdiff.errors import InputError

RATE = 44100


@pytest.fixture(scope="module")
def player(tiny_weights):
    return bassist.load(tiny_weights)


def mix(seconds, rate=RATE):
    time = np.arange(round(seconds * rate)) / rate
    return (0.2 * np.sin(2 * np.pi * 220 * time) * (np.sin(2 * np.pi * 3 * time) > 0)).astype(
        np.float32
    )


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_output_is_exactly_as_long_as_the_input(player, rate):
    song = mix(1.37, rate)
    stereo = np.stack([song, song], axis=1)
    bass = player.generate(stereo, rate, steps=2)
    assert bass.shape == song.shape
    assert bass.dtype == np.float32
    np.testing.assert_array_equal(bass, player.generate(song, rate, steps=2))


def test_a_stereo_reference_is_averaged(player):
    song, style = mix(1.2), mix(1.5)
    stereo = np.stack([style, style], axis=1)
    np.testing.assert_array_equal(
        player.generate(song, RATE, style=stereo), player.generate(song, RATE, style=style)
    )


def test_seeds_and_steps_decide(player):
    song = mix(1.2)
    first = player.generate(song, RATE, seed=1)
    np.testing.assert_array_equal(first, player.generate(song, RATE, seed=1))
    assert np.any(first != player.generate(song, RATE, seed=2))
    assert np.any(first != player.generate(song, RATE, seed=1, steps=6))


def test_a_song_takes_three_programs(tiny_weights, compilations):
    """Encoding, denoising and decoding, whatever else is done on the way."""
    jax.clear_caches()
    bassist.load(tiny_weights).generate(mix(1.0), RATE, steps=3)
    assert len(compilations) == 3


def test_no_setting_compiles_anything(player, compilations):
    player.generate(mix(1.0), RATE, style=mix(1.0), steps=3)
    before = len(compilations)
    player.generate(
        mix(2.9), RATE, style=mix(1.5), steps=9, guidance=5.0, rescale=0.1, style_strength=0.3,
        schedule="karras", seed=9,
    )  # fmt: skip
    player.generate(mix(2.0), RATE)
    assert len(compilations) == before


def test_progress_counts_every_step(player):
    seen = []
    player.generate(mix(1.0), RATE, steps=12, progress=lambda *at: seen.append(at))
    assert seen[-1] == (12, 12)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_louder_mix_louder_bass_and_the_same_notes(player):
    song = mix(1.5)
    quiet = player.generate(0.1 * song, RATE, steps=2)
    loud = player.generate(song, RATE, steps=2)
    np.testing.assert_allclose(10 * quiet, loud, rtol=0.02, atol=0.02 * np.abs(loud).max())


def test_a_silent_mix_is_played_over(player):
    with pytest.warns(UserWarning, match="silent"):
        bass = player.generate(np.zeros(RATE, np.float32), RATE, steps=2)
    assert np.all(np.isfinite(bass))


@pytest.mark.parametrize(
    ("song", "settings", "words"),
    [
        (mix(0.9), {}, "0.900 s long"),
        (np.zeros(601 * 8000, np.float32), {}, "longer than 10 min"),
        (np.full(RATE, np.nan, np.float32), {}, "not finite"),
        (np.zeros(RATE, np.int16), {}, "of type int16; give floats"),
        (np.zeros((2, RATE), np.float32), {}, "with time first"),
        ("song.wav", {}, "give floats"),
        (mix(1.0), {"steps": 1}, "steps is 1"),
        (mix(1.0), {"solver": "best"}, "unknown solver"),
        (mix(1.0), {"seed": -1}, "seed is -1"),
        (mix(1.0), {"style": np.zeros(RATE, np.float32)}, "no sound"),
        (mix(1.0), {"style": np.ones(RATE // 4, np.float32)}, "is 0.250 s long"),
        (mix(1.0), {"stepz": 3}, "stepz"),
    ],
)
def test_refusals_are_sentences(player, song, settings, words):
    rate = 8000 if len(song) > 10 * RATE else RATE
    with pytest.raises(InputError, match=words):
        player.generate(song, rate, **settings)


@pytest.mark.parametrize("rate", [0, -1, 44100.5, float("nan")])
def test_a_rate_that_is_none_is_refused(player, rate):
    with pytest.raises(InputError, match="give a positive whole number"):
        player.generate(mix(1.0), rate)


def test_what_is_not_finite_is_not_played(player, monkeypatch):
    monkeypatch.setattr(player, "sample", lambda mix, *_: np.full((len(mix), 8), np.nan))
    monkeypatch.setattr(player._bass_codec, "decode", lambda latents: np.full(9000 * 8, np.nan))
    with pytest.raises(InputError, match="nothing finite with these settings; lower the guidance"):
        player.generate(mix(1.0), RATE, steps=2)


def test_a_whole_rate_may_be_a_float(player):
    played = [player.generate(mix(1.0), kind(RATE), steps=2) for kind in (int, float)]
    np.testing.assert_array_equal(*played)
