import errno
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bassdiff.data import shards, store, store_building
from bassdiff.data.store import MANIFEST, Store
from bassdiff.data.store_building import BEGUN, build
from bassdiff.runtime.errors import InputError, Preempted, UnusableSong
from bassdiff.synthesis.stems import Stems

ABOUT = {"codecs": {"mix": "a", "bass": "b"}, "sizes": (1, 2)}


class Songs:
    """Songs of 5, 6, 7, ... samples."""

    def __init__(self, names=("a", "b.c", "d", "e", "f")):
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
    """What counts: not what a process that was killed has left."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".part"}


def small():
    """Shards of two songs, and pieces of four frames of noise or six of basses."""
    store.LEAST_SONGS, shards.PIECE_BYTES = 2, 24


@pytest.fixture(scope="module", autouse=True)
def many_shards_and_pieces():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "LEAST_SONGS", store.LEAST_SONGS)
        patch.setattr(shards, "PIECE_BYTES", shards.PIECE_BYTES)
        small()
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / "whole"
    build(folder, Songs(), make, ABOUT, seed=3)
    return folder


def expected(song, seed=3):
    rng = np.random.default_rng((seed, zlib.crc32(Songs().names[song].encode())))
    return make(Songs(), song, rng)


def test_a_store_gives_back_what_was_made(whole):
    store = Store(whole)
    assert len(store) == 5
    assert store.manifest["codecs"] == ABOUT["codecs"]
    assert store.manifest["names"] == Songs().names
    assert sorted(path.name for path in whole.glob("*.array_record")) == [
        f"shard-0000{n}-of-00003.array_record" for n in range(3)
    ]
    for song in range(5):
        assert store.num_frames(song) == 5 + song
        for field, values in expected(song).items():
            read = store.read(song, field)
            assert read.dtype == values.dtype
            assert store.num_rows(song, field) == len(values)
            np.testing.assert_array_equal(read, values)


@pytest.mark.parametrize("song", [0, 4])
def test_a_crop_is_a_part_of_a_row(whole, song):
    """Within a piece, across pieces, at both ends."""
    values = expected(song)["noise"]
    for start in range(5 + song):
        for length in range(1, 6 + song - start):
            crop = Store(whole).crop(song, "noise", 1, start, length)
            np.testing.assert_array_equal(crop, values[1, start : start + length])


def test_threads_and_processes_may_share_a_store(whole):
    there = pickle.loads(pickle.dumps(Store(whole)))
    with ThreadPoolExecutor(8) as pool:
        read = pool.map(lambda i: there.crop(i % 5, "noise", 0, 1, 4), range(200))
        for i, crop in enumerate(read):
            np.testing.assert_array_equal(crop, expected(i % 5)["noise"][0, 1:5])


def test_statistics_are_those_of_all_songs(whole):
    found = Store(whole).manifest["statistics"]
    for field in ("bass", "noise"):
        values = [expected(song)[field].astype(np.float64) for song in range(5)]
        flat = np.concatenate([v.reshape(-1, *v.shape[2:]) for v in values])
        np.testing.assert_allclose(found[field]["mean"], flat.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(found[field]["std"], flat.std(axis=0), rtol=1e-6)


def test_another_seed_makes_other_songs(tmp_path, whole):
    build(tmp_path / "s", Songs(), make, ABOUT, seed=4)
    assert not np.array_equal(Store(tmp_path / "s").read(0, "noise"), Store(whole).read(0, "noise"))


def test_a_song_does_not_depend_on_which_others_there_are(tmp_path, whole):
    class Later(Songs):
        def __getitem__(self, index):
            return Songs()[index + 2]

    build(tmp_path / "s", Later(["d", "e"]), make, ABOUT, seed=3)
    part = Store(tmp_path / "s")
    np.testing.assert_array_equal(part.read(1, "noise"), Store(whole).read(3, "noise"))


def test_a_finished_store_is_opened_and_not_made_again(whole):
    before = contents(whole)
    build(whole, Songs(), lambda *_: pytest.fail("made again"), ABOUT, seed=3)
    assert contents(whole) == before


KILLED = """
import os, signal, sys
from test_store import *
small()
where, at = sys.argv[2], int(sys.argv[3])
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def dying(number, function):
    calls = iter(range(number))
    return lambda *a: function(*a) if next(calls, None) is not None else die()
if where == "make":
    build(sys.argv[1], Songs(), dying(at, make), ABOUT, seed=3)
