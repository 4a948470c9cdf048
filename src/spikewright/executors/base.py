"""The base class of executors, this process and pools, and the options that name an executor."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from spikewright._base.options import Option

Function = Callable[[Any, Any, int | None], Any]
"""`function(shared, task, threads)`; `threads` is its share of the machine, or None for all."""


class Executor(ABC):
    """Does independent tasks somewhere.

    `remote` executors hand functions, tasks and results to other processes: functions must belong
    to a module, and tasks and results must be data.
    """

    remote = True

    @abstractmethod
    def completed(self, function: Function, shared: Any, tasks: Iterable[Any]) -> Iterator[Any]:
        """Results of `function(shared, task, threads)`, each as soon as it is there.

        `shared` goes to every worker once where the executor can do so; tasks are drawn as workers
        become free, so that there may be any number of them. An exception of a task is raised here,
        and ends the work.
        """


class PlaceOptions(TypedDict, total=False):
    """The executor of work in pieces, and its address."""

    executor: Annotated[Any, Option("local", "Work in this process, or on Dask.")]
    address: Annotated[
        str | None,
        Option(None, "Address of the cluster's scheduler (default: workers on this machine)."),
    ]


class KeptOptions(PlaceOptions, total=False):
    """The executor, and the folder of finished pieces."""

    checkpoint: Annotated[
        str | Path | None,
        Option(None, "Save finished parts in this folder and continue from them the next time."),
    ]


class Local(Executor):
    """This process."""

    remote = False

    def completed(self, function: Function, shared: Any, tasks: Iterable[Any]) -> Iterator[Any]:
        for task in tasks:
            yield function(shared, task, None)


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
