"""Executors: places where independent pieces of work are done.

=====================  ====================================================  ======================
executor               place                                                 `address`
=====================  ====================================================  ======================
`"local"`              here, one piece after the other: the default          -
`"dask"`               on the workers of a Dask cluster                      of its scheduler
a `dask` `Client`      on the workers of its cluster                         -
a `futures.Executor`   in its threads or processes                           -
an `Executor`          wherever your own class of it does them               -
=====================  ====================================================  ======================

They schedule, and repeat work that was lost with a worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from spikewright.errors import SimulationError
from spikewright.executors.base import Executor, Function, Local, Pool
from spikewright.executors.clusters import Dask, is_dask_client

__all__ = ["CLUSTERS", "NAMES", "Executor", "Function", "get"]

CLUSTERS: Mapping[str, Callable[[str | None], Executor]] = MappingProxyType({"dask": Dask})
"""Executors by name, each made from the address of a cluster."""

NAMES = ("local", *CLUSTERS)


def get(executor: Any, address: str | None = None) -> Executor:
    """The executor that a user names or gives.

    Raises `SimulationError` for other values, and for an address where none is needed, and
    `MissingExtraError` for one that is not installed.
    """
    if isinstance(executor, str) and executor in CLUSTERS:
        return CLUSTERS[executor](address)
    if address is not None:
        clusters = " or ".join(f'"{name}"' for name in CLUSTERS)
        raise SimulationError(f"address={address!r} is for executor {clusters}")
    if isinstance(executor, Executor):
        return executor
    if isinstance(executor, str) and executor == "local":
        return Local()
    if is_dask_client(executor):
        return Dask(client=executor)
    if callable(getattr(executor, "submit", None)):
        return Pool(executor)
    names = ", ".join(f'"{name}"' for name in NAMES)
    raise SimulationError(
        f"executor must be {names}, a dask.distributed.Client or a concurrent.futures.Executor, "
        f"got {executor!r}"
    )
