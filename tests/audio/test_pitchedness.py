"""Where a mix has pitch and where it has none."""

import numpy as np
import pytest

from bassdiff.audio.pitchedness import in_tune, partials, pitchless

RATE_HZ, LOW_RATE_HZ = 44100, 11025
FRAME = 2048


def chords(seconds):
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    roots = 220.0 * 2 ** ((np.floor(time * 2) * 5 % 12) / 12)
    phase = 2 * np.pi * np.cumsum(roots) / RATE_HZ
    partials = [k * ratio for k in (1, 2, 3) for ratio in (1.0, 1.26, 1.5)]
    return 0.05 * sum(np.sin(phase * p) / p for p in partials)


def drums(seconds, rng):
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    since = time % 0.25
    noise = rng.standard_normal(len(time)) * np.exp(-30 * since)
    kick = np.sin(2 * np.pi * (50 * since - 3 * np.exp(-30 * since))) * np.exp(-10 * since)
    return 0.2 * noise + 0.5 * kick


def told(mix):
    return pitchless(mix, -(-len(mix) // FRAME), FRAME / RATE_HZ)


@pytest.mark.parametrize("gain", [1e-3, 1.0, 30.0])
def test_chords_have_pitch_and_drums_have_none(rng, gain):
    assert not told(gain * chords(8.0)).any()
    assert told(gain * drums(8.0, rng)).all()
    both = chords(8.0) + drums(8.0, rng)
    assert not told(gain * both).any()


def test_an_intro_of_drums_is_told_from_the_song(rng):
    song = np.concatenate([drums(20.0, rng), drums(20.0, rng) + chords(20.0)])
    is_few = told(song)
    seconds = (np.arange(len(is_few)) + 0.5) * FRAME / RATE_HZ
    assert is_few[seconds < 13].all()
    assert not is_few[seconds > 21].any()


def test_a_short_break_changes_nothing(rng):
    assert not told(np.concatenate([chords(10.0), drums(4.0, rng), chords(10.0)])).any()


@pytest.mark.parametrize("seconds", [1.0, 3.3])
def test_silence_says_nothing_and_short_mixes_are_heard(rng, seconds):
    assert not told(np.zeros(round(seconds * RATE_HZ), np.float32)).any()
    assert told(drums(seconds, rng)).all()
    assert not told(chords(seconds)).any()


def test_a_pure_tone_that_stutters_has_pitch():
    time = np.arange(5 * RATE_HZ) / RATE_HZ
    assert not told(np.sin(2 * np.pi * 220 * time) * (np.sin(2 * np.pi * 3 * time) > 0)).any()


@pytest.mark.parametrize("window", [2048, 4096])
def test_partials_are_found_where_they_sound(window):
    time = np.arange(4 * LOW_RATE_HZ) / LOW_RATE_HZ
    hertz = np.array([300.0, 500.0, 1210.0])
    tones = sum(np.sin(2 * np.pi * hz * time) for hz in (*hertz, 60.0, 4000.0))
    places, shares, sounding = partials(tones.astype(np.float32), window)
    assert np.all(np.median(places.sum(axis=1)) == len(hertz))
    heard = 100.0 * 2 ** (np.flatnonzero(np.median(places, axis=0)) / 120)
    # Places are ten cents wide, and three more are the interpolation's.
    np.testing.assert_allclose(np.log2(heard / hertz), 0.0, atol=8 / 1200)
    assert np.median(shares) > 0.95
    assert sounding[5:-5].all()


def heard_at(semitones):
    return np.bincount(np.round(10 * np.asarray(semitones)).astype(int), minlength=558)


def test_a_scale_is_in_tune_however_it_is_tuned(rng):
    scale = np.array([octave + step for octave in (12, 24, 36) for step in (0, 2, 4, 5, 7, 9, 11)])
    assert in_tune(heard_at(scale)) == pytest.approx(21.0)
    assert in_tune(heard_at(scale + 0.4)) == pytest.approx(21.0)
    # However long the song, and a note that is held does not hide the others.
    assert in_tune(1000 * heard_at(scale)) == pytest.approx(21.0)
    assert in_tune(heard_at([*scale, *[scale[0]] * 24])) == pytest.approx(25**2 / 45)
    assert in_tune(heard_at([14.3])) == pytest.approx(1.0)
    assert in_tune(np.zeros(558)) == 0.0
    anywhere = [in_tune(heard_at(rng.uniform(0, 55, 21))) for _ in range(400)]
    assert np.mean(anywhere) == pytest.approx(1.0, abs=0.2)


def distorted(seconds):
    """Power chords of low guitars, as loud as the distortion lets them be."""
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    roots = 73.4 * 2 ** (np.array([0, 3, 5, 1, 0, 6, 5, 3])[(time * 2).astype(int) % 8] / 12)
    phase = 2 * np.pi * np.cumsum(roots) / RATE_HZ
    return 0.3 * np.tanh(30 * sum(np.sin(phase * ratio) for ratio in (1.0, 1.4983, 2.0)))


def test_distorted_guitars_beneath_drums_have_pitch(rng):
    assert not told(distorted(14.0) + drums(14.0, rng)).any()


def test_drums_that_ring_have_none(rng):
    time = np.arange(12 * RATE_HZ) / RATE_HZ
    since = time % 0.5
    kits = 100.0 * 2 ** rng.uniform(0.5, 4.0, (8, 5))
    rings = [sum(np.sin(2 * np.pi * hz * since) for hz in kit) * np.exp(-6 * since) for kit in kits]
    # Any five frequencies are in tune now and then: of real kits, 84 to 88 % of the time is told.
    assert np.mean([told(drums(12.0, rng) + 0.1 * ring).mean() for ring in rings]) > 0.7
