import numpy as np
import pytest

from bassdiff.metrics.seams import seams, window_borders

RATE_HZ = 22050


def bass(seconds, seed=0):
    """Notes of 0.35 s, each at its own level."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(0.35 * RATE_HZ)) / RATE_HZ
    notes = [
        rng.uniform(0.2, 0.3) * sum(np.sin(2 * np.pi * hz * k * time) / k for k in (1, 2, 3))
        for hz in 55.0 * 2 ** (rng.integers(0, 12, round(seconds / 0.35)) / 12)
    ]
    return np.concatenate(notes)


def test_borders_are_where_windows_begin_and_end():
    # Windows at 0, 16, 32 and, to end with the song, 40.
    np.testing.assert_array_equal(window_borders(64, 24, 16), [16, 24, 32, 40, 56])
    np.testing.assert_array_equal(window_borders(20, 24, 16), [])


def test_a_bass_without_seams_has_none():
    borders = np.arange(3.13, 60.0, 3.0)
    found = seams(bass(60.0), borders, RATE_HZ)
    assert abs(found.level_db) < 1.0
    assert abs(found.pitch_share) < 0.25


def test_a_jump_of_level_at_the_borders_is_found():
    wave, borders = bass(60.0), np.arange(3.13, 60.0, 3.0)
    loud = np.searchsorted(borders, np.arange(len(wave)) / RATE_HZ) % 2 == 1
    found = seams(wave * np.where(loud, 4.0, 1.0), borders, RATE_HZ)
    assert found.level_db > 8.0


def test_a_new_note_at_every_border_is_found():
    time = np.arange(60 * RATE_HZ) / RATE_HZ
    borders = np.arange(3.0, 60.0, 3.0)
    hz = np.where(np.searchsorted(borders, time, "right") % 2 == 1, 55.0, 73.4)
    wave = 0.3 * np.sin(2 * np.pi * np.cumsum(hz) / RATE_HZ)
    assert seams(wave, borders, RATE_HZ).pitch_share > 0.9


def test_without_borders_or_sound_nothing_is_known():
    assert np.isnan(seams(bass(5.0), np.zeros(0), RATE_HZ).level_db)
    silent = seams(np.zeros(5 * RATE_HZ), np.array([2.0]), RATE_HZ)
    assert np.isnan([silent.level_db, silent.pitch_share]).all()


@pytest.mark.parametrize("frames", [25, 100, 1000])
def test_every_border_lies_inside(frames):
    borders = window_borders(frames, 24, 18)
    assert borders.min() > 0 and borders.max() < frames
