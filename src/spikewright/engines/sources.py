"""The values of nodes without input, and checked calls of Python functions, for every engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.kernel import Array, EngineArrays, Kernel
from spikewright.engines.operators import NodeSource
from spikewright.engines.replay import reject
from spikewright.errors import SimulationError
from spikewright.network import Node
from spikewright.network.node import shares_at_once
from spikewright.network.shapes import Shape, as_value

Given = NDArray | Callable[..., Any] | None
"""What replaces a node's output: fed values, or a function of time; None: the output itself."""


def constant_value(node: Node, given: Given) -> NDArray | None:
    """The value `(batch or 1, 1, *shape)` of a source that is constant during a run, else None."""
    if node.at_once > 1 or node.once:
        return None
    if isinstance(given, np.ndarray):
        return given if given.shape[1] == 1 else None
    changes = given is not None or callable(node.output)
    return None if changes else np.asarray(node.output)[None, None]


class SourceKernel(Kernel):
    """A source of one run, whose steps are counted from its start; `first` steps came before it."""

    def __init__(
        self, op: NodeSource, dt: float, given: Given, first: int, arrays: EngineArrays
    ) -> None:
        self._op, self._dt, self._given, self._first = op, dt, given, first
        self._arrays, constant = arrays, constant_value(op.node, given)
        self._constant = None if constant is None else arrays.as_array(constant)
        self.stateless = constant is not None

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        if self.stateless:
            return [self._constant]
        first = self._first + step
        block = source_block(self._op, self._given, step, first, steps, self._dt)
        return [self._arrays.as_array(block)]


def source_block(
    op: NodeSource, given: Given, start: int, step: int, count: int, dt: float
) -> NDArray:
    """The values `(batch or 1, count, *shape)` of a source that is not constant.

    `start` counts steps within the run (the index into fed values), `step` those of the whole
    simulation; the first step's time is `dt`.
    """
    node, now = op.node, None
    if isinstance(given, np.ndarray):
        now = given if given.shape[1] == 1 else given[:, start : start + count]
    if node.at_once > 1 or node.once:
        held = np.asarray(node.output)[None, None] if now is None else _at_once(op, given, now)
        shares = shares_at_once(node.at_once, step, count, node.once, op.repeats)
        return held * shares.reshape(-1, *[1] * (held.ndim - 2))
    if now is not None:
        return now
    times = [((step + i) * dt,) for i in range(1, count + 1)]
    function = given if callable(given) else _function(node)
    return call_all(function, f"{node!r}", "function", node.shape_out, times)[None]


def _at_once(op: NodeSource, given: Any, now: NDArray) -> NDArray:
    """Fed values of the present steps; raises for a source that sends all in its first step."""
    if given.shape[1] != 1 and op.repeats is None:
        raise SimulationError(
            f"{op.node!r} takes what is held, since all of {op.node.at_once} steps comes at once, "
            f"got values for {given.shape[1]} steps: give samples without steps, or convert with "
            "neurons without spike_heights"
        )
    return now


def write_value(node: Node, function: Callable[..., Any], to: NDArray, time: float) -> None:
    """Call a source's function for a time in seconds, and write its value into an array."""
    try:
        returned = function(time)
    except Exception as error:
        raise call_error(f"{node!r}", "function", time, error) from error
    if isinstance(returned, float) and to.shape == (1,) and math.isfinite(returned):
        to[0] = returned
        return
    try:
        to[...] = checked_value(returned, f"{node!r}", "function", node.shape_out, time)
    except SimulationError as error:
        reject(function, 1, error)
        raise


@contextmanager
def naming_errors(node: Node) -> Iterator[None]:
    """A context in which the errors of a node function name the node."""
    try:
        yield
    except ValueError as error:
        raise SimulationError(f"{node!r}: {error}") from None


def _function(node: Node) -> Callable[..., Any]:
    if not callable(node.output):
        raise SimulationError(f"{node!r} has no function to call")
    return node.output


def call_all(
    function: Callable[..., Any],
    label: str,
    what: str,
    shape: Shape,
    arguments: Sequence[tuple[Any, ...]],
) -> NDArray:
    """The checked values of calls in order, `(calls, *shape)`, checked together if possible."""
    returned: list[Any] = []
    whole = (len(arguments), *shape)
    values, plain = np.empty(whole), True  # plain: of this type and shape, all of them
    for i, given in enumerate(arguments):
        try:
            value = function(*given)
        except Exception as error:
            raise call_error(label, what, given[0], error) from error
        # A function may return the same array again and again.
        if isinstance(value, np.ndarray) and value.dtype == values.dtype and value.shape == shape:
            values[i] = value
            returned.append(values[i])
        else:
            plain = False
            returned.append(np.array(value) if isinstance(value, np.ndarray) else value)
    try:
        values = values if plain else np.asarray(returned, np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    alike = values.shape == whole or (shape == (1,) and values.shape == whole[:1])
    if alike and np.isfinite(values).all():
        return values.reshape(whole)
    checked = []
    for value, given in zip(returned, arguments, strict=True):
        try:
            checked.append(checked_value(value, label, what, shape, given[0]))
        except SimulationError as error:
            reject(function, len(arguments) - len(checked), error)
            raise
    return np.stack(checked)


def checked_value(returned: Any, label: str, what: str, shape: Shape, time: float) -> NDArray:
    """The value that a function returned for a time in seconds.

    Raises `SimulationError` naming the object unless the value is finite and of this shape.
    """
    try:
        value = as_value(returned)
    except (TypeError, ValueError) as error:
        raise call_error(label, what, time, error) from error
    if value.shape != shape:
        raise SimulationError(
            f"{label}: its {what} returned shape {value.shape} at t = {time:g} s, expected {shape}"
        )
    if not np.isfinite(value).all():
        raise SimulationError(f"{label}: its {what} returned NaN or infinity at t = {time:g} s")
    return value


def call_error(label: str, what: str, time: float, error: Exception) -> SimulationError:
    """The `SimulationError` for an error that a function raised."""
    return SimulationError(
        f"{label}: its {what} failed at t = {time:g} s ({type(error).__name__}: {error})"
    )
