"""Kernels that call Python functions and processes on arrays of NumPy, for every engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.kernel import NUMPY, Array, Call, Kernel, PreparedStep, Setup
from spikewright.engines.operators import Apply, Generate
from spikewright.engines.parameters import generator
from spikewright.engines.python_steps import PythonStep
from spikewright.engines.replay import ReplayedFunction, reject
from spikewright.engines.sources import call_all, call_error, checked_value, naming_errors
from spikewright.errors import BuildError, NetworkError, SimulationError
from spikewright.network import Node, NodeFunction
from spikewright.network.processes import Process, Step
from spikewright.network.python_copies import held_by, holding
from spikewright.network.synapses import Synapse

_FLOAT64 = np.dtype(np.float64)
_NUMBERS = frozenset({float, np.float64})
_FEW = 16  # up to so many values are checked faster one by one


class NodeCaller:
    """Calls a node's function of time, and of its input if it has one, for a batch of samples.

    Every sample has a function of its own where these differ.
    """

    def __init__(self, node: Node, dt: float, batch: int) -> None:
        self._node, self._dt, self._batch = node, dt, batch
        self.python = PythonStep(
            f"{node!r}", "function", lambda: node.output, stateless=node.stateless,
            inputs=node.shape_in != (0,),
        )  # fmt: skip

    def run(self, x: NDArray | None, step: int, steps: int) -> NDArray:
        """Values `(batch, steps, *shape)` after step `step`, for `(batch or 1, steps or 1, ...)`.

        A function of time alone that is the same for all samples is called once for all of them.
        """
        made = np.empty((steps, self._batch, *self._node.shape_out))
        call = self.output_writer([] if x is None else [x], made)
        for t in range(steps):
            call(t, step + t)
        return made.swapaxes(0, 1)

    def output_writer(self, inputs: Sequence[NDArray], made: NDArray) -> Call:
        """A function that writes into `made[t]` the values of the step after a given one.

        `inputs` are `(batch or 1, steps or 1, *shape)` arrays, none or one, which may change
        between calls; `made` is `(steps, batch, *shape)`.
        """
        dt, write, python = self._dt, self._write, self.python
        if not inputs:

            def call_source(t: int, step: int) -> None:
                time = (step + 1) * dt
                alike = python.alike
                for b, function in enumerate(python.called):
                    try:
                        returned = function(time)
                    except Exception as error:
                        raise self._failed(time, error) from error
                    write(made, t, slice(None) if alike else b, returned, time, function)

            return call_source
        samples = range(made.shape[1])
        x = np.broadcast_to(inputs[0], (len(samples), *inputs[0].shape[1:]))
        constant, wide = x.shape[1] == 1, x.dtype == _FLOAT64

        def call(t: int, step: int) -> None:
            time, at, functions = (step + 1) * dt, 0 if constant else t, python.called
            alike = len(functions) == 1
            for b in samples:
                try:
                    given = x[b, at].copy() if wide else x[b, at].astype(_FLOAT64)
                    function = functions[0 if alike else b]
                    returned = function(time, given)
                except Exception as error:
                    raise self._failed(time, error) from error
                write(made, t, b, returned, time, function)

        return call

    def prepare_step(self, inputs: Sequence[NDArray]) -> PreparedStep:
        """Prepare single steps between fixed arrays."""
        return _Steps(self, inputs, np.empty((1, self._batch, *self._node.shape_out)))

    def _write(
        self, made: NDArray, t: int, b: Any, returned: Any, time: float, function: Any
    ) -> None:
        """Check a returned value and write it; the most common types are checked fast."""
        shape, kind = self._node.shape_out, type(returned)
        if kind is np.ndarray and returned.dtype is _FLOAT64 and returned.shape == shape:
            if len(shape) == 1 and shape[0] <= _FEW:
                finite = all(map(isfinite, returned.tolist()))
            else:
                finite = bool(np.isfinite(returned).all())
            if finite:
                made[t, b] = returned
                return
        elif returned is None and shape == (0,):
            return
        elif kind in _NUMBERS and shape == (1,) and isfinite(returned):
            made[t, b, 0] = returned
            return
        try:
            made[t, b] = checked_value(returned, self.python.label, "function", shape, time)
        except SimulationError as error:
            reject(function, 1, error)
            raise

    def _failed(self, time: float, error: Exception) -> Exception:
        return call_error(self.python.label, "function", time, error)


class _Steps(PreparedStep):
    def __init__(self, caller: NodeCaller, inputs: Sequence[NDArray], made: NDArray) -> None:
        self.outputs = [made.swapaxes(0, 1)]
        self._call = caller.output_writer(inputs, made)

    def step(self, number: int) -> Sequence[Array]:
        self._call(0, number)
        return self.outputs


class CallableKernel(Kernel):
    """The kernel of a Python function of time and input, called for each sample and step."""

    def __init__(self, op: Apply, setup: Setup) -> None:
        self._caller, self._arrays = (
            NodeCaller(op.node, setup.program.dt, setup.batch),
            setup.arrays,
        )

    def python_steps(self) -> Iterable[PythonStep]:
        yield self._caller.python

    def output_writer(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> Call | None:
        if not self._arrays.shares_numpy_memory:
            return None
        numpy = self._arrays.numpy
        return self._caller.output_writer([numpy(x) for x in inputs], numpy(outputs[0]))

    def prepare_step(self, inputs: Sequence[Array]) -> PreparedStep | None:
        return self._caller.prepare_step(inputs) if self._arrays is NUMPY else None

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        given = [self._arrays.numpy(x) for x in inputs]
        return [self._arrays.as_array(self._caller.run(given[0] if given else None, step, steps))]


class PresentKernel(Kernel):
    """The kernel of a node function of present values; `xp` are an engine's array functions."""

    stateless = True

    def __init__(self, op: Apply, function: NodeFunction, xp: Any) -> None:
        self._node, self._function, self._xp = op.node, function, xp

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        with naming_errors(self._node), np.errstate(all="ignore"):
            return [self._function.apply(self._xp, inputs[0])]


