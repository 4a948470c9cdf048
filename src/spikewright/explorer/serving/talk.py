"""The talk with one page: its latest wish is answered, and work on an older one is given up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from spikewright.explorer.looking import facts, look
from spikewright.explorer.measuring import Stopped, advised, curve, measured
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
