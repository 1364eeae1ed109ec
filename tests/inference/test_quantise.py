"""Onsets of lines that are known are moved to the grid, and nothing else changes."""

import numpy as np
import pytest

from bassdiff.audio.transcription import transcribe
from bassdiff.inference.grid import steady_grid
from bassdiff.inference.quantise import nearest_on_grid, onset_times, quantised, warp
from bassdiff.pretrained.codec import Codec
from bassdiff.pretrained.release import load_weights

RATE = 44100
# Off the sixteenths of 120 bpm by up to 50 ms.
STARTS = np.array([0.29, 0.71, 1.04, 1.46, 2.03, 2.46, 2.78, 3.21, 3.54])
PITCHES = [33, 36, 40, 33, 43, 38, 33, 40, 36]


def plucked(starts, pitches, seconds):
    wave = np.zeros(round(seconds * RATE), np.float32)
    ends = [*starts[1:], starts[-1] + 0.4]
    for start, end, pitch in zip(starts, ends, pitches, strict=True):
        time = np.arange(round((end - start - 0.02) * RATE)) / RATE
        hz = 440.0 * 2 ** ((pitch - 69) / 12)
        tone = sum(np.sin(2 * np.pi * k * hz * time + k) / k**1.3 for k in range(1, 9))
        shape = np.minimum(time / 0.004, 1.0) * np.exp(-3.0 * time)
        shape *= np.minimum((time[-1] - time) / 0.02, 1.0)
        begin = round(start * RATE)
        wave[begin : begin + len(time)] += (0.2 * tone * shape).astype(np.float32)
    return wave


@pytest.fixture(scope="module")
def codec():
    return Codec(load_weights("small").bass_codec)


def near(found, wanted):
    return np.abs(found[None] - np.asarray(wanted)[:, None]).min(axis=1)


@pytest.mark.parametrize("amount", [0.5, 1.0])
def test_onsets_move_and_pitches_stay(codec, amount):
    wave = plucked(STARTS, PITCHES, 4.0)
    grid = steady_grid(120.0)
    wanted = STARTS + amount * (np.round(STARTS / 0.125) * 0.125 - STARTS)
    moved = codec.decode(quantised(wave, codec, grid, amount))
    found = onset_times(moved)
    assert np.median(near(found, wanted)) < 0.012
    assert near(found, wanted).max() < 0.03
    notes = transcribe(moved, RATE)
    for start, pitch in zip(wanted, PITCHES, strict=True):
        note = min(notes, key=lambda note: abs(note.start_seconds - start))
        assert note.pitch == pytest.approx(pitch, abs=0.3)


def test_outside_a_region_nothing_moves(codec):
    wave = plucked(STARTS, PITCHES, 4.0)
    moved = codec.decode(quantised(wave, codec, steady_grid(120.0), 1.0, (1.9, 3.0)))
    found = onset_times(moved)
    inside = (STARTS > 1.9) & (STARTS < 3.0)
    assert near(found, STARTS[~inside]).max() < 0.02
    assert near(found, np.round(STARTS[inside] / 0.125) * 0.125).max() < 0.02


def test_onsets_are_found_where_they_are():
    assert near(onset_times(plucked(STARTS, PITCHES, 4.0)), STARTS).max() < 0.015
    assert not len(onset_times(np.zeros(RATE, np.float32)))


def test_triplets_stay_triplets():
    grid = steady_grid(120.0)
    triplets = np.arange(12) / 6.0
    late = triplets + 0.01
    np.testing.assert_allclose(nearest_on_grid(late, grid), triplets, atol=1e-9)
    straight = np.arange(12) / 4.0
    np.testing.assert_allclose(nearest_on_grid(straight - 0.02, grid), straight, atol=1e-9)


def test_a_warp_is_monotone_and_moves_attacks_whole(rng):
    onsets = np.cumsum(rng.uniform(0.05, 0.5, 40))
    moved = np.round(onsets * 8) / 8
    new, old = warp(onsets, moved, (0.0, onsets[-1] + 0.5))
    assert np.all(np.diff(new) > 0) and np.all(np.diff(old) > 0)
    kept = np.isclose(np.interp(moved, new, old), onsets, atol=1e-9)
    assert kept.mean() > 0.6
    assert np.interp(-1.0, new, old) == pytest.approx(-1.0)
    assert np.interp(99.0, new, old) == pytest.approx(99.0)
