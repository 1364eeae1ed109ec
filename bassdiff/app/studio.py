"""What the page's buttons do: opens songs and plays takes, in the line of jobs."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bassdiff.app.jobs import Cancelled, Job, Jobs
from bassdiff.app.listening import open_bass, open_song, read_within
from bassdiff.app.playing import play, wish_of
from bassdiff.app.sessions import Session, Sessions, safe_name
from bassdiff.examples import example_mix
from bassdiff.inference.line import read_notes
from bassdiff.runtime.errors import InputError, printable

if TYPE_CHECKING:
    from bassdiff.inference.generator import BassGenerator

# How often the page is told how far a job is.
_TELL_SECONDS = 0.2


@dataclasses.dataclass(frozen=True)
class State:
    """What the page says of a job.

    Attributes:
      text: A sentence.
      kind: `running`, `done` or `error`.
      done: Steps that are done.
      total: Steps in all; 0 where they are not counted.
    """

    text: str
    kind: str = "done"
    done: int = 0
    total: int = 0


class Studio:
    """A generator and everybody who uses it."""

    def __init__(
        self,
        generator: BassGenerator,
        weights: Mapping[str, str],
        sessions: Sessions,
        max_minutes: float,
    ) -> None:
        """A studio in which nothing is open yet.

        Args:
          generator: What plays.
          weights: The options that name it: `weights`, and `adapter` if there is one.
          sessions: The users'.
          max_minutes: The longest song.
        """
        self.generator, self.sessions = generator, sessions
        self.jobs = Jobs()
        self._weights, self._max_minutes = weights, max_minutes

    async def open(self, session: Session, upload: str | None) -> AsyncIterator[State]:
        """Opens a song: an upload, or the example."""
        try:
            if upload is None:
                folder = session.new_folder("song")
                path = Path(shutil.copy(example_mix(), folder / "example.ogg"))
            else:
                path = self._taken(session, upload, "song")
        except (InputError, OSError) as error:
            yield _failed(error, session)
            return

        def work(job: Job) -> str:
            try:
                song = open_song(path, self._max_minutes, job.report)
                job.report("listening")
            except BaseException:
                shutil.rmtree(path.parent, ignore_errors=True)
                raise
            session.open_song(song)
            return f"Opened {song.path.name}. {song.about}".strip()

        async for state in self._followed(session, work):
            yield state

    async def open_bass(self, session: Session, upload: str) -> AsyncIterator[State]:
        """Takes a bass that somebody has as a take, to be changed or continued."""
        try:
            song = session.the_song()
            path = self._taken(session, upload, "job")
        except (InputError, OSError) as error:
            yield _failed(error, session)
            return

        def work(job: Job) -> str:
            try:
                bass, notes = open_bass(path, song, self._max_minutes, job.report)
            except BaseException:
                shutil.rmtree(path.parent, ignore_errors=True)
                raise
            session.adopt(song, bass, notes, f"your bass {given_name(path)}")
            return f"Your bass {given_name(path)} is a take now; change or continue it."

        async for state in self._followed(session, work):
            yield state

    async def play(
        self, session: Session, kind: str, form: Mapping[str, Any]
    ) -> AsyncIterator[State]:
        """Plays takes; see `playing.KINDS`."""
        try:
            wish = wish_of(session, kind, form, self.generator.defaults)
        except InputError as error:
            yield _failed(error, session)
            return

        def work(job: Job) -> str:
            said = play(session, wish, self.generator, self._weights, job)
            return f"Finished: {wish.label}. {said}".strip()

        async for state in self._followed(session, work):
            yield state

    def set_style(self, session: Session, upload: str | None) -> State:
        """Takes a reference of sound, or none."""
        try:
            path = None
            if upload is not None:
                path = self._taken(session, upload, "style")
                _or_removed(path, lambda: read_within(path, self._max_minutes))
            session.style = path
        except (InputError, OSError) as error:
            return _failed(error, session)
        return State("" if path is None else f"The sound of {given_name(path)} is taken.")

    def set_notes(self, session: Session, upload: str | None) -> State:
        """Takes a line to play, or none."""
        try:
            path = None
            if upload is not None:
                path = self._taken(session, upload, "notes")
                _or_removed(path, lambda: read_notes(path))
            session.notes = path
        except (InputError, OSError) as error:
            return _failed(error, session)
        return State("" if path is None else f"The line of {given_name(path)} is played.")

    def change(self, session: Session, change: Callable[[Session], None], done: str) -> State:
        """Changes the history."""
        try:
            change(session)
        except InputError as error:
            return _failed(error, session)
        return State(done)

    def cancel(self, session: Session) -> State:
        """Cancels all jobs of a user."""
        count = self.jobs.cancel(session.owner)
        return State("Cancelling." if count else "Nothing is running.")

    def _taken(self, session: Session, upload: str, kind: str) -> Path:
        """An upload, moved to its user's files."""
        path = Path(upload)
        if not path.resolve().is_relative_to(self.sessions.uploads.resolve()):
            raise InputError("this file was not uploaded; drop it again")
        if not path.is_file():
            raise InputError("the upload is gone; drop the file again")
        self.sessions.check_room()
        name = safe_name(path.name, kind)
        # What a record names must not have the name of the song.
        home = session.new_folder(kind) / (name if kind == "song" else f"{kind}-{name}")
        return Path(shutil.move(path, home))

    async def _followed(self, session: Session, work: Callable[[Job], str]) -> AsyncIterator[State]:
        """Puts work into the line, and tells how far it is until it has ended.

        When the page is closed, the work is cancelled.
        """
        try:
            job = self.jobs.submit(session.owner, work)
        except InputError as error:
            yield _failed(error, session)
            return
        try:
            while not job.done:
                yield _told(job, self.jobs.ahead(job))
                await asyncio.sleep(_TELL_SECONDS)
            yield _ended(job, session)
        finally:
            job.cancel()


def given_name(path: Path | None) -> str:
    """What its user calls a file that is not the song; `none` where there is none."""
    return "none" if path is None else path.name.partition("-")[2]


def _told(job: Job, ahead: int) -> State:
    now = job.progress
    if ahead:
        return State(f"Waiting: {ahead} ahead of you.", "running")
    text = now.stage[:1].upper() + now.stage[1:]
    if now.total:
        text += f", step {now.done} of {now.total}"
    if now.seconds_left is not None:
        text += f", about {max(1, round(now.seconds_left))} s left"
    return State(f"{text}.", "running", now.done, now.total)


def _ended(job: Job, session: Session) -> State:
    if job.future.cancelled():
        return State("Cancelled. Nothing was changed.")
    error = job.future.exception()
    if isinstance(error, Cancelled):
        return State("Cancelled. Takes that were finished are kept.")
    if isinstance(error, (InputError, OSError)):
        return _failed(error, session)
    if error is not None:
        raise error
    return State(str(job.future.result()))


def _failed(error: Exception, session: Session) -> State:
    """An error in the sentence of the command line, without where the server keeps files."""
    if not isinstance(error, InputError):
        return State("The server could not read or write a file; try again.", "error")
    # Folders of songs and takes have one level below the session's.
    text = re.sub(re.escape(f"{session.folder}/") + r"([\w-]+/)?", "", str(error))
    return State(printable(text.rstrip(".") + "."), "error")


def _or_removed(path: Path, check: Callable[[], Any]) -> None:
    try:
        check()
    except BaseException:
        shutil.rmtree(path.parent, ignore_errors=True)
        raise
