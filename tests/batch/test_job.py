"""Whole jobs of tiny weights: what is written, what is kept, and what does not stop the others."""

import hashlib
import json

import fsspec
import numpy as np
import pytest
import soundfile

from bassdiff.runtime.errors import InputError

pytestmark = [
    pytest.mark.filterwarnings("default:the bass came out", "default:no pitch is heard"),
    pytest.mark.usefixtures("plain_decoder"),
]


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    return tmp_path_factory.mktemp("once") / "out"


@pytest.fixture
def whole(once, play, songs):
    """The folder of an uninterrupted job."""
    if not once.exists():
        assert play(songs, out=once).played == 5
    return once


def samples(path):
    return soundfile.read(path)[0]


def test_every_song_has_a_bass_and_a_row(whole, songs, rows, contents):
    files = [f"song{number}.bass.{kind}" for number in range(5) for kind in ("json", "wav")]
    assert sorted(contents(whole)) == files
    found = {row["id"]: row for row in rows(whole)}
    assert len(rows(whole)) == len(found) == 5
    for number in range(5):
        row = found[f"song{number}"]
        bass, rate = soundfile.read(whole / row["paths"]["bass"])
        mix, _ = soundfile.read(songs / f"song{number}.wav")
        assert (len(bass), rate) == (len(mix), 22050)
        digests = {
            what: hashlib.sha256((whole / path).read_bytes()).hexdigest()
            for what, path in row["paths"].items()
        }
        assert row["sha256"] == digests and set(digests) == {"bass", "record"}
        assert row["status"] == "ok" and row["error"] is None
        assert row["seconds"] == pytest.approx(len(mix) / rate)
        assert row["settings"] == {"steps": 3}
        assert row["measures"]["bass_peak"] == pytest.approx(np.abs(bass).max(), abs=1e-5)
    assert len({row["seed"] for row in found.values()}) == 5


def test_a_finished_job_plays_nothing(whole, play, songs, contents, rows):
    before, journal = contents(whole), rows(whole)
    tally = play(songs, out=whole)
    assert (tally.played, tally.kept, tally.failed) == (0, 5, 0)
    assert (contents(whole), rows(whole)) == (before, journal)


def test_parts_together_are_the_whole(tmp_path, whole, play, songs, contents, rows):
    from bassdiff.batch.item import Part

    tallies = [play(songs, out=tmp_path / "out", part=Part(index, 2)) for index in range(2)]
    assert sum(tally.played for tally in tallies) == 5
    assert all(tally.played for tally in tallies)
    assert contents(tmp_path / "out") == contents(whole)
    assert len({row["id"] for row in rows(tmp_path / "out")}) == 5
    # Another number of parts finds what these have done.
    assert play(songs, out=tmp_path / "out").kept == 5


def test_a_store_gets_the_same_bytes(whole, play, songs, contents):
    assert play(songs, out="memory://results/job").played == 5
    store = fsspec.filesystem("memory")
    for name, data in contents(whole).items():
        assert store.cat(f"/results/job/{name}") == data
    (journal,) = store.glob("/results/job/results-*.jsonl")
    assert len(store.cat(journal).splitlines()) == 5
    assert play(songs, out="memory://results/job").kept == 5


def test_mixes_may_be_on_a_store(tmp_path, whole, play, songs):
    data = {f"/mixes/{path.name}": path.read_bytes() for path in songs.iterdir()}
    fsspec.filesystem("memory").pipe(data)
    assert play("memory://mixes", out=tmp_path / "out").played == 5
    # Their records name the mixes.
    for number in range(5):
        far, near = (samples(out / f"song{number}.bass.wav") for out in (tmp_path / "out", whole))
        np.testing.assert_array_equal(far, near)


@pytest.mark.parametrize("damage", ["cut", "flip", "delete"])
def test_a_damaged_output_is_made_anew(tmp_path, whole, play, songs, contents, rows, damage):
    out = tmp_path / "out"
    play(songs, out=out)
    path = out / "song2.bass.wav"
    data = bytearray(path.read_bytes())
    if damage == "delete":
        path.unlink()
    else:
        data[1000] ^= damage == "flip"
        path.write_bytes(data[: -50 if damage == "cut" else None])
    tally = play(songs, out=out)
    assert (tally.played, tally.kept) == (1, 4)
    assert contents(out) == contents(whole)
    assert [row["id"] for row in rows(out)[5:]] == ["song2"]


