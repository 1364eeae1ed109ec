"""Preparing goes on where it was ended, in any number of processes, and leaves nothing halves."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from bassdiff.cli import main as cli
from bassdiff.data.datasets import base, parts, stem_folders
from bassdiff.data.datasets.preparing import BUILDERS, prepare
from bassdiff.data.datasets.reading import PreparedSongs, read_report
from bassdiff.data.sources import open_source
from bassdiff.runtime.errors import InputError

# Prepares what it is told to, and is killed as soon as one function was called so many times.
KILLED = """
import os, signal, sys
from bassdiff.data.datasets import base, parts, stem_folders
from bassdiff.data.datasets.preparing import prepare

module, name, calls, data, songs = sys.argv[1:]
module = {"stem_folders": stem_folders, "parts": parts}[module]
original, left = getattr(module, name), [int(calls)]

def counted(*args):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return original(*args)

setattr(module, name, counted)
prepare("stem_folders", data, songs)
"""


def contents(folder):
    """Everything in a dataset: its records in their order, and the files beside them.

    Protobuf serialises equal records in an order of fields that varies from process to process.
    """
    beside = {path.name: path.read_text() for path in folder.iterdir() if "record" not in path.name}
    records = {
        split: [
            (song["name"], song["num_samples"], *song["stems"]["name"], *song["stems"]["flac"])
            for song in songs
        ]
        for split, songs in tfds.builder_from_directory(folder).as_data_source().items()
    }
    return beside, records


@pytest.fixture
def read_songs(monkeypatch):
    """The names of the songs that are read from now on."""
    read, original = [], stem_folders.assemble

    def assemble(name, *args):
        read.append(name)
        return original(name, *args)

    monkeypatch.setattr(stem_folders, "assemble", assemble)
    return read


@pytest.mark.parametrize(
    ("where", "num_left"),
    [(("stem_folders", "assemble", "2"), 2), (("parts", "read_part", "2"), 0)],
)
def test_what_was_killed_goes_on_without_loss_or_repeat(
    tmp_path, stem_folder, read_songs, where, num_left
):
    data = tmp_path / "data"
    command = [sys.executable, "-c", KILLED, *where, data, stem_folder]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    with pytest.raises(InputError, match="not prepared yet; run `bassdiff data prepare stem_fold"):
        open_source(f"tfds:stem_folders@{data}")
    resumed = prepare("stem_folders", data, stem_folder)
    assert len(read_songs) == num_left
    assert not list(data.rglob("incomplete*"))
    assert not list(data.rglob("*.parts"))
    whole = prepare("stem_folders", tmp_path / "whole", stem_folder)
    assert contents(resumed) == contents(whole)


def test_more_processes_make_the_same(tmp_path, stem_folder):
    one = prepare("stem_folders", tmp_path / "one", stem_folder)
    two = prepare("stem_folders", tmp_path / "two", stem_folder, workers=2)
    assert contents(one) == contents(two)


def test_a_song_that_changed_meanwhile_is_read_again(tmp_path, stem_folder, read_songs):
    builder = BUILDERS["stem_folders"]
    config = base.SourceConfig(name="s", folder=str(stem_folder))
    tracks = builder(data_dir=tmp_path, config=config)._tracks(stem_folder)
    make = functools.partial(parts.make_all, tracks, tmp_path / "parts", {}, 24)
    make()
    make()
    assert len(read_songs) == 4
    os.utime(stem_folder / "song 2" / "keys.wav")
    make()
    assert read_songs[4:] == ["song 2"]


def test_shards_are_of_bounded_size_and_keep_the_order(tmp_path, stem_folder, monkeypatch):
    monkeypatch.setattr(base, "SHARD_BYTES", 1)
    folder = prepare("stem_folders", tmp_path, stem_folder)
    songs = PreparedSongs(folder)
    assert len(list(folder.glob("*train*"))) == len(songs) == 3
    assert [songs[i].name for i in range(3)] == songs.names == sorted(songs.names)


def test_a_finished_dataset_is_returned_and_never_made_anew(tmp_path, stem_folder, read_songs):
    folder = prepare("stem_folders", tmp_path / "data", stem_folder, collection="mine")
    before = contents(folder)
    assert prepare("stem_folders", tmp_path / "data", stem_folder, collection="mine") == folder
    assert len(read_songs) == 4
    stem_folder.rename(tmp_path / "moved")
    with pytest.raises(InputError, match="was made with another folder"):
        prepare("stem_folders", tmp_path / "data", tmp_path / "moved", collection="mine")
    assert contents(folder) == before


def test_another_process_is_not_disturbed(tmp_path, stem_folder, monkeypatch):
    original = stem_folders.assemble

    def assemble(name, *args):
        with pytest.raises(InputError, match="another process prepares it"):
            prepare("stem_folders", tmp_path / "data", stem_folder)
        return original(name, *args)

    monkeypatch.setattr(stem_folders, "assemble", assemble)
    assert len(PreparedSongs(prepare("stem_folders", tmp_path / "data", stem_folder), "all")) == 4


def test_a_full_disk_is_told_and_finished_songs_are_kept(
    tmp_path, stem_folder, monkeypatch, read_songs
):
    with monkeypatch.context() as full:
        full.setattr(base, "free_bytes", lambda folder: 1000)
        with pytest.raises(InputError, match=r"needs 0.0 GB and 0.0 GB are free; free some space"):
            prepare("stem_folders", tmp_path / "data", stem_folder)
    with monkeypatch.context() as full:
        full.setattr(base.parts, "read_part", _full)
        with pytest.raises(InputError, match=r"cannot be written .*finished songs are kept"):
            prepare("stem_folders", tmp_path / "data", stem_folder)
    assert not list(tmp_path.rglob("*.array_record*"))
    prepare("stem_folders", tmp_path / "data", stem_folder)
    assert len(read_songs) == 4


def _full(path):
    raise RuntimeError(f"write() failed: No space left on device; writing {path}; at byte 0")


def test_a_defect_is_not_taken_for_a_full_disk(tmp_path, stem_folder, monkeypatch):
    def broken(path):
        raise RuntimeError("a defect")

    monkeypatch.setattr(base.parts, "read_part", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        prepare("stem_folders", tmp_path, stem_folder)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("musdb", {}, "is not a dataset; choose among musdb18_hq, moisesdb, "),
        ("moisesdb", {}, "moisesdb: say in which folder it lies. Ask for moisesdb.zip"),
        ("composed_songs", {"folder": "."}, "needs no folder"),
        ("composed_songs", {}, "choose 1 or more to compose"),
        ("slakh2100", {"folder": "nowhere"}, "nowhere: there is no such folder, or nothing in it"),
        ("slakh2100", {"folder": "empty"}, "empty: there is no such folder, or nothing in it"),
        ("slakh2100", {"folder": "other"}, "there is no train/ in it; name Slakh2100's folder"),
        ("musdb18_hq", {"folder": "other"}, "there is no train/ in it; name MUSDB18-HQ's folder"),
        ("moisesdb", {"folder": "other"}, "there is no UUID/data.json in it"),
        ("stem_folders", {"folder": "other"}, "there are no songs; check the folder"),
        ("midi_folder", {"folder": "other"}, "there are no songs in this split"),
        ("midi_folder", {"folder": "other", "soundfonts": ("a.sf2",)}, "no such SoundFont"),
        ("stem_folders", {"folder": "other", "seed": 1}, "does not use seed; leave it out"),
        ("slakh2100", {"folder": "other", "collection": "a"}, "leave out its name 'a'"),
        ("stem_folders", {"folder": "other", "collection": "a/b"}, "'a/b' names no collection"),
        ("stem_folders", {"folder": "other", "data_dir": "other/file"}, "is a file"),
    ],
)
def test_bad_arguments_are_named(tmp_path, monkeypatch, name, options, message):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("other").mkdir()
    Path("other/file").touch()
    with pytest.raises(InputError, match=message):
        prepare(name, **{"data_dir": "data", **options})
    assert not list(tmp_path.rglob("dataset_info.json"))


def test_beam_says_how_to_get_it(tmp_path, stem_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam.options.pipeline_options", None)
    with pytest.raises(InputError, match=r"pip install 'bassdiff\[beam\]'"):
        prepare("stem_folders", tmp_path, stem_folder, beam_options="--runner=DirectRunner")


def test_the_command_prepares_and_refuses(tmp_path, stem_folder, capsys):
    words = ["data", "prepare", "stem_folders", f"--from={stem_folder}", f"--out={tmp_path / 'd'}"]
    assert cli.main([*words, "--collection=mine"]) == 0
    folder = tmp_path / "d" / "stem_folders" / "mine" / "1.0.0"
    assert f"wrote {folder}" in capsys.readouterr().err
    assert read_report(folder)["recipe"]["folder"] == str(stem_folder)
    assert cli.main([*words, "--seed=1"]) == 2
    assert "does not use seed; leave it out" in capsys.readouterr().err


def test_neither_building_nor_reading_imports_tensorflow(tmp_path, stem_folder):
    """Although there is one to import, which ends the process that does."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise SystemExit('imported')")
    code = """
import sys
from bassdiff.data.datasets.preparing import prepare
from bassdiff.data.sources import open_source
prepare("stem_folders", sys.argv[1], sys.argv[2])
songs = open_source(f"tfds:stem_folders@{sys.argv[1]}", "all")
assert [songs[i].name for i in range(4)] == songs.names
assert "jax" not in sys.modules
"""
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "data", stem_folder],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.faults
def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    words = ["data", "prepare", "composed_songs", f"--out={tmp_path}", "--songs=40"]
    command = [sys.executable, "-m", "bassdiff.cli.main", *words, "--workers=2"]
    parent = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("*.example")) and time.monotonic() < deadline:
        time.sleep(0.1)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    assert len(children) >= 2
    parent.kill()
    parent.wait()
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, children
        time.sleep(0.1)
    (parts_dir,) = tmp_path.rglob("*.parts")
    for outcome in parts_dir.glob("*.json"):
        assert json.loads(outcome.read_text())["num_samples"]
        assert parts.read_part(outcome.with_suffix(".example"))["num_samples"]
