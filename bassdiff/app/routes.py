"""What the player fetches: its code, the state of a session, and files as they were written."""

from __future__ import annotations

import contextlib
import tempfile
import zipfile
from importlib import resources
from pathlib import Path

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from bassdiff.app.guard import SESSION_HEADER
from bassdiff.app.sessions import Session, Sessions
from bassdiff.app.takes import Take
from bassdiff.runtime.errors import InputError

_CODE = {
    **dict.fromkeys(("player.js", "engine.js", "picture.js", "labels.js"), "text/javascript"),
    "player.css": "text/css",
}
# A folder's name is in the address and is never used twice.
_KEEP = {"cache-control": "private, max-age=3600"}
_ASK_AGAIN = {"cache-control": "no-cache"}


def routes(sessions: Sessions) -> list[Route]:
    """The routes under `/player/`; each shows a user nothing but their own session."""

    def session_of(request: Request) -> Session:
        return sessions.of(request.headers.get(SESSION_HEADER, ""))

    async def code(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _CODE:
            return _fault(404, "there is nothing here")
        text = (resources.files("bassdiff.app") / "static" / name).read_bytes()
        return Response(text, media_type=_CODE[name], headers=_ASK_AGAIN)

    async def state(request: Request) -> Response:
        try:
            session = session_of(request)
        except InputError as error:
            return _fault(403, str(error))
        return JSONResponse(session.described(), headers={"cache-control": "no-store"})

    async def current(request: Request) -> Response:
        try:
            session_of(request).choose(request.path_params["number"])
        except InputError as error:
            return _fault(404, str(error))
        return JSONResponse({})

    async def file(request: Request) -> Response:
        with contextlib.suppress(InputError):
            wanted = (request.path_params["folder"], request.path_params["name"])
            path = _files(session_of(request)).get(wanted)
            if path is not None and path.is_file():
                is_shown = path.suffix == ".png" or "player" in request.query_params
                return FileResponse(path, filename=None if is_shown else path.name, headers=_KEEP)
        return _fault(404, "there is no such file; reload the page")

    async def archive(request: Request) -> Response:
        number = request.path_params["number"]
        try:
            session = session_of(request)
            song = session.the_song()
            with session.lock:
                takes = list(session.takes) if number == "all" else [session.take(int(number))]
            if not takes:
                raise InputError("no take is in the history; generate a bass first")
            name = f"{song.path.stem}-bass-{number}.zip"
            path = await run_in_threadpool(_zipped, session, song.path, takes)
        except (InputError, ValueError, OSError):
            return _fault(404, "there is no such take; reload the page")
        return FileResponse(path, filename=name, background=BackgroundTask(path.unlink, True))

    return [
        Route("/player/code/{name}", code),
        Route("/player/state", state),
        Route("/player/current/{number:int}", current, methods=["POST"]),
        Route("/player/files/{folder}/{name}", file),
        Route("/player/zip/{number}", archive),
    ]


def _files(session: Session) -> dict[tuple[str, str], Path]:
    """All files of a session that may be fetched, by folder and name."""
    with session.lock:
        paths = [path for take in session.takes for path in take.files.values()]
        if session.song is not None:
            paths += [session.song.wave, session.song.wave.with_suffix(".png")]
    return {(path.parent.name, path.name): path for path in paths}


def _zipped(session: Session, song: Path, takes: list[Take]) -> Path:
    """Everything of some takes, with the files that make them again; sound is not compressed."""
    wanted = {song.name: song}
    for take in takes:
        shown = [path for what, path in take.files.items() if what != "spectrogram"]
        wanted |= {path.name: path for path in (*shown, *take.parents)}
    with (
        tempfile.NamedTemporaryFile(
            dir=session.folder, prefix="job-", suffix=".zip", delete=False
        ) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        for name, path in wanted.items():
            if path.is_file():
                archive.write(path, name)
    return Path(file.name)


def _fault(status: int, text: str) -> Response:
    return JSONResponse({"detail": text}, status_code=status)
