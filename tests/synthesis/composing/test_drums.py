import numpy as np
import pytest

from bassdiff.synthesis.composing.drums import Drummer
from bassdiff.synthesis.composing.meter import Bar, Harmony
from bassdiff.synthesis.composing.styles import CRASH, KICK, SNARE, STYLES


def bar(style, place, energy=1.0):
    harmony = ((0, Harmony(0, "maj", 0)),)
    start = place * style.meter.steps
    return Bar(start, style.meter, harmony, None, place, 8, energy, (0,))


@pytest.mark.parametrize("name", sorted(STYLES))
def test_patterns_fill_the_bar(name):
    style = STYLES[name]
    for pattern in (*style.kicks, *style.snares, *style.hats):
        assert len(pattern) == style.meter.steps
        assert set(pattern) <= set(".xoO")


def test_kicks_are_those_that_sound():
    style = STYLES["rock"]
    for seed in range(5):
        drummer = Drummer(style, np.random.default_rng(seed))
        third = bar(style, 2)
        struck = [e.step - third.start for e in drummer.play(third) if e.pitch == KICK]
        assert tuple(struck) == drummer.kicks(third)


def test_sections_open_with_a_crash_and_close_with_fills():
    style = STYLES["rock"]
    fills = 0
    for seed in range(20):
        drummer = Drummer(style, np.random.default_rng(seed))
        assert CRASH in [event.pitch for event in drummer.play(bar(style, 0))]
        usual = {(e.step % 16, e.pitch) for e in drummer.play(bar(style, 2))}
        fills += {(e.step % 16, e.pitch) for e in drummer.play(bar(style, 7))} != usual
    assert 8 <= fills <= 20


def test_quiet_bars_leave_the_snare_out():
    style = STYLES["rock"]
    drummer = Drummer(style, np.random.default_rng(0))
    assert SNARE in [event.pitch for event in drummer.play(bar(style, 1))]
    assert SNARE not in [event.pitch for event in drummer.play(bar(style, 1, energy=0.3))]