if where == "replace":
    os.replace = dying(at, os.replace)
    build(sys.argv[1], Songs(), make, ABOUT, seed=3)
"""


@pytest.mark.parametrize(
    ("where", "at", "num_shards"),
    # The first file that takes its name tells of the origin; then each shard, and its index.
    [("make", 0, 0), ("make", 3, 1), ("replace", 1, 0), ("replace", 2, 0), ("replace", 4, 1)],
)
def test_a_killed_build_ends_as_an_uninterrupted_one(tmp_path, whole, where, at, num_shards):
    """Killed for good: in a shard, before a shard has its name, or before its index is there."""
    folder, made = tmp_path / "s", []
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n{KILLED}"
    words = [sys.executable, "-c", code, folder, where, str(at)]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    with pytest.raises(InputError, match="no complete store"):
        Store(folder)
    build(folder, Songs(), lambda s, i, r: made.append(i) or make(s, i, r), ABOUT, seed=3)
    assert made == list(range(2 * num_shards, 5))
    assert contents(folder) == contents(whole)


def test_what_was_left_by_those_who_were_killed_is_deleted(tmp_path):
    (tmp_path / "s").mkdir()
    for name, age in ((".old.part", 2 * store_building.STALE_SECONDS), (".new.part", 0.0)):
        (tmp_path / "s" / name).write_text("half")
        os.utime(tmp_path / "s" / name, (time.time() - age,) * 2)
    build(tmp_path / "s", Songs(), make, ABOUT, seed=3)
    assert [path.name for path in (tmp_path / "s").glob(".*")] == [".new.part"]


def test_parts_make_one_store_in_any_order_and_number(tmp_path, whole):
    folder, made = tmp_path / "s", []

    def part(which, count):
        def noted(source, song, rng):
            made.append(song)
            return make(source, song, rng)

        return build(folder, Songs(), noted, ABOUT, 3, part=(which, count))

    assert not part(1, 2)
    with pytest.raises(InputError, match="no complete store"):
        Store(folder)
    # Another number of hosts goes on with what is there.
    assert not part(0, 3)
    assert not part(1, 3)
    assert part(2, 3)
    assert made == [2, 3, 0, 1, 4]
    assert contents(folder) == contents(whole)


def test_two_that_make_the_same_shard_spoil_nothing(tmp_path, whole):
    def meanwhile(source, song, rng):
        if song == 1:
            build(tmp_path / "s", Songs(), make, ABOUT, seed=3)
        return make(source, song, rng)

    build(tmp_path / "s", Songs(), meanwhile, ABOUT, seed=3)
    assert contents(tmp_path / "s") == contents(whole)


def test_a_damaged_shard_is_named_and_made_anew_alone(tmp_path, whole):
    folder, made = tmp_path / "s", []
    build(folder, Songs(), make, ABOUT, seed=3)
    shard = folder / "shard-00001-of-00003.array_record"
    content = bytearray(shard.read_bytes())
    place = content.index(expected(2)["noise"][0, :4].tobytes())
    content[place + 5] ^= 1
    shard.write_bytes(content)
    damaged = Store(folder)
    np.testing.assert_array_equal(damaged.read(0, "noise"), expected(0)["noise"])
    with pytest.raises(InputError, match=r"shard-00001-of-00003\.array_record is damaged .* again"):
        damaged.read(2, "noise")
    shard.unlink()
    build(folder, Songs(), lambda s, i, r: made.append(i) or make(s, i, r), ABOUT, seed=3)
    assert made == [2, 3]
    assert contents(folder) == contents(whole)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"manifest": {**ABOUT, "codecs": {"mix": "x", "bass": "b"}}}, "codecs"),
        ({"seed": 4}, "seed"),
        ({"source": Songs(["a", "b.c", "d", "g"])}, "names"),
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


def test_a_finished_store_is_not_written_to(tmp_path):
    """It may lie where nobody may write, and many processes open it at once."""
    build(tmp_path / "s", Songs(), make, ABOUT, seed=3)
    before = (tmp_path / "s" / MANIFEST).stat().st_ino
    build(tmp_path / "s", Songs(), make, ABOUT, seed=3)
    assert (tmp_path / "s" / MANIFEST).stat().st_ino == before


def test_being_asked_to_end_is_not_taken_for_damage(whole, monkeypatch):
    class Asked:
        def read(self, records):
            raise Preempted("asked to end")

    monkeypatch.setattr(shards, "ArrayRecordReader", lambda *_, **__: Asked())
    with pytest.raises(Preempted):
        Store(whole).read(0, "bass")


def test_what_the_system_refuses_is_no_damage(whole, tmp_path):
    """Whoever is told to delete a good shard will."""
    shutil.copytree(whole, tmp_path / "s")
    opened = Store(tmp_path / "s")
    (tmp_path / "s" / "shard-00000-of-00003.array_record").unlink()
    with pytest.raises(
        InputError, match=r"shard-00000\S+ cannot be read \(open\(\) failed.*try again"
    ):
        opened.read(0, "bass")


def test_shards_of_different_formats_do_not_make_a_store(tmp_path, monkeypatch):
    """As where a later version of this package cuts other pieces."""
    assert not build(tmp_path / "s", Songs(), make, ABOUT, 3, part=(0, 2))
    monkeypatch.setattr(shards, "PIECE_BYTES", 48)
    with pytest.raises(InputError, match="s has shards of different formats"):
        build(tmp_path / "s", Songs(), make, ABOUT, seed=3)


def test_fields_of_different_lengths_are_refused(tmp_path):
    def uneven(source, song, rng):
        return {"bass": np.zeros((1, 5)), "noise": np.zeros((1, 6))}

    with pytest.raises(ValueError, match="differ in length"):
        build(tmp_path / "s", Songs(), uneven, ABOUT, seed=3)


def test_a_song_that_cannot_be_read_is_named(tmp_path):
    def unreadable(source, song, rng):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "bass.wav")

    with pytest.raises(InputError, match=r"a cannot be read: .*bass\.wav.*; check its files"):
        build(tmp_path / "s", Songs(), unreadable, ABOUT, seed=3)


def test_no_songs_make_no_store(tmp_path):
    with pytest.raises(InputError, match="there are no songs to store"):
        build(tmp_path / "s", Songs([]), make, ABOUT, seed=3)


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
    assert seen == [0, 1, 2, 3, 4]


def test_a_silent_song_is_left_out(tmp_path):
    class WithSilence(Songs):
        def __getitem__(self, index):
            if index == 1:
                raise UnusableSong("b.c: the bass is silent there; choose another excerpt.")
            return super().__getitem__(index)

    with pytest.warns(UserWarning, match=r"left out: b\.c: the bass is silent"):
        build(tmp_path / "s", WithSilence(), make, ABOUT, seed=3)
    store = Store(tmp_path / "s")
    assert [store.num_frames(song) for song in range(5)] == [5, 0, 7, 8, 9]
    assert store.manifest["left_out"] == {
        "b.c": "b.c: the bass is silent there; choose another excerpt."
    }


def test_songs_that_are_all_silent_make_no_store(tmp_path):
    class Silence(Songs):
        def __getitem__(self, index):
            raise UnusableSong(f"{self.names[index]}: the bass is silent.")

    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(InputError, match="no song can be stored; the first: a: the bass is silent"),
    ):
        build(tmp_path / "s", Silence(), make, ABOUT, seed=3)


def test_a_full_disk_is_named(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file may grow beyond this, as if there were no more room.
    resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, before[1]))
    try:
        with pytest.raises(InputError, match=r"s cannot be written: .*file too large"):
            build(
                tmp_path / "s",
                Songs(),
                lambda s, i, r: {"noise": r.normal(size=(9, 1000, 3))},
                ABOUT,
                seed=3,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {path.name for path in (tmp_path / "s").iterdir()} == {BEGUN}


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


def test_a_store_of_an_earlier_version_is_refused(tmp_path):
    (tmp_path / MANIFEST).write_text(json.dumps({"names": ["a"], "num_frames": [5]}))
    with pytest.raises(InputError, match="was made by an earlier version; delete it and encode"):
        Store(tmp_path)


def test_large_stores_have_larger_shards_not_more():
    assert store.songs_per_shard(10) == store.LEAST_SONGS
    assert store.songs_per_shard(100_000) == 391
    assert len(store.shard_paths(Path(), 100_000)) <= store.MOST_SHARDS


def test_contents_tell_stores_apart_wherever_they_are(tmp_path):
    def other(source, song, rng):
        fields = make(source, song, rng)
        return {**fields, "bass": fields["bass"] + 1}

    for name, maker in (("a", make), ("again", make), ("b", other)):
        build(tmp_path / name, Songs(), maker, ABOUT, seed=1)
    one, again, two = (store.contents([tmp_path / name]) for name in ("a", "again", "b"))
    assert one == again != two
    assert store.contents([tmp_path / "a", tmp_path / "b"]) not in (one, two)