class ProcessKernel(Kernel):
    """The kernel of a process: one for all samples, or one a sample if it has input or state."""

    def __init__(self, op: Generate, setup: Setup) -> None:
        self._op, self._dt, self._batch = op, setup.program.dt, setup.batch
        self._shape, self._arrays = setup.shape(op), setup.arrays
        self._what = "synapse" if isinstance(op.process, Synapse) else "process"
        self._python = PythonStep(
            op.label, self._what, lambda: op.process, self._begin, inputs=op.shape_in != (0,)
        )
        self._steps: list[Step] = []

    def _begin(self) -> None:
        alike = self._op.shape_in == (0,) and self._python.alike
        samples = range(1 if alike else self._batch)
        self._steps = [self._python.recorded(self._made(self._python.of(b))) for b in samples]

    def _made(self, process: Process | Synapse) -> Step:
        op, shapes = self._op, (self._op.shape_in, self._shape)
        if process.seed is None:
            rng = generator(op.key)
        else:
            rng = np.random.default_rng(process.seed)
        try:
            state = process.make_state(*shapes, self._dt)
            step = process.make_step(*shapes, self._dt, rng, state)
        except NetworkError as error:
            raise BuildError(f"{op.label}: {error}") from error
        except Exception as error:
            raise BuildError(
                f"{op.label}: its {self._what} could not begin with input {op.shape_in} and output "
                f"{self._shape} ({type(error).__name__}: {error})"
            ) from error
        if not callable(step):
            raise BuildError(
                f"{op.label}: make_step of {process!r} must return a function of the time, got "
                f"{step!r}"
            )
        return step

    def python_steps(self) -> Iterable[PythonStep]:
        yield self._python

    def state(self) -> dict[str, Any]:
        functions = [getattr(step, "function", step) for step in self._steps]
        try:
            return {"steps": deepcopy([held_by(function) for function in functions])}
        except Exception as error:
            raise SimulationError(
                f"{self._op.label}: what its process keeps cannot be copied "
                f"({type(error).__name__}: {error})"
            ) from error

    def restore(self, state: Mapping[str, Any]) -> None:
        for step, held in zip(self._steps, state["steps"], strict=True):
            if isinstance(step, ReplayedFunction):
                step.function = holding(step.function, held)

    def mark(self) -> None:
        return None  # its steps keep their answers

    def rewind(self) -> None:
        return None

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        if not self._steps:  # by itself, in no execution
            self._begin()
        arrays = (np.asarray(self._arrays.numpy(x), _FLOAT64) for x in inputs)
        given = [np.broadcast_to(x, (self._batch, steps, *x.shape[2:])) for x in arrays]
        times = [(step + i + 1) * self._dt for i in range(steps)]
        made = []
        for b, function in enumerate(self._steps):
            calls = [(t, *(np.array(x[b, i]) for x in given)) for i, t in enumerate(times)]
            made.append(call_all(function, self._op.label, self._what, self._shape, calls))
        values = made[0][None] if len(made) == 1 else np.stack(made)
        values = np.broadcast_to(values, (self._batch, *values.shape[1:]))
        return [self._arrays.as_array(values)]
