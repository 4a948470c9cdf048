"""Nodes: sources of values, functions of time and input, junctions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright.errors import NetworkError
from spikewright.network.attributes import Checked
from spikewright.network.config import configurable
from spikewright.network.functions import NodeFunction
from spikewright.network.network import container
from spikewright.network.processes import Process
from spikewright.network.shapes import (
    Shape,
    as_label,
    as_period,
    as_shape,
    as_value,
    count,
    finite,
)
from spikewright.network.view import ObjView


def shares_at_once(
    at_once: float, start: int, count: int, once: bool = False, every: int | None = None
) -> NDArray:
    """Factors by which a held value arrives in the `count` steps behind step `start`, `(count,)`.

    `at_once` in the first step of all, 0 in the others up to step `at_once`, and 1 afterwards, or
    with `once` 0. It begins anew after `every` so many steps.
    """
    numbers = np.arange(start, start + count) % (every or start + count + 1)
    first = np.where(numbers == 0, float(at_once), 0.0)
    return first if once else np.where(numbers < at_once, first, 1.0)


@configurable
class Node(Checked):
    """A source of values, a function of time and input, or a plain junction.

    `output` is None (passes its input on), an array (constant; values fed by a simulator replace
    it), a `NodeFunction`, a `Process`, or a callable `f(t)` or `f(t, x)` with `t` in seconds and
    `x` the input of one sample. `size_in` and `size_out` are numbers or shapes; `size_out` is found
    by one call at `t = 0` where it is not given. A function that returns None has an output of size
    0. A number is a constant of shape `(1,)`, or `()` if a size says so. A constant with a
    `size_in`, its own shape, is a default: where connections lead to the node
    it passes on their sum instead, as the input of a converted network does. A `NodeFunction` of
    running means begins anew after every `restart_every` steps (None: never), and a constant that
    comes once comes again. A junction that restarts is a state between rows of signed digits: what
    arrives with a delay was sent in the row before (`sequence_step` of `convert`).

    What a constant, or values held for it, would give in the first `at_once` steps of a simulation
    comes in the first of them, and nothing in the others; then it is held. So the sum is the same
    from that step on. With `once` nothing comes after them either. Of a `NodeFunction` with
    `accumulate` it says that its inputs come so: in place of running means it takes the sum of what
    has come so far, over `at_once` steps.

    `stateless` says of a function that its result depends on its arguments alone. Functions that
    are not known to be so may share something, so that two or more of them are called in turn,
    step by step.
    """

    def __init__(
        self,
        output: ArrayLike | Callable[..., Any] | NodeFunction | Process | None = None,
        size_in: int | tuple[int, ...] | None = None,
        size_out: int | tuple[int, ...] | None = None,
        label: str | None = None,
        *,
        restart_every: int | None = None,
        at_once: int = 1,
        once: bool = False,
        stateless: bool = False,
    ) -> None:
        self.label = as_label(label, "Node")
        self.stateless = self._as_stateless(stateless, output)
        self.at_once: float = count(at_once, f"{self!r}: at_once")
        self.once = self._as_truth("once", once)
        self.restart_every = as_period(restart_every, f"{self!r}")
        where = f"{self!r}: size_"
        self.shape_in: Shape = (0,) if size_in is None else as_shape(size_in, f"{where}in")
        self.output: NDArray | Callable[..., Any] | NodeFunction | Process | None
        if output is None:
            self.output = None
            if math.prod(self.shape_in) == 0:
                raise NetworkError(f"{self!r}: give an output, or size_in= for a junction")
            if size_out is not None and as_shape(size_out, f"{where}out") != self.shape_in:
                raise NetworkError(
                    f"{self!r}: a node without output passes its input on unchanged, so size_out "
                    f"is size_in = {self.shape_in}, got {size_out!r}"
                )
            self.shape_out = self.shape_in
        elif isinstance(output, Process):
            self.output = output
            if size_in is None and output.default_size_in > 0:
                self.shape_in = (output.default_size_in,)
            self.shape_out = as_shape(
                output.default_size_out if size_out is None else size_out, f"{where}out"
            )
            self._check_process(output)
        elif isinstance(output, NodeFunction):
            self.output = output
            self.shape_out = output.output_shape(self.shape_in)
        elif isinstance(output, type) and issubclass(output, Process | NodeFunction):
            raise NetworkError(f"{self!r}: its output is a class; make one: {output.__name__}(...)")
        elif callable(output):
            self.output = output
            self.shape_out = self._call_once(output, size_out)
        else:
            self.output = self._constant(output, size_out)
            self.shape_out = self.output.shape
        if (self.at_once > 1 or self.once) and not self._takes_once():
            raise NetworkError(
                f"{self!r}: at_once and once are for constants, and once for node functions with "
                f"accumulate=True, got {output!r}"
            )
        container("Node").nodes.append(self)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "output" and self._made and isinstance(self.output, np.ndarray):
            other = value is None or callable(value) or isinstance(value, Process | NodeFunction)
            value = value if other else self._replacing(value)
        super().__setattr__(name, value)

    def _takes_once(self) -> bool:
        output = self.output
        if isinstance(output, NodeFunction):
            return output.accumulate and self.once
        return isinstance(output, np.ndarray)

    def _replacing(self, output: Any) -> NDArray:
        """Another constant in the place of the present one; raises `NetworkError` for others."""
        value = finite(output, f"{self!r}: its constant output", truth_values=True)
        if self.shape_out != ():
            value = np.atleast_1d(value)
        if value.shape != self.shape_out:
            raise NetworkError(
                f"{self!r}: its constant output has shape {self.shape_out}, got {value.shape}; "
                "values of several samples, or of several steps, are fed to a run"
            )
        return value

    def _as_stateless(self, stateless: Any, output: Any) -> bool:
        stateless = self._as_truth("stateless", stateless)
        if stateless and (not callable(output) or isinstance(output, Process | NodeFunction)):
            raise NetworkError(f"{self!r}: stateless is for Python functions, got {output!r}")
        return stateless

    def _as_truth(self, name: str, value: Any) -> bool:
        if not isinstance(value, bool | np.bool_):
            raise NetworkError(f"{self!r}: {name} is True or False, got {value!r}")
        return bool(value)

    def _check_process(self, process: Process) -> None:
        try:
            process.check_shapes(self.shape_in, self.shape_out)
        except NetworkError as error:
            raise NetworkError(f"{self!r}: {error}") from None

    def _constant(self, output: ArrayLike, size_out: Any) -> NDArray:
        value = finite(output, f"{self!r}: its constant output", truth_values=True)
        wanted = None if size_out is None else as_shape(size_out, f"{self!r}: size_out")
        if () not in (self.shape_in, wanted):
            value = np.atleast_1d(value)
        if wanted not in (None, value.shape):
            raise NetworkError(
                f"{self!r}: its constant output has shape {value.shape}, got size_out={size_out!r}"
            )
        if self.shape_in not in ((0,), value.shape):
            raise NetworkError(
                f"{self!r}: a constant node takes no input, or input of its own shape in its "
                f"place: size_in is {value.shape}, got {self.shape_in}"
            )
        return value

    def _call_once(self, function: Callable[..., Any], size_out: Any) -> Shape:
        if size_out is not None:
            return as_shape(size_out, f"{self!r}: size_out")
        arguments = (0.0,) if self.shape_in == (0,) else (0.0, np.zeros(self.shape_in))
        try:
            return as_value(function(*arguments)).shape
        except Exception as error:
            raise NetworkError(
                f"{self!r}: its function failed at t = 0 ({type(error).__name__}: {error}); "
                "give size_out= if it cannot be called there"
            ) from error

    @property
    def size_in(self) -> int:
        """Number of input values."""
        return math.prod(self.shape_in)

    @property
    def size_out(self) -> int:
        """Number of output values."""
        return math.prod(self.shape_out)

    def __getitem__(self, key: Any) -> ObjView:
        return ObjView(self, key)

    def __repr__(self) -> str:
        return f"<Node {self.label!r}>" if self.label else f"<Node at {id(self):#x}>"
