"""Inputs of a run as users give them: arrays by input name, of one batch size, and steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_whole
from spikewright._base.arrays import readable
from spikewright._base.structure import Structure
from spikewright.errors import SimulationError
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

    Raises `SimulationError` where it is not all inputs, or values are not finite numbers.
    """
    return {name: as_array(name, value) for name, value in as_named(x, structure).items()}


def as_array(name: str, value: Any) -> NDArray:
    """A float64 array of the values given for an input; raises `SimulationError` as `as_arrays`."""
    try:
        array = as_real(readable(value))
    except (TypeError, ValueError) as error:
        raise SimulationError(f"input {name!r} is not an array of numbers: {error}") from None
    if not np.all(np.isfinite(array)):
        raise SimulationError(f"input {name!r} holds NaN or infinity")
    return array


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
    feeds: dict[Node, NDArray] = {}
    for name, node in inputs.items():
        array = arrays[name]
        held = array.shape[1:] == node.shape_out
        if not held and (array.ndim < 2 or array.shape[2:] != node.shape_out):
            shape = ", ".join(map(str, node.shape_out))
            raise SimulationError(
                f"input {name!r} must be (batch, {shape}) held constant or "
                f"(batch, steps, {shape}), got shape {array.shape}"
            )
        if not held:
            steps = array.shape[1] if steps is None else steps
            if array.shape[1] != steps:
                raise SimulationError(f"input {name!r} has {array.shape[1]} steps, the run {steps}")
        feeds[node] = array[:, None] if held else array
    if not steps:
        raise SimulationError(
            f"give a number of steps above 0 for input that is held constant, got steps={steps!r}"
        )
    return feeds, steps
