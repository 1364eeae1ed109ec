import numpy as np
import pytest

from bassdiff.data.mixture import open_mixture
from bassdiff.data.pipeline import LatentCrop, examples, mixed
from bassdiff.data.store_building import build
from bassdiff.runtime.errors import InputError


class Songs:
    def __init__(self, title, count):
        self.names = [f"{title}{number}" for number in range(count)]

    def __len__(self):
        return len(self.names)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two stores of two and of six songs of a codec, and one of another codec."""
    folder = tmp_path_factory.mktemp("stores")
    for number, (name, count, codec) in enumerate((("a", 2, "x"), ("b", 6, "x"), ("c", 2, "y"))):

        def make(source, song, rng, number=number):
            bass = np.full((1, 8, 2), 10 * number + song, np.float16)
            return {"bass": bass, "mix": bass, "active": np.ones((1, 8), bool)}

        build(folder / name, Songs(name, count), make, {"codecs": {"bass": codec}}, seed=0)
    return folder


def read(spec, count):
    """Which songs the first examples of a mixture are, those of b as 10 and more."""
    parts = open_mixture(spec)
    datasets = [examples(part.store, LatentCrop(part.store, 4), 4, seed=0) for part in parts]
    dataset = mixed(datasets, [part.weight for part in parts])
    return np.array([dataset[i]["bass"][0, 0] for i in range(count)])


@pytest.mark.parametrize(("weights", "share"), [(("*3", "*1"), 0.25), (("*1", ""), 0.5)])
def test_examples_come_in_the_shares_of_the_weights(stores, weights, share):
    songs = read("+".join(f"{stores / name}{w}" for name, w in zip("ab", weights, strict=True)), 80)
    assert np.mean(songs >= 10) == share
    # Evenly, not by chance, and within each store every song once an epoch.
    assert abs(np.mean(songs[:16] >= 10) - share) <= 1 / 16
    assert sorted(songs[songs >= 10][:6]) == [10, 11, 12, 13, 14, 15]


def test_without_weights_every_song_counts_alike(stores):
    songs = read(f"{stores / 'a'}+{stores / 'b'}", 80)
    assert {int(song): int(np.sum(songs == song)) for song in np.unique(songs)} == {
        song: 10 for song in (0, 1, 10, 11, 12, 13, 14, 15)
    }


def test_latents_of_different_codecs_do_not_mix(stores):
    with pytest.raises(InputError, match="come from different codecs; encode both with the same"):
        open_mixture(f"{stores / 'a'}+{stores / 'c'}")


@pytest.mark.parametrize("spec", ["", "a+", "a*", "a*0", "a*-1", "a*nan", "a*b", "*2"])
def test_a_mixture_that_says_nothing_is_refused(spec, stores, monkeypatch):
    monkeypatch.chdir(stores)
    with pytest.raises(InputError, match="names no stores; join folders by"):
        open_mixture(spec)


def test_waveforms_are_no_latents(tmp_path):
    def make(source, song, rng):
        return {"audio": np.zeros((1, 8), np.int16)}

    build(tmp_path / "s", Songs("a", 1), make, {"kind": "bass"}, seed=0)
    with pytest.raises(
        InputError, match="s holds waveforms; name latents, made by `bassdiff encode"
    ):
        open_mixture(str(tmp_path / "s"))


@pytest.mark.parametrize("name", ["C++", "3*2", "with spaces", "a+b*c"])
def test_names_of_stores_may_be_quoted(stores, tmp_path, name):
    (tmp_path / name).symlink_to(stores / "a")
    assert [part.folder for part in open_mixture(f'"{tmp_path / name}"+{stores / "b"}')] == [
        str(tmp_path / name),
        str(stores / "b"),
    ]
    weights = [part.weight for part in open_mixture(f'"{tmp_path / name}"*3+{stores / "b"}')]
    assert weights == [3.0, 1.0]
