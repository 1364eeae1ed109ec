import itertools

import numpy as np
import pytest

from bassdiff.data.augmentation import WithCopies
from bassdiff.runtime.errors import InputError
from bassdiff.synthesis.annotation import Annotation
from bassdiff.synthesis.score import Chord
from bassdiff.synthesis.stems import Stems, varied

RATE_HZ = 44100


def plucks(num_samples):
    """A bass that plays 110 Hz every half a second, from the second quarter on."""
    seconds = np.arange(num_samples) / RATE_HZ
    since = (seconds - 0.25) % 0.5
    sound = np.sin(2 * np.pi * 110 * since) * np.exp(-8 * since) * (seconds >= 0.25)
    return (0.5 * sound).astype(np.float32)


class Songs:
    """Songs of two seconds with a bass that its other stems play in unison."""

    def __init__(self, *names):
        self.names = list(names)

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        bass = plucks(2 * RATE_HZ)
        known = Annotation((0.25, 0.75), (Chord(0.0, 1.5, 9, "min", 0),))
        return Stems(self.names[index], bass, {"drums": bass, "keys": bass}, RATE_HZ, known)

    def transposed(self, index, semitones):
        return varied(self[index], semitones)


def assert_same(a, b):
    assert (a.name, a.annotation, a.others.keys()) == (b.name, b.annotation, b.others.keys())
    np.testing.assert_array_equal(a.bass, b.bass)
    for name in a.others:
        np.testing.assert_array_equal(a.others[name], b.others[name])


def test_originals_come_first_then_first_copies_then_second_ones():
    songs = Songs("a", "b")
    source = WithCopies(songs, 2)
    assert len(source) == len(source.names) == len(set(source.names)) == 6
    assert source.names[:2] == ["a", "b"]
    assert [name.partition("@")[0] for name in source.names[2:]] == ["a~v1", "b~v1", "a~v2", "b~v2"]
    for index in range(2):
        assert_same(source[index], songs[index])
        assert_same(source.transposed(index, 3), songs.transposed(index, 3))
    assert [source[index].name for index in (2, -1)] == [source.names[2], source.names[-1]]
    with pytest.raises(IndexError):
        source[6]


def test_a_copy_depends_on_seed_song_and_number_alone():
    """Neither on the other songs nor on their order."""
    names = WithCopies(Songs("a", "b", "c"), 2).names
    fewer = WithCopies(Songs("c", "a"), 3).names
    assert set(fewer[:6]) <= set(names)
    assert set(WithCopies(Songs("a", "b", "c"), 2, seed=1).names[3:]).isdisjoint(names)
    assert_same(
        WithCopies(Songs("a", "b", "c"), 2)[names.index(fewer[2])], WithCopies(Songs("c"), 1)[1]
    )


def test_names_tell_what_was_changed_and_are_fit_for_files():
    source = WithCopies(Songs("a"), 5)
    for copy, name in enumerate(source.names[1:], start=1):
        change = source.change("a", copy)
        assert name == f"a~v{copy}@{change.tempo:.3f}{change.semitones:+d}"
        assert not set(name) & set('/\\:*?"<>| ')


def test_every_stem_of_a_copy_and_what_is_known_of_it_is_varied_alike():
    songs = Songs("a")
    source = WithCopies(songs, 9, tempos=(1.08, 1.08))
    number = next(copy for copy in range(1, 10) if source.change("a", copy).semitones)
    tempo, semitones = source.change("a", number)
    copy = source[number]
    length = round(2 * RATE_HZ / tempo)
    assert {len(s) for s in (copy.bass, *copy.others.values())} == {length}
    np.testing.assert_array_equal(copy.bass, copy.others["keys"])
    np.testing.assert_allclose(copy.annotation.beat_seconds, (0.25 / tempo, 0.75 / tempo))
    (chord,) = copy.annotation.chords
    assert (chord.root, chord.quality, chord.bass) == ((9 + semitones) % 12, "min", semitones % 12)
    assert (chord.start_seconds, chord.end_seconds) == (0.0, pytest.approx(1.5 / tempo))


@pytest.mark.parametrize("semitones", [-4, 0, 2])
def test_stems_that_are_shifted_and_drums_that_are_not_stay_together(semitones):
    """Levels of 2 ms of bass and drums, which are the same before, match best without a lag."""
    copy = varied(Songs("a")[0], semitones, 0.93)
    drums_hz = np.abs(np.fft.rfft(copy.others["drums"])).argmax() * RATE_HZ / len(copy.bass)
    assert drums_hz == pytest.approx(110, abs=2)
    level = {
        name: np.abs(samples[: len(samples) // 88 * 88]).reshape(-1, 88).max(axis=1)
        for name, samples in (("bass", copy.bass), ("drums", copy.others["drums"]))
    }
    rises = {name: np.maximum(np.diff(values), 0) for name, values in level.items()}
    lags = range(-100, 101)
    match = [np.dot(rises["bass"], np.roll(rises["drums"], lag)) for lag in lags]
    assert abs(lags[int(np.argmax(match))]) <= 1


def test_a_copy_in_another_key_has_its_tempo_and_one_pass_of_the_vocoder():
    source = WithCopies(Songs("a"), 1)
    tempo, semitones = source.change("a", 1)
    higher = source.transposed(1, 3)
    assert higher.name == source.names[1]
    expected = varied(Songs("a")[0], semitones + 3, tempo)
    np.testing.assert_array_equal(higher.bass, expected.bass)
    assert higher.annotation == expected.annotation


def test_one_of_two_changes_is_enough():
    for options in ({"tempos": (1.0, 1.0)}, {"max_semitones": 0}):
        changes = [WithCopies(Songs("a"), 30, **options).change("a", copy) for copy in range(1, 31)]
        assert len({c.tempo for c in changes}) == (1 if "tempos" in options else 30)
        assert len({c.semitones for c in changes}) == (1 if "max_semitones" in options else 5)
    assert WithCopies(Songs("a"), 0).names == ["a"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"copies": -1}, "copies=-1: choose 0 or more"),
        ({"tempos": (1.1, 0.9)}, "tempos 1.1 to 0.9 are not a range; name the slower one first"),
        ({"tempos": (0.4, 1.0)}, "both from 0.5 to 2.0"),
        ({"tempos": (0.9, 2.1)}, "both from 0.5 to 2.0"),
        ({"tempos": (float("nan"), 1.0)}, "are not a range"),
        ({"max_semitones": -1}, "max_semitones=-1: copies are 0 to 12 semitones away"),
        ({"max_semitones": 13}, "max_semitones=13"),
        ({"tempos": (1.0, 1.0), "max_semitones": 0}, "equal their originals; widen a range"),
    ],
)
def test_ranges_that_are_none_are_refused(options, complaint):
    with pytest.raises(InputError, match=complaint):
        WithCopies(Songs("a"), **{"copies": 1, **options})


def test_copies_of_different_songs_differ():
    changes = [WithCopies(Songs(), 2).change(name, copy) for name in "ab" for copy in (1, 2)]
    assert all(a.tempo != b.tempo for a, b in itertools.combinations(changes, 2))
