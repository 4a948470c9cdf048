"""The application: the files of the page, and the socket that it talks over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from spikewright.explorer.serving.guard import Guard
from spikewright.explorer.serving.talk import Talk
from spikewright.explorer.subject import Subject

PAGE = Path(__file__).parents[1] / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


def application(subject: Subject, token: str, port: int) -> Any:
    """The ASGI application of an explorer at `http://127.0.0.1:PORT/TOKEN/`."""

    async def talk(socket: WebSocket) -> None:
        await Talk(socket, subject).run()

    files = [Route(f"/{path.name}", _file(path)) for path in sorted(PAGE.iterdir())]
    routes = [Route("/", _file(PAGE / "index.html")), *files, WebSocketRoute("/talk", talk)]
    return Guard(Starlette(routes=routes), token, port)


def _file(path: Path) -> Any:
    content, kind = path.read_bytes(), _TYPES[path.suffix]

    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer
