"""Networks that are pickled: functions that cannot be, and what others leave behind."""

from __future__ import annotations

import pickle
import types
import warnings
from collections.abc import Iterator
from typing import Any

from spikewright._base.process import outside
from spikewright.engines.python_steps import pure
from spikewright.errors import SimulationError
from spikewright.network import Network, Node


def check_pickled(network: Network) -> None:
    """Raise `SimulationError` naming an object of the network with a function that has no pickle.

    Warns of functions of nodes that keep something outside themselves: they are pickled by name.
    """
    for owner, name, function in _functions(network):
        try:
            pickle.dumps(function)
        except Exception as error:
            raise SimulationError(
                f"{owner!r}: its {name} cannot be pickled ({type(error).__name__}: {error}). Give "
                "a function of a module, or an object of a class of a module"
            ) from error
        by_name = isinstance(function, types.FunctionType)
        if by_name and isinstance(owner, Node) and not (owner.stateless or pure(function)):
            warnings.warn(
                f"{owner!r}: its function is pickled by name, without what it keeps outside "
                "itself; keep that in an object whose method is the function",
                stacklevel=outside(),
            )


def _functions(network: Network) -> Iterator[tuple[Any, str, Any]]:
    """The functions of a network's objects: object, attribute, function."""
    objects = (*network.all_nodes, *network.all_ensembles, *network.all_connections)
    for owner in objects:
        for name, value in vars(owner).items():
            if callable(value) and not isinstance(value, type):
                yield owner, "function" if name == "output" else name.lstrip("_"), value
