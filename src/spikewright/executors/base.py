"""The base class of executors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from spikewright.errors import SimulationError, short_name

Function = Callable[[Any, Any, int | None], Any]
"""`function(shared, task, threads)`; `threads` is its share of the machine, or None for all."""


@contextmanager
def connecting(cluster: str, address: Any, example: str) -> Iterator[None]:
    """Errors in reaching a cluster as `SimulationError`s that name its address."""
    if address is not None and not (isinstance(address, str) and address.isprintable()):
        raise SimulationError(
            f"address={short_name(repr(address))} is no address of a {cluster} cluster. Give a "
            f'text such as "{example}"'
        )
    try:
        yield
    except Exception as error:  # whatever names, sockets and protocols raise
        where = "on this machine" if address is None else f"at address={short_name(repr(address))}"
        raise SimulationError(
            f"no {cluster} cluster can be reached {where} ({type(error).__name__}: "
            f"{short_name(str(error))}). Give the address that it printed when it began, such as "
            f'"{example}"'
        ) from error


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
