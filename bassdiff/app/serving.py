"""Serves the page: where it listens, for whom, and until when its files are kept."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ipaddress
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bassdiff.runtime.errors import InputError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from bassdiff.inference.generator import BassGenerator

_SWEEP_SECONDS = 60.0
_MEGABYTE = 1_000_000


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the page is and who may see it.

    Attributes:
      host: The address to listen at.
      port: The port.
      root_path: The part of the address before the page's own, where a proxy adds one.
      users: Passwords by user; empty for no log-in.
      is_open: Whether everybody who reaches the address may use it.
      max_minutes: The longest song.
      max_megabytes: The largest file.
      max_gigabytes: What all users' files may take.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    root_path: str = ""
    users: Mapping[str, str] = dataclasses.field(default_factory=dict)
    is_open: bool = False
    max_minutes: float = 10.0
    max_megabytes: float = 200.0
    max_gigabytes: float = 10.0

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          InputError: One cannot be used, or strangers could use the page.
        """
        if not self.is_loopback and not self.users and not self.is_open:
            raise InputError(
                f"everybody who reaches {self.host} could use the page; give --auth USER:PASSWORD, "
                "or --open if that is meant"
            )
        if not 0 <= self.port <= 65535:
            raise InputError(f"--port is {self.port}; choose a port from 0 to 65535")
        if self.root_path and not self.root_path.startswith("/"):
            raise InputError(f"the root path is {self.root_path!r}; begin it with /, as /bass")
        if not 0.0 < self.max_minutes <= 60.0:
            raise InputError(f"--max-minutes is {self.max_minutes:g}; choose up to 60")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def users_of(given: list[str]) -> dict[str, str]:
    """Users and passwords of `--auth`: `USER:PASSWORD`, or a file with a line for each.

    Raises:
      InputError: One is neither.
    """
    lines: list[str] = []
    for word in given:
        if ":" not in word and Path(word).is_file():
            text = Path(word).read_text(encoding="utf-8", errors="replace")
            lines += [line.strip() for line in text.splitlines() if line.strip()]
        else:
            lines.append(word)
    users = {}
    for line in lines:
        name, colon, password = line.partition(":")
        if not (name and colon and password):
            raise InputError("--auth is neither USER:PASSWORD nor a file of such lines")
        users[name] = password
    return users


def application(
    generator: BassGenerator, weights: Mapping[str, str], place: Place, folder: Path
) -> ASGIApp:
    """The page as an ASGI application, guarded.

    Args:
      generator: What plays.
      weights: The options that name it: `weights`, and `adapter` if there is one.
      place: Who may see it, and its limits.
      folder: An empty folder for all files.
    """
    from bassdiff.app.sessions import Sessions

    sessions = Sessions(folder, round(place.max_gigabytes * 1000 * _MEGABYTE))
    # Read when Gradio is imported, or when its server is made.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(sessions.uploads)
    os.environ["GRADIO_SSR_MODE"] = "False"
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

    import gradio as gr
    from fastapi import FastAPI

    from bassdiff.app.guard import Guard, Rules
    from bassdiff.app.page import HEAD, THEME, build
    from bassdiff.app.routes import routes
    from bassdiff.app.studio import Studio

    studio = Studio(generator, weights, sessions, place.max_minutes)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                await asyncio.sleep(_SWEEP_SECONDS)
                await asyncio.to_thread(sessions.sweep)

        sweeping = asyncio.create_task(sweep())
        yield
        sweeping.cancel()
        await asyncio.to_thread(studio.jobs.close)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.router.routes.extend(routes(sessions))
    gr.mount_gradio_app(
        app,
        build(studio),
        "/",
        server_name=place.host,
        server_port=place.port,
        root_path=place.root_path or None,
        footer_links=[],
        run_history=False,
        show_error=True,
        max_file_size=round(place.max_megabytes * _MEGABYTE),
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        theme=THEME,
        head=HEAD,
    )
    # Names that other sites point to this machine are not its own.
    local = {"localhost", "127.0.0.1", "::1", place.host}
    hosts = local if place.is_loopback and not place.root_path else set()
    rules = Rules(
        place.users, frozenset(hosts), place.root_path, round(place.max_megabytes * _MEGABYTE)
    )
    return Guard(app, rules, sessions)


def serve(
    generator: BassGenerator, weights: Mapping[str, str], place: Place, listener: socket.socket
) -> None:
    """Serves the page until the process is asked to end; all files are deleted then.

    Args:
      generator: What plays.
      weights: The options that name it: `weights`, and `adapter` if there is one.
      place: Where the page is.
      listener: From `listen`.
    """
    import uvicorn

    folder = Path(tempfile.mkdtemp(prefix="bassdiff-app-"))
    try:
        config = uvicorn.Config(
            application(generator, weights, place, folder),
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
        port = listener.getsockname()[1]
        shown = f"[{place.host}]" if ":" in place.host else place.host
        url = f"http://{shown}:{port}{place.root_path}/"
        print(f"bassdiff is at {url} (Ctrl-C ends it)", file=sys.stderr)
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def listen(place: Place) -> socket.socket:
    """A socket at the address; port 0 is any that is free.

    Raises:
      InputError: The address is taken or is not this machine's.
    """
    listener = None
    try:
        family, _, _, _, address = socket.getaddrinfo(
            place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        if listener is not None:
            listener.close()
        reason = (error.strerror or str(error)).lower()
        raise InputError(
            f"{place.host}:{place.port} cannot be listened at ({reason}); choose another --port"
        ) from error
    return listener
