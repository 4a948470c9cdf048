"""The threads or processes of a `concurrent.futures.Executor`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from spikewright.executors.base import Executor, Function

if TYPE_CHECKING:
    from concurrent.futures import Future


class Pool(Executor):
    """Any object whose `submit(function, *arguments)` gives a `concurrent.futures.Future`.

    `shared` is handed over with every task. A process that dies ends the work, as it does with the
    executors of the standard library.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._ahead = 2 * (os.cpu_count() or 1)

    def completed(self, function: Function, shared: Any, tasks: Iterable[Any]) -> Iterator[Any]:
        from concurrent.futures import FIRST_COMPLETED, wait  # late: it takes a while to import

        waiting = iter(tasks)

        def submitted(count: int) -> set[Future[Any]]:
            drawn = islice(waiting, count)
            return {self._pool.submit(function, shared, task, None) for task in drawn}

        running = submitted(self._ahead)
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
                running |= submitted(self._ahead - len(running))
        finally:
            for future in running:
                future.cancel()
