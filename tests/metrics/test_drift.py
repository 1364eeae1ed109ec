import math

import numpy as np
import pytest
import scipy.signal

from bassdiff.metrics.drift import drift

RATE_HZ = 22050
MINUTE_SECONDS = 4.0
MINUTE = round(MINUTE_SECONDS * RATE_HZ)


def _bass(num_minutes, seed=0):
    """Notes of a quarter of a second, random among eight, for minutes of 4 s."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(RATE_HZ // 4) / RATE_HZ
    notes = []
    for midi in rng.integers(33, 41, round(num_minutes * MINUTE_SECONDS * 4)):
        hz = 440 * 2 ** ((midi - 69) / 12)
        tone = sum(np.sin(2 * np.pi * hz * k * seconds) / k for k in range(1, 20))
        notes.append(0.1 * tone * np.exp(-4 * seconds) * np.minimum(1, seconds / 0.005))
    return np.concatenate(notes)


def _drift(bass):
    return drift(bass, RATE_HZ, segment_seconds=MINUTE_SECONDS)


def test_a_steady_bass_stays_within_its_floor():
    measured = _drift(_bass(6))
    assert len(measured.level_db) == len(measured.timbre_db) == 6
    assert measured.timbre_db[0] == 0 < measured.floor_db
    assert measured.max_timbre_db == measured.timbre_db.max() < 2 * measured.floor_db
    # 1 dB between minutes of other notes would be 15 dB per real minute.
    assert abs(measured.level_slope_db_per_minute) * MINUTE_SECONDS / 60 < 0.1


def test_level_is_that_of_the_sounding_frames():
    seconds = np.arange(2 * MINUTE) / RATE_HZ
    tone = 0.5 * np.sin(2 * np.pi * 55 * seconds)
    tone[MINUTE // 4 : MINUTE // 2] = 0
    np.testing.assert_allclose(_drift(tone).level_db, 10 * np.log10(0.125), atol=0.2)


def test_a_fade_has_its_slope():
    bass = _bass(6)
    steady = _drift(bass)
    seconds = np.arange(len(bass)) / RATE_HZ
    measured = _drift(bass * 10 ** (-0.5 * seconds / 20))
    change = measured.level_slope_db_per_minute - steady.level_slope_db_per_minute
    assert change == pytest.approx(-30, abs=0.5)
    assert measured.max_timbre_db < steady.max_timbre_db + 0.5


def test_a_deep_fade_is_followed_to_its_end():
    bass = _bass(6)
    fade = 10 ** (-3 * np.arange(len(bass)) / RATE_HZ / 20)  # 72 dB in all
    assert np.isfinite(_drift(bass * fade).level_db).all()


def test_a_sound_that_grows_dull_drifts():
    bass = _bass(4)
    dull = scipy.signal.sosfilt(scipy.signal.butter(2, 200, fs=RATE_HZ, output="sos"), bass)
    bass[2 * MINUTE :] = dull[2 * MINUTE :]
    measured = _drift(bass)
    assert measured.timbre_db[1] < 2 * measured.floor_db
    assert (measured.timbre_db[2:] > 3 * measured.floor_db).all()
    assert measured.max_timbre_db == measured.timbre_db[2:].max()


def test_a_short_bass_is_one_minute_without_slope():
    measured = drift(_bass(1), RATE_HZ)
    assert len(measured.level_db) == 1 and np.isfinite(measured.level_db).all()
    assert measured.timbre_db.tolist() == [0.0]
    assert np.isnan([measured.level_slope_db_per_minute, measured.max_timbre_db]).all()
    assert measured.floor_db > 0 and measured.silent_share == 0


def test_a_bass_that_falls_silent_has_no_slope_but_silent_minutes():
    bass = _bass(4)
    bass[MINUTE:] = 0
    measured = _drift(bass)
    assert measured.silent_share == 0.75
    assert np.isnan([measured.level_slope_db_per_minute, measured.max_timbre_db]).all()


@pytest.mark.parametrize(("num_minutes", "segments"), [(2.25, 2), (2.75, 3), (0.25, 1)])
def test_a_long_remainder_is_a_minute_and_a_short_one_joins_the_last(num_minutes, segments):
    bass = _bass(num_minutes)
    # Louder at its end, which must be heard in the last entry.
    bass[-MINUTE // 8 :] *= 10
    level_db = _drift(bass).level_db
    assert len(level_db) == segments and level_db.argmax() == segments - 1


def test_a_minute_of_rest_with_hiss_is_not_known_and_changes_nothing():
    rng = np.random.default_rng(0)
    bass = _bass(5)
    whole = _drift(bass)
    bass[2 * MINUTE : 3 * MINUTE] = 1e-4 * rng.standard_normal(MINUTE)
    measured = _drift(bass)
    for before, after in (
        (whole.level_db, measured.level_db),
        (whole.timbre_db, measured.timbre_db),
    ):
        assert math.isnan(after[2])
        np.testing.assert_array_equal(np.delete(before, 2), np.delete(after, 2))
    assert abs(measured.level_slope_db_per_minute - whole.level_slope_db_per_minute) < 1
    assert (whole.silent_share, measured.silent_share) == (0, pytest.approx(0.2))


def test_after_a_silent_intro_the_first_sounding_minute_is_the_first():
    bass = _bass(3)
    measured = _drift(np.concatenate([np.zeros(MINUTE), bass]))
    assert math.isnan(measured.timbre_db[0]) and measured.timbre_db[1] == 0
    assert measured.floor_db == pytest.approx(_drift(bass).floor_db)


@pytest.mark.parametrize("num_samples", [0, 1, 3 * MINUTE])
def test_silence_is_not_known(num_samples):
    measured = _drift(np.zeros(num_samples, np.float32))
    assert np.isnan(measured.level_db).all() and np.isnan(measured.timbre_db).all()
    assert math.isnan(measured.floor_db) and math.isnan(measured.max_timbre_db)
    assert math.isnan(measured.level_slope_db_per_minute) and measured.silent_share == 1


def test_one_sample_has_a_level():
    measured = _drift(np.full(1, 0.5))
    assert len(measured.level_db) == 1 and math.isnan(measured.floor_db)