def test_songs_that_fail_stop_no_others(tmp_path, play, songs, rows, contents):
    (tmp_path / "bad.wav").write_bytes(b"RIFF....WAVE and nothing more")
    soundfile.write(tmp_path / "short.wav", np.zeros(2000), 22050)
    table = tmp_path / "songs.jsonl"
    lines = [
        {"mix": "bad.wav"},
        {"mix": "short.wav"},
        {"mix": "gone.wav"},
        {"mix": f"{songs}/song0.wav", "settings": {"steps": 1}, "id": "steps"},
        {"mix": f"{songs}/song1.wav", "style": "gone.wav", "id": "style"},
        {"mix": "memory://nowhere/gone.wav", "id": "url"},
        {"mix": f"{songs}/song0.wav", "id": "chords", "chords": "H7 | X", "bpm": 90},
        {"mix": f"{songs}/song0.wav"},
    ]
    table.write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "out"
    tally = play(table, out=out)
    assert (tally.played, tally.failed) == (1, 7)
    errors = {row["id"]: row["error"] for row in rows(out)}
    assert errors["song0"] is None
    for name, words in (
        ("bad", "bad.wav: it ends before its data chunk"),
        ("short", "short.wav is 0.091 s long"),
        ("gone", "gone.wav: there is no such file"),
        ("steps", "steps is 1"),
        ("style", "gone.wav: there is no such file"),
        ("chords", "H7"),
        ("url", "memory://nowhere/gone.wav: there is no such file"),
    ):
        assert words in errors[name]
    assert list(contents(out)) == ["song0.bass.json", "song0.bass.wav"]
    # They are not tried again unless one asks for it.
    assert (play(table, out=out).failed, len(rows(out))) == (7, 8)
    (tmp_path / "gone.wav").write_bytes((songs / "song2.wav").read_bytes())
    tally = play(table, out=out, retry_failed=True)
    assert (tally.played, tally.kept, tally.failed) == (2, 1, 5)


def test_what_is_not_finite_fails_alone(tmp_path, play, songs, rows, monkeypatch):
    from bassdiff.batch.player import Player

    decode = Player.decode

    def spoiled(self, latents):
        waves = decode(self, latents)
        return [x * np.nan if len(z) == 44 else x for z, x in zip(latents, waves, strict=True)]

    monkeypatch.setattr(Player, "decode", spoiled)
    tally = play(songs, out=tmp_path / "out")
    assert (tally.played, tally.failed) == (4, 1)
    errors = {row["id"]: row["error"] for row in rows(tmp_path / "out")}
    assert "not finite" in errors["song2"] and errors["song1"] is None


def test_a_song_that_does_not_fit_fails_with_its_group_only(tmp_path, play, songs, monkeypatch):
    from bassdiff.batch.player import Player

    def full(self, songs):
        raise MemoryError("the song does not fit")

    monkeypatch.setattr(Player, "play", full)
    assert play(songs, out=tmp_path / "out").failed == 5


def test_another_request_is_played_anew(tmp_path, play, songs, contents):
    song, out = songs / "song0.wav", tmp_path / "out"
    play(song, out=out)
    first = contents(out)
    assert play(song, out=out, seed=1).played == 1
    assert contents(out) != first
    assert play(song, out=out, seed=1).kept == 1


def test_chords_decide(tmp_path, play, songs, contents):
    basses = []
    for number, chords in enumerate(("| C |", "| F# |", "")):
        line = {"mix": f"{songs}/song0.wav", "bpm": 240, **({"chords": chords} if chords else {})}
        (tmp_path / f"{number}.jsonl").write_text(json.dumps(line) + "\n")
        play(tmp_path / f"{number}.jsonl", out=tmp_path / f"out{number}")
        basses.append(contents(tmp_path / f"out{number}")["song0.bass.wav"])
    assert len(set(basses)) == 3


