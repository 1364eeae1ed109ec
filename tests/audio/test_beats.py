"""Tempo, beats and bars of mixes for which they are known."""

import itertools

import numpy as np
import pytest

from bassdiff.audio.beats import estimate_beats

RATE_HZ = 44100


def drums(beats, per_bar, seconds, rng):
    """Hi-hats on halves of beats, a snare on every second beat, and a kick where bars begin."""
    wave = np.zeros(round(seconds * RATE_HZ) + RATE_HZ, np.float32)
    time = np.arange(RATE_HZ // 4) / RATE_HZ
    hat = 0.1 * rng.standard_normal(len(time)) * np.exp(-60 * time)
    snare = 0.3 * rng.standard_normal(len(time)) * np.exp(-25 * time)
    kick = 0.8 * np.sin(2 * np.pi * 60 * time) * np.exp(-15 * time)
    for number, (beat, after) in enumerate(itertools.pairwise(beats)):
        for at, sound in (
            (beat, hat),
            ((beat + after) / 2, hat),
            (beat, kick if number % per_bar == 0 else snare),
        ):
            begin = round(at * RATE_HZ)
            wave[begin : begin + len(sound)] += sound
    return wave[: round(seconds * RATE_HZ)]


@pytest.mark.parametrize(
    ("bpm", "offset", "per_bar"), [(92.0, 0.31, 4), (120.0, 0.0, 4), (138.0, 0.2, 3)]
)
def test_steady_tempos_are_exact(bpm, offset, per_bar, rng):
    beats = offset + np.arange(64) * 60.0 / bpm
    seconds = beats[-1]
    found = estimate_beats(drums(beats, per_bar, seconds, rng), beats_per_bar=per_bar)
    assert 60.0 / np.median(np.diff(found.seconds)) == pytest.approx(bpm, rel=0.005)
    distance = np.abs(found.seconds[:, None] - beats[None]).min(axis=1)
    assert np.mean(distance < 0.03) > 0.95
    bars = found.seconds[found.first_bar :: per_bar]
    assert np.abs(bars[:, None] - beats[::per_bar][None]).min(axis=1).max() < 0.05


def test_bars_begin_where_chords_change(rng):
    beats = 0.2 + np.arange(48) * 0.5
    wave = drums(beats, 1, beats[-1], rng)
    found = estimate_beats(wave, changes_seconds=list(beats[2::3]))
    assert found.beats_per_bar == 3
    first = found.seconds[found.first_bar]
    assert np.abs(beats[2::3] - first).min() < 0.05


@pytest.mark.parametrize("first", [1, 2])
def test_bars_begin_where_the_harmony_changes(first, rng):
    """Although the kick drum is on other beats, or also on the third, and no chords are named."""
    beats = 0.2 + np.arange(64) * 0.5
    wave = drums(beats, 2, beats[-1], rng)
    time = np.arange(len(wave)) / RATE_HZ
    number = np.clip(np.floor((time - beats[first]) / 2.0).astype(int), 0, None) % 4
    for above in (0, 4, 7):
        hz = 220.0 * 2.0 ** ((np.array([0, 5, 7, 2])[number] + above) / 12)
        wave += 0.1 * np.sin(2 * np.pi * np.cumsum(hz) / RATE_HZ).astype(np.float32)
    found = estimate_beats(wave, beats_per_bar=4)
    bar = found.seconds[found.first_bar]
    assert np.abs(beats[first::4] - bar).min() < 0.05


def test_a_tempo_that_drifts_is_followed(rng):
    beats = 0.1 + np.cumsum(0.5 + 0.06 * np.sin(np.arange(80) / 8.0))
    found = estimate_beats(drums(beats, 4, beats[-1], rng))
    distance = np.abs(beats[:-1, None] - found.seconds[None]).min(axis=1)
    assert np.mean(distance < 0.07) > 0.85


def test_without_a_pulse_there_are_no_beats(rng):
    assert estimate_beats(np.zeros(5 * RATE_HZ, np.float32)) is None
    noise = rng.standard_normal(20 * RATE_HZ).astype(np.float32)
    assert estimate_beats(0.1 * noise) is None
    time = np.arange(20 * RATE_HZ) / RATE_HZ
    assert estimate_beats(np.sin(2 * np.pi * 220 * time).astype(np.float32)) is None
    assert estimate_beats(np.zeros(RATE_HZ // 3, np.float32)) is None
