"""Examples of every registered node function, for tests that run over them."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.windows import Windows
from spikewright.network import node_functions as f
from spikewright.network.functions import NodeFunction
from spikewright.network.shapes import Shape


class FunctionExample(NamedTuple):
    """A node function with the (unbatched) shape of its input, under a name that is unique."""

    id: str
    function: NodeFunction
    shape: Shape

    def accumulating(self) -> NodeFunction:
        """The same function of running means."""
        return replace(self.function, accumulate=True)  # type: ignore[type-var]

    def values(self, batch: int, steps: int, seed: int = 0) -> NDArray:
        """Random inputs `(batch, steps, *shape)` of both signs, whose means differ.

        Where rows are looked up, numbers of rows.
        """
        rng = np.random.default_rng(seed)
        if isinstance(self.function, f.Lookup):
            rows = rng.integers(0, len(self.function.table), (batch, steps, *self.shape))
            return rows.astype(np.float64)
        mean = rng.normal(size=(batch, 1, *self.shape))
        return 2.0 * mean + rng.normal(size=(batch, steps, *self.shape))


def function_examples() -> list[FunctionExample]:
    """At least one example of every node function, none of them accumulating."""
    windows = Windows((3, 2), (2, 1), ((1, 1), (0, 1)))
    image, tokens = (2, 5, 4), (3, 5)
    table = np.random.default_rng(7).normal(size=(6, 2, 3))
    return [
        FunctionExample("max-pool", f.MaxPool(windows), image),
        FunctionExample("max-pool-last", f.MaxPool(windows, True), (5, 4, 2)),
        FunctionExample("reduce-max", f.ReduceMax((-1, -3)), image),
        FunctionExample("reduce-max-kept", f.ReduceMax((-2,), True), image),
        FunctionExample("softmax", f.Softmax(), tokens),
        FunctionExample("softmax-first", f.Softmax(-2), tokens),
        FunctionExample("log-softmax", f.LogSoftmax(), tokens),
        FunctionExample("layer-norm", f.LayerNormalization((-1,), 1e-3), tokens),
        FunctionExample("layer-norm-axes", f.LayerNormalization((-3, -1), 1e-5), image),
        FunctionExample("rms-norm", f.RMSNormalization((-1,), 1e-3), tokens),
        FunctionExample("unit-norm", f.UnitNormalization((-2,), 0.0), tokens),
        FunctionExample("elementwise", f.Elementwise("tanh"), tokens),
        FunctionExample(
            "elementwise-parameters",
            f.Elementwise("threshold", (("threshold", 0.5), ("maximum", 1.0))),
            tokens,
        ),
        FunctionExample("lookup", f.Lookup(table), (4,)),
        FunctionExample("lookup-numbers", f.Lookup(table[:, 0, 0]), (2, 2)),
        FunctionExample("multiply", f.Multiply(((2, 3), (2, 3))), (12,)),
        FunctionExample("multiply-broadcast", f.Multiply(((2, 1, 3), (4, 1), (3,))), (13,)),
        FunctionExample("divide", f.Divide(((2, 3), (3,))), (9,)),
        FunctionExample("maximum", f.Maximum(((2, 3), (3,), (2, 1))), (11,)),
        FunctionExample("minimum", f.Minimum(((2, 3), (2, 3))), (12,)),
        FunctionExample("matmul", f.MatMul(((2, 3, 4), (2, 4, 2))), (40,)),
        FunctionExample("matmul-wide", f.MatMul(((2, 3, 4), (4, 2))), (32,)),
        FunctionExample(
            "matmul-transposed",
            f.MatMul(((4, 3), (2, 4)), transpose_a=True, transpose_b=True),
            (20,),
        ),
    ]
