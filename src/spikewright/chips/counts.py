"""Numbers of weights: from every value, and to every neuron."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikewright.chips.layers import Layer, Path
from spikewright.engines.program import Linear
from spikewright.engines.reference.linear import LinearKernel
from spikewright.measure.operations.patterns import pull_back_chain
from spikewright.network.transforms import (
    AxisMap,
    Convolution,
    Dense,
    Scale,
    Sparse,
    SumPool,
    Transform,
)

_FIELDS: dict[type[Transform], str] = {
    AxisMap: "matrix", Convolution: "kernel", Dense: "matrix", Scale: "factor", Sparse: "values",
    SumPool: "factor",
}  # fmt: skip


def fan_out(path: Path, reached: NDArray | None = None) -> NDArray:
    """Weights that are not zero from each value of a path's origin, shaped like the origin.

    `reached` is one for the neurons that count (default: all of them), and zero for the others.
    """
    shape = path.shape
    for part in path.weights:
        shape = part.output_shape(shape)
    every = np.ones(shape) if reached is None else reached.reshape(shape)
    return pull_back_chain(path.weights, path.shape, every, False)


def fan_in(layer: Layer) -> NDArray:
    """Weights that are not zero to each neuron of a layer, shaped like the layer."""
    found = np.zeros(layer.shape)
    for path in layer.paths:
        value = np.ones((1, 1, *path.shape))
        for part in path.weights:
            (made,) = LinearKernel(Linear("", (0,), 0, _pattern(part)), "float64").run(
                [value], 0, 1
            )
            value = np.asarray(made)
        found += value[0, 0]
    return np.rint(found)


def _pattern(part: Transform) -> Transform:
    """The map with ones in the place of what is not zero."""
    name = _FIELDS.get(type(part))
    if name is None:
        return part
    values = (getattr(part, name) != 0).astype(np.float64)
    return replace(part, **{name: values})  # type: ignore[type-var]
