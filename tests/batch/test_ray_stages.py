"""The stages of a job on Ray, one after the other and without Ray: the same files and rows."""

import dataclasses
import json
import os

import pytest

from bassdiff.batch import ray_stages
from bassdiff.batch.journal import Known, last_rows
from bassdiff.batch.manifest import open_manifest
from bassdiff.batch.order import Order
from bassdiff.batch.patience import Patience
from bassdiff.batch.ray_spool import MIX, Spool
from bassdiff.batch.ray_stages import Hear, Plan, Play, Write, block, songs_of, ticket
from bassdiff.batch.storage import Storage
from bassdiff.pretrained.release import load_weights

pytestmark = [
    pytest.mark.filterwarnings("default:the bass came out", "default:no pitch is heard"),
    pytest.mark.usefixtures("plain_decoder"),
]


@pytest.fixture
def plan(tmp_path, tiny_weights):
    order = Order(str(tiny_weights), settings={"steps": 3}).of(load_weights(str(tiny_weights)))
    return Plan(os.getcwd(), str(tmp_path / "ray"), ".spool", order, 60.0, 1.0, 8)


def through(plan, songs):
    """What comes out of the stages: one reader, one player that gets a batch, one writer."""
    hear, play, write = Hear(plan), Play(plan), Write(plan)
    heard = [song for one in songs for out in hear(block(one)) for song in songs_of(out)]
    played = [song for out in play(block(*heard)) for song in songs_of(out)]
    written = [song for one in played for out in write(block(one)) for song in songs_of(out)]
    for stage in (hear, play, write):
        stage.storage.close()
    return written


def test_files_and_rows_are_those_of_one_process(
    tmp_path, plan, play, songs, contents, rows, write_midi, track
):
    write_midi(tmp_path / "line.mid", [track(33, [40, 43])])
    (tmp_path / "bad.wav").write_bytes(b"RIFF....WAVE and nothing more")
    lines = [{"mix": f"{songs}/song{number}.wav"} for number in range(4)]
    lines += [{"mix": "bad.wav"}]
    lines[1] |= {"style": f"{songs}/song4.wav"}
    lines[2] |= {"notes": "line.mid", "notes_region": "0:1", "settings": {"steps": 4}}
    table = tmp_path / "songs.jsonl"
    table.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert play(table, out=tmp_path / "whole").played == 4
    found = through(plan, map(ticket, open_manifest([str(table)], Patience(0))))
    assert contents(tmp_path / "ray") == contents(tmp_path / "whole")
    expected = {row["id"]: row for row in rows(tmp_path / "whole")}
    assert {song["row"]["id"]: song["row"] for song in found} == expected
    assert sum(song["busy"] for song in found) > 0.0
    storage = Storage(plan.out, "test", Patience(1.0))
    assert Spool(storage, plan.spool).count("") == 0
    storage.close()


def test_songs_that_are_there_are_checked_and_kept(tmp_path, plan, play, songs):
    play(songs, out=tmp_path / "ray")
    (tmp_path / "ray" / "song1.bass.wav").write_bytes(b"torn")
    storage = Storage(plan.out, "test", Patience(1.0))
    digests = {row["id"]: "".join(row["sha256"].values()) for row in last_rows(storage)}
    storage.close()
    found = through(
        plan,
        [
            ticket(item, Known(True, b"", bytes.fromhex(digests[item.id])))
            for item in open_manifest([str(songs)], Patience(0))
        ],
    )
    assert {song["item"]["id"]: "kept" in song for song in found} == {
        f"song{number}": number != 1 for number in range(5)
    }


def test_what_another_has_taken_is_left_out(plan, songs):
    (item, *_) = open_manifest([str(songs)], Patience(0))
    play = Play(plan)
    assert list(play(block(ticket(item)))) == []
    play.storage.close()


@pytest.mark.parametrize("kind", ["full", "defect"])
def test_what_concerns_all_songs_comes_through_to_the_driver(plan, songs, kind, monkeypatch):
    from bassdiff.runtime.errors import InputError

    error = InputError("the disk is full") if kind == "full" else ZeroDivisionError("a defect")

    def put(self, song_id, what, thing):
        raise error

    monkeypatch.setattr(Spool, "put", put)
    (item, *_) = open_manifest([str(songs)], Patience(0))
    (ended,) = through(plan, [ticket(item)])
    assert ended["ends"] == ("InputError" if kind == "full" else "")
    assert str(error) in ended["why"]


def test_reading_waits_while_the_spool_is_full(plan, songs, monkeypatch):
    """Blocks are small, so that Ray's own back-pressure would not stop it."""
    plan = dataclasses.replace(plan, songs_ahead=1)
    items = list(open_manifest([str(songs)], Patience(0)))
    hear = Hear(plan)
    list(hear(block(ticket(items[0]))))
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        hear.spool.take(items[0].id, MIX)

    monkeypatch.setattr(ray_stages.time, "sleep", sleep)
    list(hear(block(ticket(items[1]))))
    assert len(waits) == 1 and hear.spool.count(MIX) == 1
    hear.storage.close()
