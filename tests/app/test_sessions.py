import os
import time

import pytest

from bassdiff.app import sessions as module
from bassdiff.app.sessions import Session, Sessions, safe_name
from bassdiff.app.takes import Song, Take
from bassdiff.runtime.errors import InputError


@pytest.fixture
def session(tmp_path):
    one = Session(tmp_path / "session")
    folder = one.new_folder("song")
    path = folder / "song.wav"
    path.write_bytes(b"song")
    one.open_song(Song(path, folder / "mix.player.wav", 44100, 4.0, [], None, "", ""))
    return one


def add(session, parents=()):
    folder = session.new_folder("take")
    number = session.number()
    bass = folder / f"song-bass-{number}.wav"
    bass.write_bytes(b"bass")
    session.add(Take(number, "label", 0, bass, [], None, tuple(parents)))
    return bass


def numbers(session):
    return [take["number"] for take in session.described()["takes"]]


def test_undo_and_redo_walk_through_the_history(session):
    for _ in range(3):
        add(session)
    session.undo()
    session.undo()
    assert numbers(session) == [1] and session.current == 1
    session.redo()
    assert numbers(session) == [1, 2] and session.current == 2
    undone = session.undone[0].bass
    assert undone.exists()
    add(session)
    assert numbers(session) == [1, 2, 4]
    assert not undone.exists()
    with pytest.raises(InputError, match="nothing was undone"):
        session.redo()
    for _ in range(3):
        session.undo()
    assert session.current is None
    with pytest.raises(InputError, match="nothing is left to undo"):
        session.undo()


def test_another_song_deletes_everything_about_the_one_before(session):
    bass = add(session)
    before = session.song.path
    folder = session.new_folder("song")
    path = folder / "other.wav"
    path.write_bytes(b"other")
    session.open_song(Song(path, folder / "mix.player.wav", 44100, 4.0, [], None, "", ""))
    assert path.exists() and not bass.exists() and not before.exists()
    assert session.described()["takes"] == []


def test_old_takes_are_deleted_unless_a_later_one_needs_them(session, monkeypatch):
    monkeypatch.setattr(module, "MOST_TAKES", 2)
    first, second = add(session), add(session)
    third = add(session, [first])
    assert numbers(session) == [2, 3]
    assert first.exists() and second.exists()
    fourth = add(session, [third])
    assert first.exists() and not second.exists() and fourth.exists()


def test_the_version_changes_with_every_change(session):
    seen = [session.version]
    add(session)
    seen.append(session.version)
    session.undo()
    seen.append(session.version)
    session.redo()
    seen.append(session.version)
    assert len(set(seen)) == 4


@pytest.fixture
def sessions(tmp_path):
    return Sessions(tmp_path, most_bytes=1000)


def test_idle_sessions_go_with_their_files(sessions):
    idle, busy = sessions.of("idle"), sessions.of("busy")
    for one in (idle, busy):
        (one.new_folder("song") / "song.wav").write_bytes(b"x")
    idle.seen -= module.IDLE_SECONDS + 1
    sessions.sweep()
    assert not idle.folder.exists() and busy.folder.exists()
    assert sessions.of("idle") is not idle


def test_uploads_that_are_not_taken_over_go(sessions):
    fresh, old = sessions.uploads / "fresh", sessions.uploads / "old"
    for path in (fresh, old):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 3600,) * 2)
    sessions.sweep()
    assert fresh.exists() and not old.exists()


def test_a_full_disk_refuses_unless_an_idle_user_can_go(sessions):
    one = sessions.of("one")
    (one.new_folder("song") / "song.wav").write_bytes(b"x" * 100_000)
    with pytest.raises(InputError, match="space is used up"):
        sessions.check_room()
    one.seen -= 3600
    (sessions.uploads / "a").touch()
    sessions._most_bytes = 50_000
    sessions.check_room()
    assert not one.folder.exists()


def test_one_without_a_cookie_has_no_session(sessions):
    with pytest.raises(InputError, match="allow its cookie"):
        sessions.of("")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("song.mp3", "song.mp3"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\x00b\n<script>.wav", "abscript.wav"),
        (".wav", "wav"),
        ("", "song"),
        ("ÄÖ é 音.flac", "ÄÖ é 音.flac"),
        ("x" * 300 + ".wav", "x" * 80 + ".wav"),
        ("a.b.c.ogg", "a.b.c.ogg"),
    ],
)
def test_names_of_strangers_are_made_safe(given, name):
    assert safe_name(given) == name
