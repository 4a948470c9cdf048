"""The server of an explorer: its guard, the files of its page, and its sockets to pages.

Each page has its own session with a model; a live run is broadcast to all pages that watch it.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketClose, WebSocketDisconnect

from spikewright._base.markup import STYLE
from spikewright.errors import printable
from spikewright.explorer.answers import (
    FIRST_ADVICE,
    Cancelled,
    advice_message,
    curve_messages,
    data_messages,
    greeting,
    sample_answer,
)
from spikewright.explorer.live import (
    LiveRun,
    RunRequest,
    curves_message,
    run_greeting,
    run_request_from,
    update_message,
)
from spikewright.explorer.message import messages, send_error, settings_from
from spikewright.explorer.model_session import ModelSession

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


def application(session: ModelSession | LiveRun, token: str, port: int) -> Any:
    """The ASGI application of an explorer at `http://127.0.0.1:PORT/TOKEN/`.

    Each page has its own socket to a `ModelSession`; all of them watch the same `LiveRun`.
    """
    page, session_with = _page(session)

    async def serve(socket: WebSocket) -> None:
        await session_with(socket).run()

    files = [Route(f"/{path.name}", _file(path)) for path in (STYLE, *sorted(PAGE.iterdir()))]
    routes = [Route("/", _file(PAGE / page)), *files, WebSocketRoute("/socket", serve)]
    return Guard(Starlette(routes=routes), token, port)


def _page(
    session: ModelSession | LiveRun,
) -> tuple[str, Callable[[WebSocket], WebSocketSession | BroadcastSession]]:
    """The file of its page, and the session for a page's socket."""
    if isinstance(session, ModelSession):
        return "index.html", lambda socket: WebSocketSession(socket, session)
    shared = SharedRun(session)
    return "network.html", lambda socket: BroadcastSession(socket, shared)


def _file(path: Path) -> Any:
    content, kind = path.read_bytes(), _TYPES[path.suffix]

    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer


_PAUSE = 0.15  # seconds without new settings before the data is measured


