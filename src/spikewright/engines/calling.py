"""Calls of nodes' functions, sample by sample: the same for every engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.engines.python_steps import PythonStep
from spikewright.engines.sources import failed, value_of
from spikewright.network import Node

_FLOAT64 = np.dtype(np.float64)
_NUMBERS = frozenset({float, int, bool, np.float64})
_FEW = 16  # values that are checked faster one by one


class Caller:
    """Calls a node's function of time, and of its input if it has one, for a batch of samples.

    Every sample has a function of its own where these differ.
    """

    def __init__(self, node: Node, dt: float, batch: int) -> None:
        self._node, self._dt, self._batch = node, dt, batch
        self.python = PythonStep(
            f"{node!r}", "function", lambda: node.output, stateless=node.stateless
        )

    def run(self, x: NDArray | None, step: int, steps: int) -> NDArray:
        """Values `(batch, steps, *shape)` behind step `step`, for `(batch or 1, steps or 1, ...)`.

        A function of time alone that is the same for all samples is called once for all of them.
        """
        samples = 1 if x is None and self.python.alike else self._batch
        made = np.empty((steps, samples, *self._node.shape_out))
        call = self.into([] if x is None else [x], made, step)
        for t in range(steps):
            call(t)
        values = made.swapaxes(0, 1)
        return np.broadcast_to(values, (self._batch, *values.shape[1:]))

    def into(self, inputs: Sequence[NDArray], made: NDArray, first: int) -> Callable[[int], None]:
        """A function of the number of a step behind step `first` that fills `made[number]`.

        `inputs` are `(samples or 1, steps or 1, *shape)` arrays, none or one, which may change
        between calls; `made` is `(steps, samples, *shape)`.
        """
        samples, dt, write = made.shape[1], self._dt, self._write
        functions = [self.python.of(b) for b in range(samples)]
        if inputs:
            x = np.broadcast_to(inputs[0], (samples, *inputs[0].shape[1:]))
            constant = x.shape[1] == 1

            def call(t: int) -> None:
                time, at = (first + t + 1) * dt, 0 if constant else t
                for b, function in enumerate(functions):
                    try:
                        returned = function(time, x[b, at].copy())
                    except Exception as error:
                        raise self._failed(time, error) from error
                    write(made, t, b, returned, time)

            return call

        def call_source(t: int) -> None:
            time = (first + t + 1) * dt
            for b, function in enumerate(functions):
                try:
                    returned = function(time)
                except Exception as error:
                    raise self._failed(time, error) from error
                write(made, t, b, returned, time)

        return call_source

    def _write(self, made: NDArray, t: int, b: int, returned: Any, time: float) -> None:
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
        elif kind in _NUMBERS and shape == (1,) and isfinite(returned):
            made[t, b, 0] = returned
            return
        made[t, b] = value_of(returned, self.python.label, "function", shape, time)

    def _failed(self, time: float, error: Exception) -> Exception:
        return failed(self.python.label, "function", time, error)
