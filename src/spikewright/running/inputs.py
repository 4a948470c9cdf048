"""Inputs of a run as users give them: arrays by input name, of one batch size, and steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_whole, readable
from spikewright._base.samples import Structure, check_rows, duration, held_constant, over_time
from spikewright.errors import SimulationError
from spikewright.graph import Graph
from spikewright.network import Node
from spikewright.network.shapes import as_real


def as_named(x: Any, structure: Structure) -> dict[str, Any]:
    """Input by input name; raises `SimulationError` where inputs are missing or unknown."""
    try:
        return structure.named(x)
    except ValueError as error:
        raise SimulationError(str(error)) from None


def as_arrays(x: Any, structure: Structure) -> dict[str, NDArray]:
    """`{input name: float64 array}` of a user's input; any framework's tensors do.

    Raises `SimulationError` where it is not all inputs, where values are not finite numbers, and
    for numbers of rows that a table does not have.
    """
    arrays = {name: as_array(name, value) for name, value in as_named(x, structure).items()}
    check_numbers(arrays, structure)
    return arrays


def as_array(name: str, value: Any) -> NDArray:
    """A float64 array of the values given for an input; raises `SimulationError` as `as_arrays`."""
    try:
        array = as_real(readable(value))
    except (TypeError, ValueError) as error:
        raise SimulationError(f"input {name!r} is not an array of numbers: {error}") from None
    if not np.all(np.isfinite(array)):
        raise SimulationError(f"input {name!r} holds NaN or infinity")
    return array


def check_numbers(given: Mapping[str, Any], structure: Structure) -> None:
    """Raise `SimulationError` for numbers of rows that a table does not have.

    It names input, sample and value. Only inputs that number rows are looked at.
    """
    for name, rows in structure.rows.items():
        if name in given and name not in structure.lists:
            fitted(name, check_rows, as_array(name, given[name]), rows)


def as_held(x: Any, graph: Graph, purpose: str = "") -> dict[str, NDArray]:
    """`{input name: (batch, *shape)}` of a user's input that is held constant, float64.

    `graph` is the source's; `purpose` says, in the message, why inputs have to be held. Raises
    `SimulationError` as `as_arrays` and `batch_of` do, and for other shapes.
    """
    arrays = as_arrays(x, graph.structure)
    batch_of(arrays)
    return {
        name: fitted(name, held_constant, array, graph.shapes[name], purpose)
        for name, array in arrays.items()
    }


def fitted(name: str, arrange: Callable[..., Any], *arguments: Any) -> Any:
    """An input's array as `arrange` gives it; its `ValueError` becomes a `SimulationError`."""
    try:
        return arrange(*arguments)
    except ValueError as error:
        raise SimulationError(f"input {name!r} {error}") from None


def batch_of(arrays: Mapping[str, Any]) -> int:
    """The batch size that all inputs share; raises `SimulationError` for several, and for none."""
    sizes = {len(array) if getattr(array, "ndim", 1) else 0 for array in arrays.values()}
    if len(sizes) > 1:
        raise SimulationError(f"inputs have different batch sizes: {sorted(sizes)}")
    (size,) = sizes
    if size == 0:
        raise SimulationError("the input holds no samples: give at least one, batch axis first")
    return size


def check_steps(steps: Any) -> None:
    """Raise `SimulationError` unless a number of steps is None or a whole number from 1."""
    if steps is not None and not (is_whole(steps) and steps >= 1):
        raise SimulationError(f"steps must be a whole number above 0, got {steps!r}")


def as_feeds(
    arrays: Mapping[str, NDArray], inputs: Mapping[str, Node], steps: int | None
) -> tuple[dict[Node, NDArray], int]:
    """Inputs as `{node: (batch, steps or 1, *shape)}`, and the number of steps.

    Raises `SimulationError` for shapes that do not fit, and where no number of steps follows.
    """
    shapes = {name: node.shape_out for name, node in inputs.items()}
    if steps is None:
        lasting = (duration(arrays[name], shape) for name, shape in shapes.items())
        steps = max((found for found in lasting if found is not None), default=None)
    feeds = {
        node: fitted(name, over_time, arrays[name], shapes[name], steps)
        for name, node in inputs.items()
    }
    if not steps:
        raise SimulationError(
            f"give a number of steps above 0 for input that is held constant, got steps={steps!r}"
        )
    return feeds, steps
