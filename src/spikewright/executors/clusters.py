"""The workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from typing import Any

from spikewright._base.optional import require
from spikewright._base.process import MOST_THREADS
from spikewright.errors import SimulationError, short_name
from spikewright.executors.base import Executor, Function

_AHEAD = 2  # tasks a thread of the cluster, so that none waits for the next
_QUIET = {"distributed.admin.large-graph-warning-threshold": "1 TiB"}
"""Tasks hold their data, which Dask warns of: it is what makes them independent of a worker."""


_EXAMPLE = "tcp://10.0.0.5:8786"


@contextmanager
def connecting(address: Any) -> Iterator[None]:
    """Errors in reaching a cluster as `SimulationError`s that name its address."""
    if address is not None and not (isinstance(address, str) and address.isprintable()):
        raise SimulationError(
            f"address={short_name(repr(address))} is no address of a Dask cluster. Give a text "
            f'such as "{_EXAMPLE}"'
        )
    try:
        yield
    except Exception as error:  # whatever names, sockets and protocols raise
        where = "on this machine" if address is None else f"at address={short_name(repr(address))}"
        raise SimulationError(
            f"no Dask cluster can be reached {where} ({type(error).__name__}: "
            f"{short_name(str(error))}). Give the address that it printed when it began, such as "
            f'"{_EXAMPLE}"'
        ) from error


class Dask(Executor):
    """A Dask cluster by the address of its scheduler, or by a client of it.

    Without either Dask starts workers on this machine. The scheduler keeps the data of tasks until
    they are done, so that a task whose worker is lost is done again by another.
    """

    def __init__(self, address: str | None = None, client: Any = None) -> None:
        self._dask, self._distributed = require("dask"), require("distributed")
        self._address, self._given = address, client

    def _client(self) -> AbstractContextManager[Any]:
        if self._given is not None:
            return nullcontext(self._given)
        with connecting(self._address):
            client: AbstractContextManager[Any] = self._distributed.Client(
                self._address, set_as_default=False
            )
        return client

    def completed(self, function: Function, shared: Any, tasks: Iterable[Any]) -> Iterator[Any]:
        waiting = iter(tasks)
        pending: set[Any] = set()
        with self._client() as client, self._dask.config.set(_QUIET):
            held = client.submit(_itself, shared, pure=False)  # made again where it is lost
            results = self._distributed.as_completed(loop=client.loop, with_results=True)

            def submit() -> None:
                room = _AHEAD * max(1, sum(client.nthreads().values())) - len(pending)
                for task in islice(waiting, max(0, room)):
                    future = client.submit(_on_worker, function, held, task, pure=False)
                    pending.add(future)
                    results.add(future)

            submit()
            try:
                for future, result in results:
                    pending.discard(future)
                    yield result
                    submit()
            except self._distributed.KilledWorker as error:
                raise SimulationError(
                    "one piece of the work stopped every worker that it was given to, perhaps for "
                    f"want of memory; a smaller batch_size= takes less ({error})"
                ) from error
            finally:
                client.cancel(list(pending))


def is_dask_client(item: Any) -> bool:
    """Whether a user gave a client of Dask; does not import it."""
    return any(
        cls.__module__.partition(".")[0] == "distributed" and cls.__name__ == "Client"
        for cls in type(item).__mro__
    )


def _itself(shared: Any) -> Any:
    return shared


def _on_worker(function: Function, shared: Any, task: Any) -> Any:
    """Do a task with as many threads as the worker was given."""
    worker = require("distributed").get_worker()
    return function(shared, task, min(worker.state.nthreads, MOST_THREADS))
