"""Calls of nodes' functions, sample by sample: the same for every engine."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.base import Array, Call, Stepping
from spikewright.engines.python_steps import PythonStep
from spikewright.engines.recalling import reject
from spikewright.engines.sources import failed, value_of
from spikewright.errors import SimulationError
from spikewright.network import Node

_FLOAT64 = np.dtype(np.float64)
_NUMBERS = frozenset({float, np.float64})
_FEW = 16  # values that are checked faster one by one


class Caller:
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
        """Values `(batch, steps, *shape)` behind step `step`, for `(batch or 1, steps or 1, ...)`.

        A function of time alone that is the same for all samples is called once for all of them.
        """
        made = np.empty((steps, self._batch, *self._node.shape_out))
        call = self.into([] if x is None else [x], made)
        for t in range(steps):
            call(t, step + t)
        return made.swapaxes(0, 1)

    def into(self, inputs: Sequence[NDArray], made: NDArray) -> Call:
        """A function that fills `made[t]` with the values of the step behind some step.

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

    def stepping(self, inputs: Sequence[NDArray]) -> Stepping:
        """Steps one by one, between arrays that stay."""
        return _Steps(self, inputs, np.empty((1, self._batch, *self._node.shape_out)))

    def _write(
        self, made: NDArray, t: int, b: Any, returned: Any, time: float, function: Any
    ) -> None:
        """Write a checked value; what functions mostly return is checked fast."""
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
            made[t, b] = value_of(returned, self.python.label, "function", shape, time)
        except SimulationError as error:
            reject(function, 1, error)
            raise

    def _failed(self, time: float, error: Exception) -> Exception:
        return failed(self.python.label, "function", time, error)


class _Steps(Stepping):
    def __init__(self, caller: Caller, inputs: Sequence[NDArray], made: NDArray) -> None:
        self.outputs = [made.swapaxes(0, 1)]
        self._call = caller.into(inputs, made)

    def step(self, number: int) -> Sequence[Array]:
        self._call(0, number)
        return self.outputs
