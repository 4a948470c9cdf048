"""Executors: places where independent pieces of work are done, one file each.

=====================  ====================================================  ======================
executor               place                                                 `address`
=====================  ====================================================  ======================
`"local"`              here, one piece after the other: the default          -
`"dask"`               on the workers of a Dask cluster                      of its scheduler
`"ray"`                on the nodes of a Ray cluster                         of its head
a `dask` `Client`      on the workers of its cluster                         -
a `futures.Executor`   in its threads or processes                           -
an `Executor`          wherever your own class of it does them               -
=====================  ====================================================  ======================

They schedule, and repeat work that was lost with a worker.
"""

from __future__ import annotations

from typing import Any

from spikewright.errors import SimulationError
from spikewright.executors.base import Executor, Function
from spikewright.executors.dask import Dask, is_dask_client
from spikewright.executors.local import Local
from spikewright.executors.pool import Pool
from spikewright.executors.ray import Ray

__all__ = ["Executor", "Function", "get"]


def get(executor: Any, address: str | None = None) -> Executor:
    """The executor that a user names or gives.

    Raises `SimulationError` for other values, and for an address where none is needed, and
    `MissingExtraError` for one that is not installed.
    """
    if isinstance(executor, str) and executor in ("dask", "ray"):
        return Dask(address) if executor == "dask" else Ray(address)
    if address is not None:
        raise SimulationError(f'address={address!r} is for executor "dask" or "ray"')
    if isinstance(executor, Executor):
        return executor
    if isinstance(executor, str) and executor == "local":
        return Local()
    if is_dask_client(executor):
        return Dask(client=executor)
    if callable(getattr(executor, "submit", None)):
        return Pool(executor)
    raise SimulationError(
        'executor must be "local", "dask", "ray", a dask.distributed.Client or a '
        f"concurrent.futures.Executor, got {executor!r}"
    )
