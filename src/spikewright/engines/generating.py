"""Processes that run as they are, on NumPy's arrays: the same for every engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from spikewright.engines.base import Array, Kernel
from spikewright.engines.operators import Generate
from spikewright.engines.program import Program
from spikewright.engines.python_steps import PythonStep
from spikewright.engines.recalling import Recalled
from spikewright.engines.sources import called
from spikewright.errors import BuildError, NetworkError, SimulationError
from spikewright.network.processes import Process, Step
from spikewright.network.python_copies import held_by, holding
from spikewright.network.synapses import Synapse


class ProcessKernel(Kernel):
    """A process: one for all samples, or one a sample where it has an input or state to share."""

    def __init__(self, op: Generate, program: Program, batch: int) -> None:
        self._op, self._dt, self._batch = op, program.dt, batch
        self._shape = program.shapes[op.output]
        self._what = "synapse" if isinstance(op.process, Synapse) else "process"
        self._python = PythonStep(
            op.label, self._what, lambda: op.process, self._begin, inputs=op.shape_in != (0,)
        )
        self._steps: list[Step] = []

    def _begin(self) -> None:
        alike = self._op.shape_in == (0,) and self._python.alike
        samples = range(1 if alike else self._batch)
        self._steps = [self._python.recalled(self._made(self._python.of(b))) for b in samples]

    def _made(self, process: Process | Synapse) -> Step:
        op, shapes = self._op, (self._op.shape_in, self._shape)
        if process.seed is None:
            rng = np.random.Generator(np.random.Philox(key=np.array(op.key, np.uint64)))
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
            if isinstance(step, Recalled):
                step.function = holding(step.function, held)

    def mark(self) -> None:
        return None  # its steps keep their answers

    def rewind(self) -> None:
        return None

    def run(self, inputs: Sequence[Array], step: int, steps: int) -> Sequence[Array]:
        if not self._steps:  # by itself, in no execution
            self._begin()
        given = [np.broadcast_to(x, (self._batch, steps, *x.shape[2:])) for x in inputs]
        times = [(step + i + 1) * self._dt for i in range(steps)]
        made = []
        for b, function in enumerate(self._steps):
            calls = [(t, *(np.array(x[b, i]) for x in given)) for i, t in enumerate(times)]
            made.append(called(function, self._op.label, self._what, self._shape, calls))
        values = made[0][None] if len(made) == 1 else np.stack(made)
        return [np.broadcast_to(values, (self._batch, *values.shape[1:]))]
