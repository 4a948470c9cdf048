"""Code of the source's own, called as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.layers.base import Layer, Shape, require


@dataclass(frozen=True, eq=False)
class PythonCall(Layer):
    """A call of a Python function, of which only the results are known; no file holds it.

    `function` takes a float64 array `(batch, *shape)` for each of `shapes` and returns one
    `(batch, *made)`. Its samples do not influence each other, and it keeps no state between calls.
    `called` names the called code in words. `mark`, a hash of its results for some samples,
    distinguishes it from other code. As no file can hold it, it is not registered.
    """

    function: Any
    shapes: tuple[Shape, ...]
    made: Shape
    called: str
    mark: str = ""
    arity = None

    def output_shape(self, *shapes: Shape) -> Shape:
        require(
            shapes == self.shapes,
            f"PythonCall: {self.called} takes {self.shapes}, got inputs of shapes {shapes}",
        )
        return self.made

    def evaluate(self, *values: NDArray) -> NDArray:
        return np.asarray(self.function(*values), np.float64)
