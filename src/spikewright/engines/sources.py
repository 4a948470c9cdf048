"""What nodes without input, and Python callables, give: the same for every engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.base import Array, Kernel
from spikewright.engines.program import Generate, Program
from spikewright.errors import BuildError, NetworkError, SimulationError
from spikewright.network import Node
from spikewright.network.node import as_value
from spikewright.network.processes import Step
from spikewright.network.shapes import Shape


def constant_value(node: Node, fed: NDArray | None) -> NDArray | None:
    """`(batch or 1, 1, *shape)` where a source does not change during a run, else None."""
    if fed is not None:
        return fed if fed.shape[1] == 1 else None
    return None if callable(node.output) else np.asarray(node.output)[None, None]


def source_block(
    node: Node, fed: NDArray | None, start: int, step: int, count: int, dt: float
) -> NDArray:
    """A changing source's values `(batch or 1, count, *shape)`.

    `start` counts steps within the run (what is fed is indexed by it), `step` those of the whole
    simulation; the first step's time is `dt`.
    """
    if fed is not None:
        return fed[:, start : start + count]
    rows = [call(node, (step + i) * dt) for i in range(1, count + 1)]
    return np.stack(rows)[None]


def apply_callable(node: Node, x: NDArray, step: int, dt: float) -> NDArray:
    """A callable node's values for `(batch, steps, *shape_in)`, one call a sample and step."""
    batch, steps = x.shape[:2]
    y = np.empty((batch, steps, *node.shape_out))
    for t in range(steps):
        for b in range(batch):
            y[b, t] = call(node, (step + t + 1) * dt, np.array(x[b, t]))
    return y


def call(node: Node, *arguments: Any) -> NDArray:
    """One call of a node's function; raises `SimulationError` naming the node if it misbehaves."""
    function = node.output
    if not callable(function):
        raise SimulationError(f"{node!r} has no function to call")
    return checked(function, f"{node!r}", "function", node.shape_out, *arguments)


def checked(
    function: Callable[..., Any], label: str, what: str, shape: Shape, *arguments: Any
) -> NDArray:
    """What a function of time (in seconds) returns, of the right shape and finite.

    Raises `SimulationError` naming the object if it misbehaves.
    """
    try:
        value = as_value(function(*arguments))
    except Exception as error:
        raise SimulationError(
            f"{label}: its {what} failed at t = {arguments[0]:g} s "
            f"({type(error).__name__}: {error})"
        ) from error
    if value.shape != shape:
        raise SimulationError(
            f"{label}: its {what} returned shape {value.shape} at t = {arguments[0]:g} s, "
            f"expected {shape}"
        )
    if not np.all(np.isfinite(value)):
        raise SimulationError(
            f"{label}: its {what} returned NaN or infinity at t = {arguments[0]:g} s"
        )
    return value


class ProcessKernel(Kernel):
    """A process: one for all samples, or one a sample where it has an input."""

    def __init__(self, op: Generate, program: Program, batch: int) -> None:
        self._label, self._dt, self._batch = op.label, program.dt, batch
        self._shape = program.shapes[op.output]
        self._steps = [
            self._made(op, program.dt) for _ in range(batch if op.shape_in != (0,) else 1)
        ]

    def _made(self, op: Generate, dt: float) -> Step:
        process, shapes = op.process, (op.shape_in, self._shape)
        rng = np.random.Generator(np.random.Philox(key=np.array(op.key, np.uint64)))
        try:
            return process.make_step(*shapes, dt, rng, process.make_state(*shapes, dt))
        except NetworkError as error:
            raise BuildError(f"{op.label}: {error}") from error

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        values = np.empty((len(self._steps), steps, *self._shape))
        given = [np.broadcast_to(x, (self._batch, steps, *x.shape[2:])) for x in inputs]
        for i in range(steps):
            t = (step + i + 1) * self._dt
            for b, function in enumerate(self._steps):
                values[b, i] = self._value(function, t, [x[b, i] for x in given])
        return [np.broadcast_to(values, (self._batch, *values.shape[1:]))]

    def _value(self, function: Step, t: float, inputs: list[NDArray]) -> NDArray:
        given = [np.array(x) for x in inputs]
        return checked(function, self._label, "process", self._shape, t, *given)
