"""What each user has on the server: a song, takes of its bass, and the way back to earlier ones."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from bassdiff.app.takes import Song, Take
from bassdiff.runtime.errors import InputError

# Files of a user who has not been seen for so long are deleted.
IDLE_SECONDS = 12 * 3600.0
# The same where the disk's share is used up.
_LEAST_IDLE_SECONDS = 1800.0
MOST_TAKES = 40
_MOST_SESSIONS = 1000
# An upload is taken over at once, unless its user has gone.
_UPLOAD_SECONDS = 600.0


class Session:
    """One user's files and history; see `Sessions`."""

    def __init__(self, folder: Path) -> None:
        """A session whose files go to a folder."""
        self.folder = folder
        self.lock = threading.RLock()
        self.seen = time.monotonic()
        self._empty()

    def _empty(self) -> None:
        self.song: Song | None = None
        self.style: Path | None = None
        self.notes: Path | None = None
        self.takes: list[Take] = []
        self.undone: list[Take] = []
        self.current: int | None = None
        self._made = 0
        # Counts changes, so that the player knows when to look.
        self.version = getattr(self, "version", 0) + 1

    @property
    def owner(self) -> str:
        """What tells its jobs from those of others."""
        return self.folder.name

    def new_folder(self, name: str) -> Path:
        """A new folder for files."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    def open_song(self, song: Song) -> None:
        """Takes another song; everything about the one before is deleted."""
        with self.lock:
            style, notes = self.style, self.notes
            kept = {path.parent for path in (song.path, style, notes) if path}
            self._empty()
            self.song, self.style, self.notes = song, style, notes
            self._tidy(kept)

    def number(self) -> int:
        """The number of the next take."""
        with self.lock:
            self._made += 1
            return self._made

    def add(self, take: Take) -> None:
        """Adds a take, which is the current one from now on; what was undone is deleted."""
        with self.lock:
            self.undone.clear()
            self.takes = [*self.takes, take][-MOST_TAKES:]
            self.current = take.number
            self.version += 1
            # Deleted only when no later take needs it to be made again.
            kept = [self.style, self.notes, self.song.path if self.song else None]
            for one in self.takes:
                kept += [one.bass, *one.parents]
            self._tidy({path.parent for path in kept if path})

    def adopt(
        self, song: Song, bass: Path, notes: list[tuple[float, float, float]], label: str
    ) -> None:
        """Adds a bass that was not played here, from a folder whose name begins with `job-`.

        Raises:
          InputError: Another song was opened meanwhile.
        """
        with self.lock:
            if self.song is not song:
                raise InputError("another song was opened meanwhile; add the bass to it again")
            folder = bass.parent
            home = folder.rename(folder.with_name(folder.name.replace("job-", "take-", 1)))
            self.add(Take(self.number(), label, 0, home / bass.name, notes))

    def undo(self) -> None:
        """Puts the last take aside.

        Raises:
          InputError: There is none.
        """
        with self.lock:
            if not self.takes:
                raise InputError("nothing is left to undo; generate a bass first")
            self.undone.append(self.takes.pop())
            self.current = self.takes[-1].number if self.takes else None
            self.version += 1

    def redo(self) -> None:
        """Takes back the last `undo`.

        Raises:
          InputError: There is none.
        """
        with self.lock:
            if not self.undone:
                raise InputError("nothing was undone; undo a take first")
            self.takes.append(self.undone.pop())
            self.current = self.takes[-1].number
            self.version += 1

    def take(self, number: int | None = None) -> Take:
        """A take of the history; the current one by default.

        Raises:
          InputError: There is none of this number.
        """
        with self.lock:
            wanted = self.current if number is None else number
            for take in self.takes:
                if take.number == wanted:
                    return take
        raise InputError("no such take is in the history; generate a bass first")

    def choose(self, number: int) -> None:
        """Makes a take the current one.

        Raises:
          InputError: There is none of this number.
        """
        with self.lock:
            self.current = self.take(number).number

    def the_song(self) -> Song:
        """The song.

        Raises:
          InputError: There is none yet.
        """
        if self.song is None:
            raise InputError("no song is open; drop one, or use the example")
        return self.song

    def described(self) -> dict[str, Any]:
        """What the player shows."""
        with self.lock:
            if self.song is None:
                return {"song": None, "takes": [], "current": None}
            song = self.song
            return {
                "song": {
                    "id": song.path.parent.name,
                    "name": song.path.name,
                    "wave": song.wave.name,
                    "spectrogram": song.wave.with_suffix(".png").name,
                    "rate": song.sample_rate_hz,
                    "seconds": song.seconds,
                    "bars": song.grid.bars_until(song.seconds) if song.grid else [],
                    "chords": song.chords,
                },
                "takes": [
                    {
                        "number": take.number,
                        "folder": take.bass.parent.name,
                        "label": take.label,
                        "notes": take.notes,
                        "region": take.region_seconds,
                        "files": {name: path.name for name, path in take.files.items()},
                    }
                    for take in self.takes
                ],
                "current": self.current,
            }

    def _tidy(self, kept: set[Path]) -> None:
        """Deletes all folders but these and those that a job fills."""
        for path in self.folder.glob("*"):
            if path not in kept and not path.name.startswith("job-"):
                shutil.rmtree(path, ignore_errors=True)


class Sessions:
    """All users' sessions, and the uploads that are in none yet."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """No sessions yet.

        Args:
          folder: Where all files go.
          most_bytes: How much they may take.
        """
        self.uploads = folder / "uploads"
        self.uploads.mkdir(mode=0o700)
        self._folder, self._most_bytes = folder, most_bytes
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def of(self, name: str) -> Session:
        """The session of a name that only its user's browser leads to.

        Raises:
          InputError: It has no name, or there are too many sessions.
        """
        if not name:
            raise InputError("the page cannot tell you from others; allow its cookie and reload")
        with self._lock:
            if name not in self._sessions:
                if len(self._sessions) >= _MOST_SESSIONS:
                    self._forget(_LEAST_IDLE_SECONDS, 1)
                if len(self._sessions) >= _MOST_SESSIONS:
                    raise InputError("too many people are here; try again in an hour")
                self._sessions[name] = Session(self._folder / f"session-{name}")
            session = self._sessions[name]
            session.seen = time.monotonic()
            return session

    def check_room(self) -> None:
        """Checks that another file may come.

        Raises:
          InputError: The disk's share is used up.
        """
        with self._lock:
            while self._bytes() > self._most_bytes:
                if not self._forget(_LEAST_IDLE_SECONDS, 1):
                    raise InputError("the server's space is used up; try again in an hour")

    def sweep(self) -> None:
        """Deletes what has been left behind: files of idle users, and uploads without a use."""
        with self._lock:
            self._forget(IDLE_SECONDS, len(self._sessions))
        before = time.time() - _UPLOAD_SECONDS
        for path in self.uploads.rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file() and path.stat().st_mtime < before:
                    path.unlink()

    def _forget(self, idle_seconds: float, most: int) -> int:
        before = time.monotonic() - idle_seconds
        found = sorted(self._sessions.items(), key=lambda item: item[1].seen)
        idle = [name for name, session in found if session.seen < before][:most]
        for name in idle:
            shutil.rmtree(self._sessions.pop(name).folder, ignore_errors=True)
        return len(idle)

    def _bytes(self) -> int:
        total = 0
        for path in self._folder.rglob("*"):
            # Others may delete it meanwhile.
            with contextlib.suppress(OSError):
                total += path.stat().st_size
        return total


def safe_name(name: str, default: str = "song") -> str:
    r"""A file name that means the same everywhere: letters, digits, and a few signs.

    >>> safe_name("../../etc/My song (1).mp3"), safe_name("\x00..")
    ('My song (1).mp3', 'song')
    """
    name = re.split(r"[/\\]", name)[-1]
    name = re.sub(r"[^\w .,()+&'-]", "", name).strip(" .-")
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        stem, suffix = name, ""
    stem, suffix = stem[:80].strip(" .-") or default, suffix[:8]
    return f"{stem}.{suffix}" if suffix and suffix.isascii() else stem
