import numpy as np
import pytest

from bassdiff.data.target import BASS, aimed, check_target, split
from bassdiff.runtime.errors import InputError, UnusableSong
from bassdiff.synthesis.stems import Stems


def song(*names, silent=()):
    """A song whose n-th stem, the bass first, holds the number 2**n."""
    values = {
        name: np.full(4, 0.0 if name in silent else 2.0**n, np.float32)
        for n, name in enumerate((BASS, *names))
    }
    return Stems("song", values.pop(BASS), values, 44100)


@pytest.mark.parametrize(
    ("target", "names", "chosen"),
    [
        ("drums", ["drums", "vocals"], ["drums"]),
        ("drums", ["percussion", "drums", "keys"], ["drums", "percussion"]),
        ("drums", ["bass drum", "keys"], ["bass drum"]),
        ("guitar", ["acoustic_guitar", "guitar 2", "bass guitar"], ["acoustic_guitar", "guitar 2"]),
        ("keys", ["piano", "other_keys", "monkeys"], ["other_keys", "piano"]),
        ("vocals", ["Lead Vocals", "drums"], ["Lead Vocals"]),
        ("guitar+keys", ["guitar", "piano", "drums"], ["guitar", "piano"]),
        ("strings", ["strings", "strings 2", "drums"], ["strings"]),
        ("bass", ["drums"], ["bass"]),
        ("bass+drums", ["drums", "keys"], ["bass", "drums"]),
    ],
)
def test_the_target_takes_the_bass_s_place(target, names, chosen):
    given = song(*names)
    stems = {BASS: given.bass, **given.others}
    made = split(given, target)
    assert made.bass[0] == sum(stems[name][0] for name in chosen)
    assert sorted(made.others) == sorted(stems.keys() - set(chosen))
    assert made.bass[0] + made.mix()[0] == given.bass[0] + given.mix()[0]


@pytest.mark.parametrize(
    ("target", "names", "message"),
    [
        ("vocals", ["drums", "keys"], "has no vocals; its stems are bass, drums, keys"),
        ("guitar+vocals", ["drums"], "has no guitar or vocals"),
        ("bass+drums", ["drums"], "has nothing but bass and drums"),
    ],
)
def test_songs_without_a_target_or_a_mix_are_left_out(target, names, message):
    with pytest.raises(UnusableSong, match=message):
        split(song(*names), target)


def test_a_mix_that_is_silent_without_the_target_is_left_out():
    with pytest.raises(UnusableSong, match="has nothing but drums"):
        split(song("drums", "keys", silent=("bass", "keys")), "drums")


@pytest.mark.parametrize("target", ["", "drums+", "drums+drums", " drums"])
def test_names_of_no_target_are_refused(target):
    with pytest.raises(InputError, match="names no target; use bass, drums"):
        check_target(target)


def test_songs_are_aimed_in_every_key():
    class Songs(list):
        names = ("song",)

        def transposed(self, index, semitones):
            given = self[index]
            return Stems(given.name, given.bass + semitones, given.others, 44100)

    songs = Songs([song("drums", "keys")])
    assert aimed(songs, BASS) is songs
    drums = aimed(songs, "drums")
    assert len(drums) == 1 and drums.names == ("song",)
    assert drums[0].bass[0] == 2.0 and drums.transposed(0, 3).others[BASS][0] == 4.0
