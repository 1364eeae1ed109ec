import errno

import numpy as np
import pytest

from bassdiff.data.stems import Stems
from bassdiff.data.store import MANIFEST, Store, build
from bassdiff.errors import InputError, SilentSong

ABOUT = {"codecs": {"mix": "a", "bass": "b"}, "sizes": (1, 2)}


class Songs:
    """Four songs of 5, 6, 7 and 8 samples."""

    def __init__(self, names=("a", "b.c", "d", "e")):
        self.names = list(names)

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        bass = np.full(5 + index, index, np.float32)
        return Stems(self.names[index], bass, {"drums": bass}, 44100)


def make(source, song, rng):
    """Two fields, one of them random."""
    stems = source[song]
    noise = rng.normal(size=(2, len(stems.bass), 3)).astype(np.float16)
    return {"bass": stems.bass[None], "noise": noise}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / "whole"
    build(folder, Songs(), make, ABOUT, seed=3)
    return folder


def test_a_store_gives_back_what_was_made(whole):
    store, songs = Store(whole), Songs()
    assert len(store) == 4
    assert store.manifest["codecs"] == ABOUT["codecs"]
    assert store.manifest["names"] == songs.names
    for i in range(4):
        assert store.num_frames(i) == 5 + i
        expected = make(songs, i, np.random.default_rng((3, i)))
        for field, values in expected.items():
            read = store.read(i, field)
            assert isinstance(read, np.memmap)
            assert read.dtype == values.dtype
            np.testing.assert_array_equal(read, values)


def test_another_seed_makes_other_songs(tmp_path, whole):
    other = build(tmp_path / "s", Songs(), make, ABOUT, seed=4)
    assert not np.array_equal(other.read(0, "noise"), Store(whole).read(0, "noise"))


def test_a_finished_store_is_opened_and_not_made_again(whole):
    before = contents(whole)
    build(whole, Songs(), lambda *_: pytest.fail("made again"), ABOUT, seed=3)
    assert contents(whole) == before


@pytest.mark.parametrize("num_saves", [0, 1, 2, 3, 7, 11])
def test_a_killed_build_ends_as_an_uninterrupted_one(tmp_path, whole, monkeypatch, num_saves):
    """Killed before or between the three files of a song: two fields and the mark of its end."""

    class Killed(BaseException):
        pass

    calls, save = iter(range(num_saves)), np.save

    def dying_save(*arguments):
        if next(calls, None) is None:
            raise Killed
        save(*arguments)

    folder, made = tmp_path / "s", []
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(np, "save", dying_save)
        build(folder, Songs(), make, ABOUT, seed=3)
    with pytest.raises(InputError, match="no complete store"):
        Store(folder)
    build(folder, Songs(), lambda s, i, r: made.append(s.names[i]) or make(s, i, r), ABOUT, seed=3)
    assert made == Songs().names[num_saves // 3 :]
    assert contents(folder) == contents(whole)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"manifest": {**ABOUT, "codecs": {"mix": "x", "bass": "b"}}}, "codecs"),
        ({"seed": 4}, "seed"),
        ({"source": Songs(["a", "b.c", "d", "f"])}, "names"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_a_store_of_another_origin_is_refused(tmp_path, change, named, finished):
    """An interrupted one too: half of its songs would be of either origin."""
    folder = tmp_path / "s"
    arguments = dict(source=Songs(), manifest=ABOUT, seed=3)
    if finished:
        build(folder, make=make, **arguments)
    else:
        calls = iter([make, make])
        with pytest.raises(StopIteration):
            build(folder, make=lambda *a: next(calls)(*a), **arguments)
    before = contents(folder)
    with pytest.raises(InputError, match=f"s was made with another {named}; choose another"):
        build(folder, make=make, **{**arguments, **change})
    assert contents(folder) == before


def test_songs_of_one_name_are_refused(tmp_path):
    """Joined folders may hold them; one would be stored in the other's place."""
    with pytest.raises(InputError, match="two songs are called d; rename one"):
        build(tmp_path / "s", Songs(["a", "d", "d", "e"]), make, ABOUT, seed=3)
    assert not (tmp_path / "s").exists()


def test_progress_sees_every_song(tmp_path):
    seen = []

    def watch(songs):
        for song in songs:
            seen.append(song)
            yield song

    build(tmp_path / "s", Songs(), make, ABOUT, 3, watch)
    assert seen == [0, 1, 2, 3]


def test_a_silent_song_is_left_out(tmp_path):
    class WithSilence(Songs):
        def __getitem__(self, index):
            if index == 1:
                raise SilentSong("b.c: the bass is silent there; choose another excerpt.")
            return super().__getitem__(index)

    with pytest.warns(UserWarning, match=r"left out: b\.c: the bass is silent"):
        store = build(tmp_path / "s", WithSilence(), make, ABOUT, seed=3)
    assert [store.num_frames(song) for song in range(4)] == [5, 0, 7, 8]


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(InputError, match=r"cannot be written \(no space left on device\)"):
        build(tmp_path / "s", Songs(), make, ABOUT, seed=3)
    assert not (tmp_path / "s" / MANIFEST).exists()


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file/s cannot be written"):
        build(tmp_path / "file" / "s", Songs(), make, ABOUT, seed=3)


@pytest.mark.parametrize("manifest", [None, "", "{"])
def test_a_folder_without_a_readable_manifest_is_no_store(tmp_path, manifest):
    if manifest is not None:
        (tmp_path / MANIFEST).write_text(manifest)
    with pytest.raises(InputError, match="holds no complete store"):
        Store(tmp_path)
