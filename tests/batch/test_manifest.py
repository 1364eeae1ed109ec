import gzip
import json
import subprocess
import sys

import fsspec
import pytest

from bassdiff.batch.item import Item, Part
from bassdiff.batch.manifest import open_manifest
from bassdiff.batch.patience import Patience
from bassdiff.runtime.errors import InputError


def write_lines(path, *lines):
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines) + "\n")
    return str(path)


def test_a_table_of_json(tmp_path):
    table = write_lines(
        tmp_path / "songs.jsonl",
        {"id": "one", "mix": "a.wav", "seed": 7, "settings": {"steps": 4}},
        "",
        {"mix": "/far/b.flac", "style": "s.wav"},
        {"id": 3, "mix": "s3://bucket/c.mp3", "style": ["s.wav", "gs://x/t.wav"]},
    )
    assert list(open_manifest([table], Patience(0))) == [
        Item("one", f"{tmp_path}/a.wav", (), 7, {"steps": 4}),
        Item("b", "/far/b.flac", (f"{tmp_path}/s.wav",)),
        Item("3", "s3://bucket/c.mp3", (f"{tmp_path}/s.wav", "gs://x/t.wav")),
    ]


def test_a_table_of_cells_says_the_same(tmp_path):
    path = tmp_path / "songs.csv"
    path.write_text(
        "\ufeffid,mix,style,seed,settings\n"
        'one,a.wav,,7,"{""steps"": 4}"\n'
        "two,/far/b.flac,s.wav;t.wav,,\n",
        encoding="utf-8",
    )
    assert list(open_manifest([str(path)], Patience(0))) == [
        Item("one", f"{tmp_path}/a.wav", (), 7, {"steps": 4}),
        Item("two", "/far/b.flac", (f"{tmp_path}/s.wav", f"{tmp_path}/t.wav")),
    ]


def test_what_a_musician_decides(tmp_path):
    wanted = {"bpm": 92.5, "chords": "C | Am:2 F:2", "key": "C"}
    lines = write_lines(tmp_path / "songs.jsonl", {"mix": "a.wav", **wanted})
    (tmp_path / "songs.csv").write_text("mix,chords,key,bpm,meter\na.wav,C | Am:2 F:2,C,92.5,\n")
    for table in (lines, str(tmp_path / "songs.csv")):
        (item,) = open_manifest([table], Patience(0))
        assert item.control == wanted


def test_files_that_a_musician_names(tmp_path):
    """Their paths begin at the table's folder, too; chords in bars are no file."""
    lines = write_lines(
        tmp_path / "songs.jsonl",
        {"mix": "a.wav", "notes": "a.mid", "notes_region": [8, 16], "chords": "C | F", "bpm": 90},
        {"mix": "b.wav", "chords": "b.lab"},
        {"mix": "c.wav", "chords": "s3://x/c.mid", "notes": "/far/c.mid"},
        {"mix": "d.wav", "chords": "auto"},
    )
    (tmp_path / "songs.csv").write_text(
        "mix,notes,notes_region,chords,bpm\na.wav,a.mid,8:16,C | F,90\nb.wav,,,b.lab,\n"
        "c.wav,/far/c.mid,,s3://x/c.mid,\nd.wav,,,auto,\n"
    )
    for table in (lines, str(tmp_path / "songs.csv")):
        assert [item.control for item in open_manifest([table], Patience(0))] == [
            {
                **{"notes": f"{tmp_path}/a.mid", "notes_region": [8.0, 16.0]},
                **{"chords": "C | F", "bpm": 90.0},
            },
            {"chords": f"{tmp_path}/b.lab"},
            {"chords": "s3://x/c.mid", "notes": "/far/c.mid"},
            {"chords": "auto"},
        ]


@pytest.mark.parametrize("region", ["8", [1, 2, 3], "a:b", 8])
def test_a_region_that_is_none(tmp_path, region):
    table = write_lines(tmp_path / "songs.jsonl", {"mix": "a.wav", "notes_region": region})
    with pytest.raises(InputError, match=r"line 1: notes_region is .* give its start and end"):
        list(open_manifest([table], Patience(0)))


def test_every_song_in_the_sound_of_every_bass(tmp_path):
    styles = [tmp_path / f"{name}.wav" for name in ("fretless", "synth")]
    for style in styles:
        style.touch()
    table = write_lines(tmp_path / "songs.jsonl", {"id": "x/1", "mix": "a.wav", "style": "own.wav"})
    manifest = open_manifest([table], Patience(0), [*map(str, styles), "s3://x/pick.wav"])
    assert list(manifest) == [
        Item("x/1.fretless", f"{tmp_path}/a.wav", (str(styles[0]),)),
        Item("x/1.synth", f"{tmp_path}/a.wav", (str(styles[1]),)),
        Item("x/1.pick", f"{tmp_path}/a.wav", ("s3://x/pick.wav",)),
    ]
    assert manifest.check(Part()) == 3
    with pytest.raises(InputError, match="two recordings of --stems-of are called synth"):
        open_manifest([table], Patience(0), ["gs://x/synth.wav", str(styles[1])])
    with pytest.raises(InputError, match=r"none\.wav: there is no such file"):
        open_manifest([table], Patience(0), [f"{tmp_path}/none.wav"])