class WebSocketSession:
    """Answers the settings that come over a socket; later ones cancel those before."""

    def __init__(self, socket: WebSocket, session: ModelSession) -> None:
        self._socket, self._session = socket, session
        self._stop = threading.Event()
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Greet the page, and answer until it leaves."""
        await self._socket.accept()
        await self._socket.send_bytes(greeting(self._session))
        try:
            async for text in messages(self._socket):
                self._cancel()
                self._task = asyncio.create_task(self._answer(text, self._stop))
        finally:
            self._cancel()

    def _cancel(self) -> None:
        """Stop the work in progress: what a thread still computes is thrown away."""
        self._stop.set()
        self._stop = threading.Event()
        if self._task is not None:
            self._task.cancel()

    async def _answer(self, text: str | bytes, stop: threading.Event) -> None:
        """The sample at once; without later settings the first data, advice, then all data."""
        number = None
        try:
            number, settings = settings_from(text)
            await self._socket.send_bytes(
                await asyncio.to_thread(sample_answer, self._session, number, settings)
            )
            await asyncio.sleep(_PAUSE)
            about = self._session, settings, stop.is_set
            data, advice = data_messages(*about), advice_message(*about, FIRST_ADVICE)
            for stages in (
                islice(data, 1),
                advice,
                data,
                curve_messages(*about),
                advice_message(*about),
            ):
                await self._stages(number, stages)
            await self._socket.send_json({"kind": "done", "number": number})
        except (Cancelled, WebSocketDisconnect):
            return
        except Exception as error:  # layers and rules of the user's own may raise anything
            await send_error(self._socket, error, number=number)

    async def _stages(self, number: int, stages: Iterator[dict[str, Any]]) -> None:
        """Send each stage as soon as it is there."""
        while (found := await asyncio.to_thread(next, stages, None)) is not None:
            await self._socket.send_json({"number": number, **found})


_FRAME = 0.04  # seconds from one block to the next: 25 pictures a second

_Found = TypeVar("_Found")


class SharedRun:
    """A run, whether and how fast it plays, and the pages that watch it.

    It plays only while a page watches. One thread has the simulator, so that blocks, single steps
    and resets follow each other; moved inputs do not wait: the next block takes the latest values.
    """

    def __init__(self, run: LiveRun) -> None:
        self.run, self.playing, self.speed = run, False, 1.0
        self.wrong: str | None = None
        self._watching: set[asyncio.Event] = set()
        self._thread = ThreadPoolExecutor(1)
        self._clock: asyncio.Task[None] | None = None
        self._length = 0.0  # seconds of the latest block

    def join(self, page: asyncio.Event) -> None:
        """Let a page watch: its event is set whenever something is new."""
        self._watching.add(page)
        page.set()
        self._start_clock()

    def leave(self, page: asyncio.Event) -> None:
        """A page watches no longer."""
        self._watching.discard(page)

    async def apply(self, request: RunRequest) -> None:
        """Apply the changes of a request."""
        self.playing = self.playing if request.playing is None else request.playing
        self.speed = self.speed if request.speed is None else request.speed
        if request.values is not None:
            before = enumerate(self.run.values)
            self.run.values = [request.values.get(place, values) for place, values in before]
        self._start_clock()
        self._notify()
        if request.act is not None:
            self.playing = False
            await self._do(self.run.reset if request.act == "reset" else self._step)

    async def alone(self, work: Callable[[], _Found]) -> _Found:
        """The result of some work with the simulator, which nothing else uses meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _do(self, work: Callable[[], None]) -> None:
        """Work on the run; where it fails it stops, and all pages get the reason."""
        try:
            await self.alone(work)
            self.wrong = None
        except Exception as error:  # a model's own functions may raise anything
            self.wrong, self.playing = printable(str(error) or repr(error)), False
        self._notify()

    def _start_clock(self) -> None:
        if self.playing and (self._clock is None or self._clock.done()):
            self._clock = asyncio.create_task(self._play())

    async def _play(self) -> None:
        while self.playing and self._watching:
            began = time.monotonic()
            await self._do(self._block)
            due = began + self._length / self.speed
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _block(self) -> None:
        """The next block, unless it was paused meanwhile."""
        steps = self.run.block(self.speed * _FRAME / self.run.dt)
        self._length = steps * self.run.dt
        if self.playing:
            self.run.advance(steps)

    def _step(self) -> None:
        self.run.advance(1)

    def _notify(self) -> None:
        for page in self._watching:
            page.set()


class BroadcastSession:
    """The session of a page that watches a run: it gets what is new, and its requests apply."""

    def __init__(self, socket: WebSocket, shared: SharedRun) -> None:
        self._socket, self._shared = socket, shared
        self._news, self._number = asyncio.Event(), 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Greet the page, send what is new and apply its requests until it leaves."""
        await self._socket.accept()
        await self._socket.send_bytes(run_greeting(self._shared.run))
        self._shared.join(self._news)
        self._start(self._report())
        try:
            async for text in messages(self._socket):
                self._start(self._apply(text))
        finally:
            self._shared.leave(self._news)
            for task in self._tasks:
                task.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _report(self) -> None:
        """Send what is new as soon as the page has taken what was new before."""
        shared, resets, step = self._shared, -1, 0
        while True:
            await self._news.wait()
            self._news.clear()
            now = shared.run.seen
            state = {"playing": shared.playing, "speed": shared.speed, "wrong": shared.wrong}
            message = update_message(shared.run, now, resets, step, number=self._number, **state)
            resets, step = now.resets, now.step
            try:
                await self._socket.send_bytes(message)
            except (WebSocketDisconnect, RuntimeError):
                return

    async def _apply(self, text: str | bytes) -> None:
        try:
            number, request = run_request_from(text, self._shared.run)
            self._number = max(self._number, number)
            await self._shared.apply(request)
            if request.curves is not None:
                work = partial(curves_message, self._shared.run, request.curves)
                await self._socket.send_bytes(await self._shared.alone(work))
        except WebSocketDisconnect:
            return
        except Exception as error:  # a model's own functions may raise anything
            await send_error(self._socket, error)
