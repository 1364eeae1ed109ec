"""A phrase that was trained on is found, late, in another key, off the grid; others are not."""

import numpy as np
import pytest

from bassdiff.metrics.memorisation import (
    PHRASE_FRAMES,
    SILENT,
    joined,
    nearer_share,
    nearest,
    phrases,
)

CHANNELS = 6


@pytest.fixture
def bass(rng):
    """Makes a bass of notes of eight frames, some of them rests, and latents of noise."""

    def make(frames=1500):
        notes = np.repeat(rng.integers(5, 30, -(-frames // 8)), 8)[:frames].astype(np.int16)
        notes[np.repeat(rng.random(-(-frames // 8)) < 0.2, 8)[:frames]] = SILENT
        return rng.normal(size=(frames, CHANNELS)).astype(np.float32), notes

    return make


def found(mine, *training):
    latents, notes = mine
    return nearest(phrases(latents[None], notes), training)


def test_a_copy_is_found_wherever_it_stands(bass):
    training = [bass(), bass(), bass()]
    # Not at a border of blocks, across one, and at the very end.
    for start in (3, 850, 1500 - PHRASE_FRAMES):
        latents, notes = (x[start : start + PHRASE_FRAMES] for x in training[1])
        copy = found((latents, notes), *training)
        assert copy.distance == pytest.approx([0.0], abs=2e-3)
        assert copy.same_key == pytest.approx([1.0])
        assert copy.any_key == pytest.approx([1.0])
        assert copy.song == [1]


def test_a_copy_in_another_key_is_found_by_its_melody_alone(bass):
    training = [bass(), bass()]
    notes = training[0][1][400 : 400 + PHRASE_FRAMES]
    higher = np.where(notes == SILENT, SILENT, notes + 4).astype(np.int16)
    copy = found((bass(PHRASE_FRAMES)[0], higher), *training)
    assert copy.any_key == pytest.approx([1.0])
    assert copy.same_key[0] < 0.5
    assert copy.distance[0] > 1.0


def test_a_copy_survives_some_wrong_notes(bass, rng):
    training = [bass()]
    notes = training[0][1][77 : 77 + PHRASE_FRAMES].copy()
    wrong = rng.random(PHRASE_FRAMES) < 0.1
    notes[wrong] = 40
    copy = found((bass(PHRASE_FRAMES)[0], notes), *training)
    assert 0.8 < copy.same_key[0] < 1
    higher = np.where(notes == SILENT, SILENT, notes - 3).astype(np.int16)
    assert found((bass(PHRASE_FRAMES)[0], higher), *training).any_key[0] > 0.8


def test_unrelated_basses_are_far(bass):
    other = found(bass(4 * PHRASE_FRAMES), bass(), bass())
    assert len(other.distance) == 4
    # Of unit variance: the square root of two, less what the best of many lags gains.
    assert np.all((1.2 < other.distance) & (other.distance < 1.45))
    assert np.all(other.same_key < 0.5) and np.all(other.any_key < 0.6)


def test_the_least_distance_is_that_of_a_plain_search(bass):
    mine, training = bass(PHRASE_FRAMES), bass(1200)
    plain = [
        np.sqrt(np.square(training[0][lag : lag + PHRASE_FRAMES] - mine[0]).mean())
        for lag in range(1200 - PHRASE_FRAMES + 1)
    ]
    assert found(mine, training).distance == pytest.approx([min(plain)], rel=1e-4)


def test_the_nearer_of_two_shifts_counts(bass):
    training = bass()
    latents, notes = (x[64 : 64 + PHRASE_FRAMES] for x in training)
    both = phrases(np.stack([bass(PHRASE_FRAMES)[0], latents]), notes)
    assert nearest(both, [training]).distance == pytest.approx([0.0], abs=2e-3)


def test_what_has_no_melody_or_no_sound_is_not_compared(bass):
    latents, notes = bass(3 * PHRASE_FRAMES)
    notes[:PHRASE_FRAMES] = SILENT
    notes[PHRASE_FRAMES : 2 * PHRASE_FRAMES] = 7
    cut = phrases(latents[None], notes)
    assert cut.starts.tolist() == [PHRASE_FRAMES, 2 * PHRASE_FRAMES]
    assert cut.has_melody.tolist() == [False, True]
    same = nearest(cut, [(latents, notes)])
    assert np.isnan(same.same_key[0]) and same.same_key[1] == 1
    np.testing.assert_allclose(same.distance, 0, atol=2e-3)


def test_basses_shorter_than_a_phrase_are_passed_over(bass):
    mine = bass(PHRASE_FRAMES)
    short = tuple(x[:-1] for x in mine)
    none = found(mine, short)
    assert none.distance == [np.inf] and none.any_key == [0]
    assert len(phrases(short[0][None], short[1]).starts) == 0


def test_phrases_of_several_basses_stay_in_order(bass):
    one, two = bass(PHRASE_FRAMES), bass(2 * PHRASE_FRAMES)
    both = joined(phrases(latents[None], notes) for latents, notes in (one, two))
    assert both.starts.tolist() == [0, 0, PHRASE_FRAMES]
    np.testing.assert_array_equal(both.notes[2], two[1][PHRASE_FRAMES:])


def test_nearer_is_the_share_that_is_farther():
    reference = np.array([1.0, 2.0, 2.0, 3.0, np.nan])
    shares = nearer_share(np.array([0.0, 2.0, 3.0, 4.0, np.nan]), reference)
    np.testing.assert_allclose(shares, [1, 0.5, 0.125, 0, np.nan])
    assert nearer_share(reference[:4], reference).mean() == pytest.approx(0.5)
    assert np.isnan(nearer_share(reference, np.array([np.nan]))).all()