def test_a_table_may_be_compressed_and_on_a_store():
    with fsspec.open("memory://tables/songs.jsonl.gz", "wb") as file:
        file.write(gzip.compress(b'{"mix": "in/a.wav"}\n'))
    (item,) = open_manifest(["memory://tables/songs.jsonl.gz"], Patience(0))
    assert item == Item("a", "memory://tables/in/a.wav")


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "songs"
    for name in ("b.wav", "album/a.mp3", "album/._a.mp3", ".cache/c.wav", "notes.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_folder_is_all_its_audio(folder, scheme):
    items = list(open_manifest([f"{scheme}{folder}"], Patience(0)))
    assert items == [
        Item("album/a", f"{scheme}{folder}/album/a.mp3"),
        Item("b", f"{scheme}{folder}/b.wav"),
    ]


def test_globs_and_files(folder):
    items = list(open_manifest([f"{folder}/*/*.mp3", f"{folder}/b.wav"], Patience(0)))
    assert [(item.id, item.mix) for item in items] == [
        ("album/a", f"{folder}/album/a.mp3"),
        ("b", f"{folder}/b.wav"),
    ]


def test_a_folder_of_a_store():
    fsspec.filesystem("memory").pipe({"/m1/x/a.wav": b"x", "/m1/b.wav": b"x"})
    items = list(open_manifest(["memory://m1"], Patience(0)))
    assert [(item.id, item.mix) for item in items] == [
        ("b", "memory:///m1/b.wav"),
        ("x/a", "memory:///m1/x/a.wav"),
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: is not JSON"),
        ("[1]", "line 2: is not an object"),
        ({"id": "x"}, "line 2: has no mix"),
        ({"mix": "a.wav", "sed": 1}, "line 2: unknown field 'sed'; choose among id, mix"),
        ({"mix": "a.wav", "seed": -1}, "line 2: the seed is -1"),
        ({"mix": "a.wav", "seed": 1.5}, "line 2: the seed is 1.5"),
        ({"mix": "a.wav", "style": [1]}, r"line 2: style is \[1\]"),
        ({"mix": "a.wav", "settings": {"stepz": 1}}, "line 2: unknown setting 'stepz'"),
        ({"mix": "a.wav", "settings": 4}, "line 2: settings are 4"),
        ({"mix": "a.wav", "bpm": "fast"}, "line 2: bpm is 'fast'; give a number"),
        ({"mix": "a.wav", "key": 3}, "line 2: key is 3; give text"),
        ({"mix": "a.wav", "id": "../x"}, "line 2: the id '../x' cannot be a file's name"),
        ({"mix": "a.wav", "id": "/x"}, "cannot be a file's name"),
        ({"mix": "a.wav", "id": ""}, "cannot be a file's name"),
        ({"mix": "a.wav", "id": True}, "cannot be a file's name"),
        ({"mix": "a.wav", "id": "a\nb"}, "cannot be a file's name"),
        ({"mix": "a.wav", "id": "é" * 101}, "cannot be a file's name"),
        ({"mix": "other/first.wav"}, "two songs have the id 'first'"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path, line, words):
    table = write_lines(tmp_path / "songs.jsonl", {"mix": "first.wav"}, line)
    with pytest.raises(InputError, match=words):
        open_manifest([table], Patience(0)).check(Part())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mix\na.wav,b\n", "line 2: has more cells"),
        ("mix,bpm\na.wav,x\n", "line 2: bpm is 'x'; give a number"),
        ("mix,seed\na.wav,x\n", "line 2: the seed is 'x'"),
        ('mix,settings\na.wav,"{"\n', "line 2: settings are '{'"),
        ('mix\n"a.wav\n', "is not CSV"),
        ("name\nx\n", "line 2: unknown field 'name'"),
        ("mix\n", "there are no songs"),
    ],
)
def test_a_cell_that_cannot_be_used_is_named(tmp_path, text, words):
    path = tmp_path / "songs.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        open_manifest([str(path)], Patience(0)).check(Part())


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["no/such/folder"], "there is no such file or folder"),
        (["none.jsonl"], "none.jsonl: cannot be read"),
        (["a.csv", "b.wav"], "name one table"),
        (["nosuch://bucket"], "nosuch://bucket: cannot be read"),
    ],
)
def test_what_is_not_there_is_named(names, words):
    with pytest.raises(InputError, match=words):
        open_manifest(names, Patience(0)).check(Part())


def test_parts_share_all_songs(tmp_path):
    names = [f"song{i}" for i in range(200)]
    table = write_lines(tmp_path / "songs.jsonl", *({"mix": f"{name}.wav"} for name in names))
    parts = [Part(index, 3) for index in range(3)]
    own = [{name for name in names if part.has(name)} for part in parts]
    assert set.union(*own) == set(names)
    assert sum(map(len, own)) == 200
    assert [open_manifest([table], Patience(0)).check(part) for part in parts] == [
        len(x) for x in own
    ]
    assert min(map(len, own)) > 40


def test_a_million_lines_are_checked_in_seconds_and_little_memory(tmp_path):
    """A tenth of them, in a process of their own; 20 s and 500 MB are allowed for all."""
    table = tmp_path / "songs.jsonl"
    with table.open("w") as file:
        for number in range(100_000):
            line = {"id": f"album{number // 12}/song{number}", "mix": f"mixes/{number}.flac"}
            file.write(json.dumps({**line, "style": "s.wav", "settings": {"steps": 30}}) + "\n")
    code = (
        "import resource, sys, time\n"
        "from bassdiff.batch.item import Part\nfrom bassdiff.batch.manifest import open_manifest\n"
        "from bassdiff.batch.patience import Patience\n"
        "size = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "before, begun = size(), time.process_time()\n"
        "count = open_manifest(sys.argv[1:], Patience(0)).check(Part())\n"
        "print(count, time.process_time() - begun, size() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(table)], capture_output=True, text=True)
    count, seconds, megabytes = map(float, done.stdout.split())
    assert count == 100_000
    assert seconds < 2.0
    assert megabytes < 30.0
