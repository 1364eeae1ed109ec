import numpy as np
import pytest

from bassdiff.synthesis.composing.meter import (
    FOUR_FOUR,
    SLIDE_SECONDS,
    Bar,
    Event,
    Grid,
    Harmony,
    to_chords,
    to_part,
)

C, G = Harmony(0, "maj", 0), Harmony(7, "maj", 11)


def bar(start=0, changes=((0, C), (8, G)), following=None):
    return Bar(start, FOUR_FOUR, changes, following, 0, 4, 1.0, (0, 2, 4, 5, 7, 9, 11))


def test_grid_places_steps_between_uneven_beats_and_beyond():
    grid = Grid(np.array([0.0, 1.0, 3.0]), division=4)
    assert grid.seconds(2) == pytest.approx(0.5)
    assert grid.seconds(6) == pytest.approx(2.0)
    assert grid.seconds(12) == pytest.approx(5.0)
    assert grid.seconds(-4) == pytest.approx(-1.0)


@pytest.mark.parametrize("sixteenths", [False, True])
def test_full_swing_is_a_triplet_and_leaves_the_beat_alone(sixteenths):
    grid = Grid(np.arange(5.0), division=4, swing=1.0, swing_sixteenths=sixteenths)
    assert grid.seconds(4) == pytest.approx(1.0)
    step, pair = (1, 0.5) if sixteenths else (2, 1.0)
    assert grid.seconds(step) == pytest.approx(pair * 2 / 3)
    times = [grid.seconds(s) for s in np.arange(0, 16, 0.25)]
    assert np.all(np.diff(times) > 0.0)


def test_bar_knows_its_harmony_and_what_comes():
    one = bar(following=C)
    assert one.harmony(7) == C
    assert one.harmony(8) == G
    assert one.next_change(3) == 8
    assert one.next_change(9) == 16
    assert one.after(0) == G
    assert one.after(8) == C


def test_chords_merge_equal_neighbours():
    grid = Grid(np.arange(9.0), division=4)
    chords = to_chords([bar(0, ((0, C),)), bar(16, ((0, C), (8, G)))], grid)
    assert [(c.start_seconds, c.end_seconds, c.root, c.bass) for c in chords] == [
        (0.0, 6.0, 0, 0),
        (6.0, 8.0, 7, 11),
    ]


def test_slide_bends_from_below_to_the_note():
    grid = Grid(np.arange(9.0), division=4)
    rng = np.random.default_rng(0)
    part = to_part([Event(4, 4, 40, 90, slide=-5.0)], grid, "bass", 33, rng, 0.0)
    assert part.notes[0].start_seconds == pytest.approx(1.0)
    assert part.bends[0].semitones == -5.0
    assert part.bends[-1].semitones == 0.0
    assert part.bends[-1].start_seconds == pytest.approx(1.0 + SLIDE_SECONDS)
