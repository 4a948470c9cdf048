"""Layers of Keras that are called as they are, because they cannot be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One output of a layer's or an operation's call, as a function of arrays."""

    call: Application[Value]
    index: int

    @property
    def held(self) -> Sequence[Any]:
        """The layer, and constants that it is called with."""
        return self.call.operation, self.call.args, dict(self.call.kwargs)

    @property
    def whole(self) -> list[bool]:
        """For each argument, whether it holds whole numbers."""
        return [bool(value.whole) for value in values_of(self.call)]

    def __call__(self, *arrays: NDArray) -> NDArray:
        """The output for these arguments."""
        call, convert = self.call, require("keras").ops.convert_to_tensor
        dtypes = ["int32" if whole else _dtype(call.operation) for whole in self.whole]
        given = [convert(x, dtype) for x, dtype in zip(arrays, dtypes, strict=True)]
        args, kwargs = filled([list(call.args), dict(call.kwargs)], given)
        with without_gradients():
            return array(run_operation(call.operation, args, kwargs)[self.index])


def calling_layer(call: Application[Value], index: int, kind: str) -> PythonCall:
    """The layer that calls a layer or operation for one of its outputs; raises `CannotCall`."""
    function, shapes = LayerCall(call, index), [value.shape for value in values_of(call)]
    return python_call(
        function, shapes, function.whole, f"{kind} {call.source!r} of Keras", function.held
    )


def _dtype(operation: Any) -> str:
    return str(getattr(operation, "compute_dtype", None) or require("keras").config.floatx())
