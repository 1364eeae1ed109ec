"""Which notes are likelier where chords, a key or a range are given."""

import numpy as np
import pytest

from bassdiff.inference.chord_files import read_chords
from bassdiff.inference.control import Control
from bassdiff.inference.grid import steady_grid
from bassdiff.inference.harmony import cost, log_prior
from bassdiff.inference.inputs import Task
from bassdiff.inference.key import Key
from bassdiff.runtime.errors import InputError

pytestmark = pytest.mark.filterwarnings("default:the bass came out")
FRAME_SECONDS = 2048 / 44100
# The lowest pitch of latents is an A.
CLASSES = (np.arange(48) + 9) % 12
RATE = 44100


def frame(seconds):
    return int(seconds / FRAME_SECONDS)


def test_chord_notes_cost_nothing_and_others_by_strength():
    chords = read_chords([(0.0, 2.0, "C"), (2.0, 4.0, "N")], steady_grid(120))
    costs = -log_prior(90, FRAME_SECONDS, chords, strength=0.5)
    middle = costs[frame(1.5)]
    np.testing.assert_array_equal(middle == 0.0, np.isin(CLASSES, [0, 4, 7]))
    np.testing.assert_allclose(middle[middle > 0], cost(0.5))
    assert not costs[frame(2.1) :].any()
    assert cost(0.0) == 0.0 < cost(0.3) < cost(0.9) < cost(1.0)
    assert not log_prior(90, FRAME_SECONDS, chords, strength=0.0).any()


def test_bass_notes_are_asked_for_where_chords_begin_and_on_strong_beats():
    chords = read_chords([(0.0, 2.0, "C/E"), (2.0, 4.0, "F")], steady_grid(120))
    plain = -log_prior(90, FRAME_SECONDS, chords)
    for seconds, bass in ((0.1, 4), (2.1, 5)):
        np.testing.assert_array_equal(plain[frame(seconds)] == 0.0, CLASSES == bass)
    np.testing.assert_array_equal(plain[frame(1.1)] == 0.0, np.isin(CLASSES, [0, 4, 7]))
    with_grid = -log_prior(90, FRAME_SECONDS, chords, grid=steady_grid(120, 0.0, "4/4"))
    np.testing.assert_array_equal(with_grid[frame(1.1)] == 0.0, CLASSES == 4)
    np.testing.assert_array_equal(with_grid[frame(0.6)] == 0.0, np.isin(CLASSES, [0, 4, 7]))


def test_a_key_rules_where_no_chord_does_and_weighs_on_passing_notes():
    chords = read_chords([(0.0, 2.0, "C"), (2.0, 4.0, "N")], steady_grid(120))
    costs = -log_prior(90, FRAME_SECONDS, chords, Key.parse("C"), strength=0.5)
    out_of_key = ~np.isin(CLASSES, [0, 2, 4, 5, 7, 9, 11])
    np.testing.assert_allclose(costs[frame(3.0)], cost(0.5) * out_of_key)
    middle = costs[frame(1.5)]
    np.testing.assert_allclose(middle[out_of_key], 2 * cost(0.5))
    np.testing.assert_allclose(middle[CLASSES == 2], cost(0.5))


def mix(seconds):
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.2 * np.sin(2 * np.pi * 220 * time) * (time % 0.5 < 0.3)).astype(np.float32)


def played(player, monkeypatch, control, **settings):
    """Pitches in MIDI numbers, two a frame, of what is sampled."""
    sampled = []
    decode = type(player.bass_codec).decode_all
    monkeypatch.setattr(
        type(player.bass_codec), "decode_all", lambda self, z: sampled.extend(z) or decode(self, z)
    )
    player.generate(mix(2.9), RATE, control=control, steps=3, **settings)
    return 69 + 12 * np.log2(player.bass_codec.pitch(sampled[0])[0] / 440.0)


def test_at_full_strength_every_note_is_of_the_chords(player, monkeypatch):
    """Untrained weights play anything; the chords alone decide."""
    control = Control(chords=[(0.0, 1.5, "C#m"), (1.5, 2.9, "F/A")])
    classes = np.rint(played(player, monkeypatch, control, chord_strength=1.0)).astype(int) % 12
    times = (np.arange(len(classes)) + 0.5) * 1024 / RATE
    # Frames may hold two chords.
    first, second = times < 1.45, times > 1.55
    # What untrained weights estimate is not a note's code: here and there it is between two.
    assert np.isin(classes[first], [1, 4, 8]).mean() > 0.95
    assert np.isin(classes[second], [5, 9, 0]).mean() > 0.95
    assert (classes[first][:12] == 1).all()
    assert (classes[second][:8] == 9).all()
    free = np.rint(played(player, monkeypatch, None)).astype(int) % 12
    assert np.isin(free[first], [1, 4, 8]).mean() < 0.8


def test_a_row_without_chords_is_the_same_beside_one_that_has_some(player):
    control = Control(chords=[(0.0, 2.9, "C#m")])
    tasks = [Task(mix(2.9), RATE), Task(mix(2.9), RATE, control=control)]
    free, told = player.generate_batch(tasks)
    plain, other = player.generate_batch([Task(mix(2.9), RATE), Task(mix(2.9), RATE)])
    np.testing.assert_array_equal(free, plain)
    np.testing.assert_array_equal(plain, other)
    assert np.abs(told - free).max() > 1e-3


def test_chords_compile_nothing(player, compilations):
    player.generate(mix(1.0), RATE, steps=3)
    before = len(compilations)
    player.generate(mix(2.9), RATE, control=Control(key="D minor"), chord_strength=0.4)
    assert len(compilations) == before


@pytest.mark.parametrize(
    ("control", "words"),
    [
        (dict(chords=[(0.0, 9.0, "C")]), "the chords last 9.0 s and the mix 3.0 s; leave some out"),
        (dict(chords="C", bpm=300.0), "the chords last 0.8 s and the mix 3.0 s; repeat them"),
        (dict(chords="C | G"), "chords in bars need a tempo"),
        (dict(first_beat_seconds=1.0), "--first-beat says where"),
        (dict(meter="5"), "'5' is not a meter"),
        (dict(key="X"), "'X' is not a key"),
    ],
)
def test_what_does_not_fit_is_said(player, control, words):
    with pytest.raises(InputError, match=words):
        player.generate(mix(3.0), RATE, control=Control(**control), steps=2)
