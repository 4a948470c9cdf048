"""The server of an explorer: its guard, the files of its page, the socket that it talks over."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketClose

from spikewright._base.markup import STYLE
from spikewright.explorer.live import LiveRun
from spikewright.explorer.serving.talk import SharedRun, Talk, Watch
from spikewright.explorer.subject import Subject

HOSTS = ("127.0.0.1", "localhost")
"""Names of this machine that a browser may ask for: others lead here by a trick with names."""

_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self' http://127.0.0.1:* http://localhost:* vscode-webview:",
    ]
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Guard:
    """Lets requests through that name this host, come from its own page, and hold the token.

    The token is the first part of the path. Browsers say from which page a socket is opened
    (Origin), so a page of another site opens none. All other requests are answered with 403.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = {f"{host}:{port}" for host in HOSTS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on without its token, or refuse it."""
        reason = None if scope["type"] == "lifespan" else self._refused(scope)
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif reason is None:
            path = scope["path"].removeprefix(f"/{self._token}")
            await self._app({**scope, "path": path}, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await WebSocketClose(1008, reason)(scope, receive, send)
        else:
            await PlainTextResponse(f"{reason}\n", 403)(scope, receive, send)

    def _refused(self, scope: Scope) -> str | None:
        """The reason to refuse a request, or None."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts:
            return "this server answers to its own address alone"
        if origin != f"http://{host}" and not (origin is None and scope["type"] == "http"):
            return "this server answers its own page alone"
        token = scope["path"].split("/")[1] if "/" in scope["path"] else ""
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            return "the address lacks its token: open the one that spikewright printed"
        return None


def _with_headers(send: Send) -> Send:
    """A `send` that adds the headers which keep a page to itself."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_HEADERS)
        await send(message)

    return sending


PAGE = Path(__file__).parents[1] / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


def application(subject: Subject | LiveRun, token: str, port: int) -> Any:
    """The ASGI application of an explorer at `http://127.0.0.1:PORT/TOKEN/`.

    Each page has a talk of its own about a `Subject`; all of them watch the same `LiveRun`.
    """
    page, talker = _page(subject)

    async def talk(socket: WebSocket) -> None:
        await talker(socket).run()

    files = [Route(f"/{path.name}", _file(path)) for path in (STYLE, *sorted(PAGE.iterdir()))]
    routes = [Route("/", _file(PAGE / page)), *files, WebSocketRoute("/talk", talk)]
    return Guard(Starlette(routes=routes), token, port)


def _page(subject: Subject | LiveRun) -> tuple[str, Callable[[WebSocket], Talk | Watch]]:
    """The file of its page, and what talks with one."""
    if isinstance(subject, Subject):
        return "index.html", lambda socket: Talk(socket, subject)
    shared = SharedRun(subject)
    return "network.html", lambda socket: Watch(socket, shared)


def _file(path: Path) -> Any:
    content, kind = path.read_bytes(), _TYPES[path.suffix]

    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer
