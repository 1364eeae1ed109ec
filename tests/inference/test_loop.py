"""Loops: what is played twice has no seam."""

import numpy as np
import pytest

from bassdiff.diffusion.circular import Circular
from bassdiff.inference import loop
from bassdiff.inference.control import Control
from bassdiff.inference.grid import steady_grid
from bassdiff.inference.inputs import edit
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.release import load_weights
from bassdiff.runtime.errors import InputError

pytestmark = pytest.mark.filterwarnings("default:the bass came out")
RATE = 44100


def heard(codec, wave):
    return loop.without_margins(codec.encode(loop.with_margins(wave)))


@pytest.fixture(scope="module")
def codec():
    return Codec(load_weights("small").bass_codec)


def test_a_denoiser_sees_a_loop_go_on(make_cond):
    import jax
    import jax.numpy as jnp

    frames, padded, margin = 11, 24, 4
    cond = make_cond(1, padded, 2).replace(frames=jnp.full(1, frames, jnp.int32))
    x = jax.random.normal(jax.random.key(0), (1, padded, 2))

    def smoothing(x, sigma, cond):
        known = x * cond.mask()
        return known + jnp.roll(known, 1, axis=1) + jnp.roll(known, -2, axis=1)

    found = Circular(margin)(smoothing)(x, jnp.ones(1), cond)
    once = np.asarray(x)[:, :frames]
    wanted = once + np.roll(once, 1, axis=1) + np.roll(once, -2, axis=1)
    np.testing.assert_allclose(found[:, :frames], wanted, atol=1e-6)
    assert not np.any(found[:, frames:])


def test_a_loop_turned_by_some_frames_gives_the_same_turned(player):
    """Without the noise, which belongs to places: nothing in the way knows where a loop begins."""
    time = np.arange(43 * 2048) / RATE
    wave = (0.1 * np.sin(2 * np.pi * 110 * time) * (1 + np.sin(4 * np.pi * time))).astype(
        np.float32
    )
    latents = heard(player.mix_codec, wave)
    turned = heard(player.mix_codec, np.roll(wave, 10 * 2048))
    np.testing.assert_allclose(turned, np.roll(latents, 10, axis=0), atol=2e-3)


def test_a_step_of_a_turned_loop_is_that_step_turned(player):
    """By as many frames as the network takes together, in a loop of whole such groups."""
    import jax.numpy as jnp

    from bassdiff.diffusion.denoiser import precondition

    rng = np.random.default_rng(0)
    stride, bucket = player.sampler._model.stride, 432
    frames, turn = 10 * stride, 4 * stride
    mix = rng.standard_normal((frames, player.mix_codec.num_channels)).astype(np.float32)
    # One note in one sound, so that held notes have something to share across the end.
    x = 0.3 * rng.standard_normal((frames, player.bass_codec.num_channels)).astype(np.float32)
    x += np.float32(player.bass_codec.note_codes()[12])

    def network(x, sigma, cond):
        return player.sampler._model.apply({"params": player.sampler._params}, x, sigma, cond)

    def estimate(mix, x, loops=True):
        request = player.sampler.request(mix, player.defaults, loops=loops).padded(bucket)
        denoise = request.guidance(player.sampler._layout)(Circular()(precondition(network)))
        x = np.pad(x, ((0, bucket - frames), (0, 0)))[None]
        found = denoise(jnp.asarray(x), jnp.full(1, 0.3), request.cond(player.sampler._layout))
        return np.asarray(found)[0, :frames]

    found = estimate(mix, x)
    turned = estimate(np.roll(mix, turn, axis=0), np.roll(x, turn, axis=0))
    np.testing.assert_allclose(turned, np.roll(found, turn, axis=0), atol=1e-3)
    assert np.abs(estimate(mix, x, loops=False) - found)[[0, -1]].max() > 0.01


@pytest.mark.parametrize("rate", [44100, 48000])
def test_a_held_note_goes_on_across_the_end(codec, rate):
    frames = 90
    semitones = np.full(2 * frames, 9.3)
    latents = codec.line(semitones, np.ones(2 * frames), np.ones(2 * frames))
    note = 0.2 * sum(
        np.sin(2 * np.pi * k * 27.5 * 2 ** (9.3 / 12) * np.arange(frames * 2048) / RATE) / k
        for k in range(1, 8)
    )
    sound = codec.encode(note.astype(np.float32))[frames // 2]
    latents = np.where(codec.pitch_channels[None], latents, sound[None])
    wave = loop.joined(codec.decode(loop.in_phase(codec, latents)))
    samples = round(len(wave) / RATE * rate)
    wave = loop.played(wave, rate, samples, len(wave) / RATE * rate / samples)
    twice = np.tile(wave, 2)
    # The waveform at the end resembles that elsewhere: steps, and the level of a few periods.
    steps = np.abs(np.diff(twice))
    assert steps[samples - 20 : samples + 20].max() <= 1.1 * steps[rate // 2 : -rate // 2].max()
    width = round(2 * rate / (27.5 * 2 ** (9.3 / 12)))
    levels = [
        np.sqrt(np.mean(np.square(twice[at : at + width])))
        for at in range(samples - rate // 4, samples + rate // 4, width // 2)
    ]
    assert max(levels) / min(levels) < 1.1
    assert abs(codec.turns(loop.in_whole_turns(codec, latents)) % 1.0 - 0.5) > 0.48


def test_a_loop_of_any_length_comes_back_as_long(player):
    rng = np.random.default_rng(0)
    for rate, samples in ((44100, 100001), (48000, 96000), (22050, 33333)):
        given = rng.standard_normal(samples).astype(np.float32)
        given = np.convolve(given, np.ones(16) / 16, "same").astype(np.float32)
        frames, slower = loop.whole_frames(samples, rate, 1.01)
        wave = loop.heard(given, rate, frames, slower)
        assert len(wave) == frames * 2048 and abs(slower - 1.01) < 0.5 / frames * 1.02
        back = loop.played(wave, rate, samples, slower)
        assert len(back) == samples
        assert np.corrcoef(back, given)[0, 1] > 0.97
        assert np.corrcoef(back[:200], given[:200])[0, 1] > 0.95
    bass = player.generate(given, rate, loops=True, steps=2, pedal=0.0)
    assert bass.shape == given.shape and np.all(np.isfinite(bass))


def test_loops_with_drafts_and_without_end_are_refused(player):
    wave = np.zeros(2 * RATE, np.float32)
    with pytest.raises(InputError, match="a loop is played from nothing"):
        player.generate(wave, RATE, loops=True, draft=edit(wave, 0.5, 1.0))
    with pytest.raises(InputError, match="longer than 8 minutes"):
        player.generate(np.zeros(500 * RATE, np.float32), RATE, loops=True)


def test_choices_are_cut_to_the_loop():
    chords = [(0.0, 3.0, "C"), (3.0, 6.0, "F")]
    control = Control(chords, bpm=120.0, first_beat_seconds=1.0, notes=[(2.0, 4.5, 40.0)])
    cut = control.cut(1.0, 5.0)
    assert [(c.start_seconds, c.end_seconds, c.name) for c in cut.chord_segments()] == [
        (0.0, 2.0, "C"),
        (2.0, 4.0, "F"),
    ]
    assert cut.grid.bar_seconds(1) == pytest.approx(2.0)
    assert cut.notes == [(1.0, 3.5, 40.0)]
    assert steady_grid(120.0, 0.5).from_bar(1).bar_seconds(1) == pytest.approx(2.0)
