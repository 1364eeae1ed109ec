import numpy as np
import pytest

from bassdiff.synthesis.composing import band
from bassdiff.synthesis.composing.basslines import IDIOMS, for_meter
from bassdiff.synthesis.composing.fretboard import Fretboard
from bassdiff.synthesis.composing.meter import FOUR_FOUR, SIX_EIGHT, Bar, Harmony, Meter

C, G_OVER_B = Harmony(0, "maj", 0), Harmony(7, "7", 11)
PLAYERS = (
    band.comping,
    band.pads,
    band.arpeggios,
    band.power_chords,
    band.guide_tones,
    band.melody,
)


def bar(meter, changes, place=3):
    return Bar(64, meter, changes, G_OVER_B, place, 4, 0.8, (0, 2, 4, 5, 7, 9, 11))


# Lead sheets have bars that are longer or shorter than the song's metre.
@pytest.mark.parametrize("beats", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("meter", [FOUR_FOUR, SIX_EIGHT])
def test_everyone_stays_within_odd_bars(meter, beats):
    odd = bar(Meter(beats, meter.division), ((0, C),))
    end = odd.start + odd.meter.steps
    for seed in range(6):
        rng = np.random.default_rng(seed)
        for name in for_meter(tuple(IDIOMS), meter):
            board = Fretboard(odd, (0, 3, 2 * meter.division), 28, 35, rng)
            IDIOMS[name](rng, meter)(board)
            assert all(odd.start <= e.step < e.step + e.length <= end for e in board.events), name
        for player in PLAYERS:
            assert all(odd.start <= event.step < end for event in player(rng, meter)(odd))


@pytest.mark.parametrize("player", PLAYERS[:5])
def test_chords_are_followed_when_they_change(player):
    changing = bar(FOUR_FOUR, ((0, C), (8, G_OVER_B)))
    for seed in range(6):
        for event in player(np.random.default_rng(seed), FOUR_FOUR)(changing):
            harmony = changing.harmony(event.step - changing.start)
            assert event.pitch % 12 in harmony.tones


@pytest.mark.parametrize("name", ["sustained", "roots", "sparse", "arpeggio", "kick", "boom"])
def test_inversions_are_heard(name):
    inverted = bar(FOUR_FOUR, ((0, C), (8, G_OVER_B)))
    rng = np.random.default_rng(0)
    board = Fretboard(inverted, (0, 8), 28, 35, rng)
    IDIOMS[name](rng, FOUR_FOUR)(board)
    pitches = {event.step - inverted.start: event.pitch % 12 for event in board.events}
    assert pitches[0] == 0
    assert pitches[8] == 11


def test_melody_repeats_its_phrase_on_the_same_chords():
    one = bar(FOUR_FOUR, ((0, C),), place=0)
    repeated = 0
    for seed in range(8):
        play = band.melody(np.random.default_rng(seed), FOUR_FOUR)
        first = [event.pitch for event in play(one)]
        assert first == [event.pitch for event in play(one)]
        repeated += bool(first)
    assert repeated > 4
