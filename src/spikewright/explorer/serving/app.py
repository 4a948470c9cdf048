"""The application: the files of the page, and the socket that it talks over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from spikewright._base.markup import STYLE
from spikewright.explorer.live.run import LiveRun
from spikewright.explorer.serving.guard import Guard
from spikewright.explorer.serving.talk import Talk
from spikewright.explorer.serving.watching import SharedRun, Watch
from spikewright.explorer.subject import Subject

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
