"""An elementwise function by name, of the present values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikewright._base.equations import CURVES
from spikewright.errors import NetworkError
from spikewright.network.functions import Array, NodeFunction, register
from spikewright.network.shapes import Shape


@register
@dataclass(frozen=True)
class Elementwise(NodeFunction):
    """`f(x)` for an elementwise function by name, such as `Elementwise("abs")`.

    `parameters` are its `(name, value)` pairs. Raises `NetworkError` for an unknown function or
    unknown parameters.
    """

    function: str
    parameters: tuple[tuple[str, float], ...] = ()
    accumulate: bool = False

    def __post_init__(self) -> None:
        if self.function not in CURVES:
            known = ", ".join(sorted(CURVES))
            raise NetworkError(f"Elementwise: {self.function!r} is unknown; known are {known}")
        problem = CURVES[self.function].problem(dict(self.parameters))
        if problem is not None:
            raise NetworkError(f"Elementwise: {self.function!r} {problem}")
        object.__setattr__(self, "parameters", tuple(sorted(self.parameters)))

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def apply(self, xp: Any, x: Array) -> Array:
        return CURVES[self.function](xp, x, dict(self.parameters))
