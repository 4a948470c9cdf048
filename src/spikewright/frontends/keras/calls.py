"""Layers of Keras that are called as they are, because they cannot be read."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.frontends.fallback import python_call
from spikewright.frontends.keras.registry import Value, array
from spikewright.frontends.keras.running import run_operation, without_gradients
from spikewright.frontends.keras.walking import Application, filled, values_in
from spikewright.graph.layers import PythonCall


def values_of(call: Application[Value]) -> list[Value]:
    """The arguments of a layer's call that depend on the inputs, in order."""
    return values_in([call.args, dict(call.kwargs)])


def calling_layer(call: Application[Value], index: int, kind: str) -> PythonCall:
    """The layer that calls a layer or operation for one of its outputs; raises `CannotCall`."""
    values = values_of(call)
    dtypes = ["int32" if value.whole else _dtype(call.operation) for value in values]

    def function(*arrays: NDArray) -> NDArray:
        convert = require("keras").ops.convert_to_tensor
        given = [convert(x, dtype) for x, dtype in zip(arrays, dtypes, strict=True)]
        args, kwargs = filled([list(call.args), dict(call.kwargs)], given)
        with without_gradients():
            return array(run_operation(call.operation, args, kwargs)[index])

    shapes, whole = [value.shape for value in values], [bool(value.whole) for value in values]
    return python_call(function, shapes, whole, f"{kind} {call.source!r} of Keras")


def _dtype(operation: Any) -> str:
    return str(getattr(operation, "compute_dtype", None) or require("keras").config.floatx())
