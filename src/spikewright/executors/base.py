"""The base class of executors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any

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
