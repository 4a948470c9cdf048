"""Talks with pages: about a subject with each alone, and with all that watch one run."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from starlette.websockets import WebSocket, WebSocketDisconnect

from spikewright.errors import printable
from spikewright.explorer.answers import Stopped, advised, curve, facts, look, measured
from spikewright.explorer.live import LiveRun, Request, curves, news, request_of, run_facts
from spikewright.explorer.message import messages, refuse
from spikewright.explorer.subject import Subject
from spikewright.explorer.wish import wish_of

_PAUSE = 0.15  # seconds without a new wish before the data is measured


class Talk:
    """Answers the wishes that come over a socket, the latest one alone."""

    def __init__(self, socket: WebSocket, subject: Subject) -> None:
        self._socket, self._subject = socket, subject
        self._stop = threading.Event()
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Greet the page, and answer until it leaves."""
        await self._socket.accept()
        await self._socket.send_bytes(facts(self._subject))
        try:
            async for text in messages(self._socket):
                self._give_up()
                self._task = asyncio.create_task(self._answer(text, self._stop))
        finally:
            self._give_up()

    def _give_up(self) -> None:
        """Stop the work in progress: what a thread still computes is thrown away."""
        self._stop.set()
        self._stop = threading.Event()
        if self._task is not None:
            self._task.cancel()

    async def _answer(self, text: str | bytes, stop: threading.Event) -> None:
        """The sample at once; then, if no other wish came, the data and the curve."""
        number = None
        try:
            number, wish = wish_of(text)
            await self._socket.send_bytes(
                await asyncio.to_thread(look, self._subject, number, wish)
            )
            await asyncio.sleep(_PAUSE)
            for stages in (measured, curve, advised):
                await self._stages(number, stages(self._subject, wish, stop.is_set))
            await self._socket.send_json({"kind": "done", "number": number})
        except (Stopped, WebSocketDisconnect):
            return
        except Exception as error:  # layers and rules of the user's own may raise anything
            await refuse(self._socket, error, number=number)

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
        self._wind()

    def leave(self, page: asyncio.Event) -> None:
        """A page watches no longer."""
        self._watching.discard(page)

    async def follow(self, request: Request) -> None:
        """Do what a request asks for."""
        self.playing = self.playing if request.playing is None else request.playing
        self.speed = self.speed if request.speed is None else request.speed
        if request.values is not None:
            before = enumerate(self.run.values)
            self.run.values = [request.values.get(place, values) for place, values in before]
        self._wind()
        self._tell()
        if request.act is not None:
            self.playing = False
            await self._do(self.run.reset if request.act == "reset" else self._step)

    async def alone(self, work: Callable[[], _Found]) -> _Found:
        """The result of some work with the simulator, which nothing else uses meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _do(self, work: Callable[[], None]) -> None:
        """Work on the run; where it fails all pages are told why, and it stands still."""
        try:
            await self.alone(work)
            self.wrong = None
        except Exception as error:  # a model's own functions may raise anything
            self.wrong, self.playing = printable(str(error) or repr(error)), False
        self._tell()

    def _wind(self) -> None:
        if self.playing and (self._clock is None or self._clock.done()):
            self._clock = asyncio.create_task(self._play())

    async def _play(self) -> None:
        while self.playing and self._watching:
            began = time.monotonic()
            await self._do(self._block)
            due = began + self._length / self.speed
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _block(self) -> None:
        """The next block, unless it stands still by now."""
        steps = self.run.block(self.speed * _FRAME / self.run.dt)
        self._length = steps * self.run.dt
        if self.playing:
            self.run.advance(steps)

    def _step(self) -> None:
        self.run.advance(1)

    def _tell(self) -> None:
        for page in self._watching:
            page.set()


class Watch:
    """One page that watches a run: it is told what is new, and what it asks for is done."""

    def __init__(self, socket: WebSocket, shared: SharedRun) -> None:
        self._socket, self._shared = socket, shared
        self._news, self._number = asyncio.Event(), 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Greet the page, tell it what is new and do what it asks for until it leaves."""
        await self._socket.accept()
        await self._socket.send_bytes(run_facts(self._shared.run))
        self._shared.join(self._news)
        self._start(self._report())
        try:
            async for text in messages(self._socket):
                self._start(self._follow(text))
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
        shared, begun, step = self._shared, -1, 0
        while True:
            await self._news.wait()
            self._news.clear()
            now = shared.run.seen
            state = {"playing": shared.playing, "speed": shared.speed, "wrong": shared.wrong}
            message = news(shared.run, now, begun, step, number=self._number, **state)
            begun, step = now.begun, now.step
            try:
                await self._socket.send_bytes(message)
            except (WebSocketDisconnect, RuntimeError):
                return

    async def _follow(self, text: str | bytes) -> None:
        try:
            number, request = request_of(text, self._shared.run)
            self._number = max(self._number, number)
            await self._shared.follow(request)
            if request.curves is not None:
                work = partial(curves, self._shared.run, request.curves)
                await self._socket.send_bytes(await self._shared.alone(work))
        except WebSocketDisconnect:
            return
        except Exception as error:  # a model's own functions may raise anything
            await refuse(self._socket, error)
