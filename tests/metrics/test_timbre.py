import math

import numpy as np
import pytest

from bassdiff.metrics.timbre import retrieval_at_1, timbre, timbre_distance
from bassdiff.synthesis.score import Note, Part
from bassdiff.synthesis.synth import play_voice
from bassdiff.synthesis.timbres import TIMBRES

RATE_HZ = 44100
NAMES = sorted(TIMBRES)[:10]
NUM_LINES = 3


def _line(seed, num_seconds=6):
    """Notes of random pitch, length and strength, each line at a tempo and in a register."""
    rng = np.random.default_rng(seed)
    beat_seconds, lowest = 0.25 + 0.1 * seed, 28 + 3 * seed
    line = []
    for start in np.arange(0, num_seconds, beat_seconds):
        length = beat_seconds * rng.uniform(0.5, 1)
        pitch, velocity = int(lowest + rng.integers(12)), int(rng.integers(80, 120))
        line.append(Note(float(start), float(start + length), pitch, velocity))
    return Part("bass", 33, False, tuple(line))


@pytest.fixture(scope="module")
def timbres():
    """`[lines, timbres, 128]`."""
    return np.array(
        [
            [timbre(play_voice([_line(seed)], TIMBRES[name], 6 * RATE_HZ)) for name in NAMES]
            for seed in range(NUM_LINES)
        ]
    )


def _distances(rows, columns):
    return np.array([[timbre_distance(row, column) for column in columns] for row in rows])


def _line_pairs():
    return [(a, b) for a in range(NUM_LINES) for b in range(NUM_LINES) if a != b]


def test_one_sound_on_two_lines_is_nearer_than_two_sounds_on_one(timbres):
    others = ~np.eye(len(NAMES), dtype=bool)
    nearer = []
    for a, b in _line_pairs():
        own = np.diagonal(_distances(timbres[a], timbres[b]))[:, None]
        nearer.append((own < _distances(timbres[a], timbres[a]))[others])
    assert np.mean(nearer) > 0.9


def test_most_sounds_are_retrieved_from_another_line(timbres):
    own = np.arange(len(NAMES))
    found = [retrieval_at_1(_distances(timbres[a], timbres[b]), own) for a, b in _line_pairs()]
    assert np.mean(found) > 0.75


def test_a_sound_is_not_retrieved_as_another(timbres):
    wrong = (np.arange(len(NAMES)) + 1) % len(NAMES)
    found = [retrieval_at_1(_distances(timbres[a], timbres[b]), wrong) for a, b in _line_pairs()]
    assert np.mean(found) < 0.2


@pytest.fixture(scope="module")
def bass():
    return play_voice([_line(0)], TIMBRES["finger"], 4 * RATE_HZ)


def test_vector_holds_means_and_spreads(bass):
    vector = timbre(bass, RATE_HZ)
    assert vector.shape == (128,) and np.isfinite(vector).all()
    assert (vector[64:] >= 0).all() and vector[64:].max() > 1
    # A bass is strongest in its lowest bands.
    assert vector[:8].mean() > vector[40:64].mean() + 20


def test_a_steady_sound_has_no_spread():
    tone = 0.3 * np.sign(np.sin(2 * np.pi * 55 * np.arange(4 * RATE_HZ) / RATE_HZ))
    # Its ends are two or three frames of 173.
    assert np.median(timbre(tone)[64:]) < 1


def test_the_spectrum_matters_and_not_where_its_partials_lie():
    seconds = np.arange(2 * RATE_HZ) / RATE_HZ

    def saw(hz):
        partials = range(1, int(8000 / hz))  # The same band, whatever the note.
        return timbre(sum(np.sin(2 * np.pi * hz * k * seconds) / k for k in partials) / 10)

    # A semitone and a whole tone: 4 and 5 dB apart without smoothing.
    assert timbre_distance(saw(110), saw(116.54)) < 0.7
    assert timbre_distance(saw(110), saw(123.47)) < 1.5


@pytest.mark.parametrize("gain", [0.01, 3.0])
def test_level_does_not_matter(bass, gain):
    assert timbre_distance(timbre(bass), timbre(gain * bass)) < 0.01


def test_rests_and_inaudible_hiss_do_not_matter_but_a_filter_does(bass):
    plain = timbre(bass)
    assert timbre_distance(plain, timbre(np.pad(bass, 3 * RATE_HZ))) < 0.3
    hiss = np.random.default_rng(0).standard_normal(len(bass))
    faint = timbre(bass + 10 ** (-90 / 20) * hiss)
    darker = timbre(np.convolve(bass, np.ones(64) / 64, mode="same"))
    assert timbre_distance(plain, faint) < 0.2
    assert timbre_distance(plain, darker) > 2


def test_sound_does_not_depend_on_the_sample_rate(bass):
    half = timbre(bass[::2], RATE_HZ // 2)  # of a sound without anything above 11 kHz
    assert timbre_distance(timbre(bass), half) < 0.3


def test_distance_is_the_root_mean_square():
    a, b = np.zeros(128), np.zeros(128)
    b[:64] = 3
    assert timbre_distance(a, b) == timbre_distance(b, a) == pytest.approx(3 / 2**0.5)
    assert timbre_distance(a, a) == 0


@pytest.mark.parametrize("num_samples", [0, 1, RATE_HZ])
def test_silence_has_no_timbre(bass, num_samples):
    silent = timbre(np.zeros(num_samples, np.float32))
    assert silent.shape == (128,) and np.isnan(silent).all()
    assert math.isnan(timbre_distance(silent, timbre(bass)))


def test_a_click_is_enough_to_be_finite():
    assert np.isfinite(timbre(np.ones(10, np.float32))).all()


def test_retrieval_counts_hits_ties_and_unknowns():
    matrix = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [2.0, 3.0, 1.0]])
    assert retrieval_at_1(matrix, np.array([0, 1, 2])) == pytest.approx(2 / 3)
    assert retrieval_at_1(matrix, np.array([1, 2, 0])) == 0
    assert retrieval_at_1(np.ones((2, 4)), np.array([0, 3])) == 0.25
    matrix[1] = np.nan
    assert retrieval_at_1(matrix, np.array([0, 1, 2])) == pytest.approx(2 / 3)
    assert retrieval_at_1(np.array([[np.nan, 5.0]]), np.array([1])) == 1
    assert retrieval_at_1(np.full((2, 2), np.nan), np.array([0, 1])) == 0
