"""What stands before every request: who may ask, for what, and how much may be sent."""

from __future__ import annotations

import asyncio
import base64
import binascii
import dataclasses
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bassdiff.app.sessions import Sessions
from bassdiff.runtime.errors import InputError

# The name of the session, which a request gets here and cannot bring.
SESSION_HEADER = "x-bassdiff-session"
_COOKIE, _SECRET = "bassdiff", re.compile(r"[\w-]{40,64}")
_MONTH_SECONDS = 30 * 24 * 3600
# All that the page needs. Gradio serves more: files by path, streams, others' servers.
_GET = re.compile(
    r"/|/config|/theme\.css|/favicon\.ico|/(assets|static|svelte)/[\w./@-]+|/player/[^/].*"
    r"|/gradio_api/(queue/data|upload_progress|startup-events|theme\.css|heartbeat/\w+)"
)
_POST = re.compile(r"/gradio_api/(queue/join|upload|cancel|reset)|/player/current/\d+")
_UPLOAD = "/gradio_api/upload"
_MOST_UPLOADS, _UPLOAD_SECONDS = 4, 600.0
_FORM_BYTES = 200_000
_WRONG_PASSWORD_SECONDS = 1.0
_HEADERS = {
    "content-security-policy": "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


@dataclasses.dataclass(frozen=True)
class Rules:
    """Who may ask, and how much may be sent.

    Attributes:
      users: Passwords by user; empty if anybody may.
      hosts: Names under which the page is asked for; empty if under any.
      root_path: The part of the address before the page's own, such as `/bass`.
      most_bytes: The largest upload.
    """

    users: Mapping[str, str]
    hosts: frozenset[str]
    root_path: str
    most_bytes: int


class Guard:
    """An ASGI application that lets through what the page needs, and nothing else."""

    def __init__(self, app: ASGIApp, rules: Rules, sessions: Sessions) -> None:
        """Guards an application."""
        self._app, self._rules, self._sessions = app, rules, sessions
        self._uploads = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        path, root = scope["path"], self._rules.root_path
        if root and (path == root or path.startswith(f"{root}/")):
            path = path[len(root) :] or "/"
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if self._rules.hosts and _host(headers) not in self._rules.hosts:
            return await _refuse(send, 421, "this page has another address")
        user = self._user(headers)
        if user is None:
            await asyncio.sleep(_WRONG_PASSWORD_SECONDS if "authorization" in headers else 0.0)
            return await _refuse(send, 401, "log in")
        allowed = {"GET": _GET, "POST": _POST}.get(method)
        if allowed is None or not allowed.fullmatch(path) or ".." in path:
            return await _refuse(send, 404, "there is nothing here")
        if method == "POST" and headers.get("sec-fetch-site", "same-origin") not in (
            *("same-origin", "none"),
        ):
            return await _refuse(send, 403, "another site may not do this")
        secret = _cookie(headers)
        is_new = secret is None and path == "/"
        if is_new:
            secret = secrets.token_urlsafe(32)
        name = hashlib.sha256(f"{user}\n{secret}".encode()).hexdigest()[:32] if secret else ""
        kept = [(key, value) for key, value in scope["headers"] if key != SESSION_HEADER.encode()]
        scope = {
            **scope,
            "path": path,
            "raw_path": path.encode(),
            "headers": [*kept, (SESSION_HEADER.encode(), name.encode())],
        }
        answer = _Answer(send, self._cookie_line(headers, secret or "") if is_new else "")
        if method == "GET":
            return await self._app(scope, receive, answer)
        if path != _UPLOAD:
            return await self._post(scope, receive, answer)
        return await self._upload(scope, headers, receive, answer)

    def _user(self, headers: Mapping[str, str]) -> str | None:
        """Who asks; None for a stranger where users are known."""
        if not self._rules.users:
            return ""
        kind, _, given = headers.get("authorization", "").partition(" ")
        try:
            name, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        # As long for a name that does not exist.
        wanted = self._rules.users.get(name, secrets.token_urlsafe(16))
        is_right = hmac.compare_digest(password.encode(), wanted.encode())
        return name if kind.lower() == "basic" and is_right else None

    def _cookie_line(self, headers: Mapping[str, str], secret: str) -> str:
        secure = "; Secure" if headers.get("x-forwarded-proto") == "https" else ""
        path = self._rules.root_path or "/"
        return (
            f"{_COOKIE}={secret}; Path={path}; Max-Age={_MONTH_SECONDS}; HttpOnly; SameSite=Lax"
            + secure
        )

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A form: small, and without files that were not uploaded."""
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > _FORM_BYTES:
                return await _refuse(send, 413, "this is more than the form holds")
            if not message.get("more_body"):
                break
        try:
            value = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            return await _refuse(send, 400, "this is not a form")
        if not _files_are_in(value, self._sessions.uploads):
            return await _refuse(send, 403, "this file was not uploaded")
        is_read = False

        async def again() -> Message:
            nonlocal is_read
            if is_read:
                return await receive()
            is_read = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, send)

    async def _upload(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send
    ) -> None:
        most = self._rules.most_bytes + _FORM_BYTES
        if not headers.get("content-length", "0").isdigit() or (
            int(headers.get("content-length", "0")) > most
        ):
            megabytes = self._rules.most_bytes / 1e6
            return await _refuse(send, 413, f"files have {megabytes:g} MB at most")
        if self._uploads >= _MOST_UPLOADS:
            return await _refuse(send, 503, "too many uploads at once; try again")
        self._uploads += 1
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            # The end of the connection, as far as the application knows.
            return message if received <= most else {"type": "http.disconnect"}

        try:
            await asyncio.to_thread(self._sessions.check_room)
            async with asyncio.timeout(_UPLOAD_SECONDS):
                await self._app(scope, counted, send)
        except InputError as error:
            await _refuse(send, 507, str(error))
        except TimeoutError:
            pass  # The connection is closed.
        finally:
            self._uploads -= 1


class _Answer:
    """Sends an answer with the headers that all have."""

    def __init__(self, send: Send, cookie: str) -> None:
        self._send, self._cookie = send, cookie

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            extra = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            if self._cookie:
                extra.append((b"set-cookie", self._cookie.encode()))
            message = {**message, "headers": [*message["headers"], *extra]}
        await self._send(message)


async def _refuse(send: Send | _Answer, status: int, text: str) -> None:
    headers = [(b"content-type", b"application/json")]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="bassdiff", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"detail": text}).encode()})


def _host(headers: Mapping[str, str]) -> str:
    host = headers.get("host", "").rsplit("@", 1)[-1]
    return re.sub(r":\d+$", "", host).strip("[]").lower()


def _cookie(headers: Mapping[str, str]) -> str | None:
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return None
    return cookie.value if cookie is not None and _SECRET.fullmatch(cookie.value) else None


def _files_are_in(value: Any, folder: Path, depth: int = 0) -> bool:
    """Whether all files that a form names are uploads: not others, and no addresses to fetch."""
    if depth > 20:
        return False
    if isinstance(value, dict):
        if isinstance(value.get("meta"), dict) or "path" in value:
            path = Path(str(value.get("path")))
            if ".." in path.parts or not path.is_relative_to(folder):
                return False
        value = list(value.values())
    if isinstance(value, list):
        return all(_files_are_in(one, folder, depth + 1) for one in value)
    return True