def test_a_line_and_chords_from_files(tmp_path, play, songs, contents, rows, write_midi, track):
    """On a disk and on a store they are the same, and they decide."""
    write_midi(tmp_path / "line.mid", [track(33, [40, 43])])
    (tmp_path / "song.lab").write_text("0.0 2.0 F#\n")
    files = {f"/in/{name}": (tmp_path / name).read_bytes() for name in ("line.mid", "song.lab")}
    fsspec.filesystem("memory").pipe(files)
    basses = {}
    for name, control in {
        "free": {},
        "line": {"notes": "line.mid"},
        "far": {"notes": "memory://in/line.mid"},
        "lab": {"chords": "song.lab"},
        "gone": {"notes": "gone.mid"},
    }.items():
        # One id, and so one seed.
        line = {"id": "song", "mix": f"{songs}/song2.wav", **control}
        (tmp_path / "songs.jsonl").write_text(json.dumps(line) + "\n")
        play(tmp_path / "songs.jsonl", out=tmp_path / name)
        if name != "gone":
            basses[name] = samples(tmp_path / name / "song.bass.wav")
    np.testing.assert_array_equal(basses["far"], basses["line"])
    assert len({basses[name].tobytes() for name in ("free", "line", "lab")}) == 3
    assert contents(tmp_path / "gone") == {}
    assert "gone.mid: there is no such MIDI file" in rows(tmp_path / "gone")[0]["error"]


def test_every_song_in_the_sound_of_every_bass(tmp_path, play, songs, contents, rows):
    styles = [str(songs / f"song{number}.wav") for number in (3, 4)]
    out = tmp_path / "out"
    assert play(songs / "song0.wav", out=out, stems_of=styles).played == 2
    found = {name: data for name, data in contents(out).items() if name.endswith(".wav")}
    assert list(found) == ["song0.song3.bass.wav", "song0.song4.bass.wav"]
    assert len(set(found.values())) == 2
    assert [row["styles"] for row in sorted(rows(out), key=lambda row: row["id"])] == [
        [style] for style in styles
    ]


def test_mixdowns_and_notes(tmp_path, play, songs, contents, rows):
    out = tmp_path / "out"
    play(songs / "song1.wav", out=out, mixdown=True, midi=True, format="flac")
    names = ["song1.bass.flac", "song1.bass.json", "song1.mid", "song1.mixdown.flac"]
    assert list(contents(out)) == names
    assert set(rows(out)[0]["sha256"]) == {"bass", "record", "mixdown", "midi"}


def test_a_full_disk_is_told_and_what_is_done_is_kept(tmp_path, play, songs, monkeypatch, rows):
    import errno
    import os
    from pathlib import Path

    replace, out, names = Path.replace, tmp_path / "out", []

    def full(path, target):
        if str(target).endswith("bass.wav") and Path(target).parent == out:
            names.append(target)
            if len(names) > 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(InputError, match=r"no space left on device\); free some space"):
            play(songs, out=out, num_workers=1)
    # A folder of the part would be a stray one.
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []
    done = len(rows(out))
    assert done <= 2
    assert play(songs, out=out).kept == done
    assert len(rows(out)) == 5


def test_a_job_into_a_file_or_into_a_running_one_is_refused(tmp_path, play, songs):
    from bassdiff.batch.item import Part
    from bassdiff.batch.patience import Patience
    from bassdiff.batch.storage import Storage

    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        play(songs, out=tmp_path / "file")
    storage = Storage(str(tmp_path / "out"), str(Part()), Patience(1))
    with pytest.raises(InputError, match="part 1 of 1 is being written by another process"):
        play(songs, out=tmp_path / "out")
    storage.close()
    assert play(songs, out=tmp_path / "out").played == 5


def test_a_setting_for_all_songs_is_refused_at_once(tmp_path, play, songs, contents):
    with pytest.raises(InputError, match="steps is 1"):
        play(songs, out=tmp_path / "out", settings={"steps": 1})
    assert contents(tmp_path / "out") == {}
