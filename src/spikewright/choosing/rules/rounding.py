"""Values that are rounding errors: sources that compute in float32 give them in place of zero.

The difference of two terms that are equal but for their rounding is not a value of the model:
another order of sums would give another one. The size of such errors is measured by Monte Carlo
arithmetic (Parker 1997, UCLA CSD-970002): every value is passed on a unit in the last place too
high or too low, at random, and the change of the values behind it is measured.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.statistics.channels import by_channel
from spikewright.choosing.statistics.sensitivity import random_signs
from spikewright.choosing.statistics.statistics import LayerStatistics, Statistics
from spikewright.graph import Graph, evaluate_all
from spikewright.graph.masks import masks_of

_UNIT = 2.0**-23  # in the last place of a float32, as a share of its value
_MARGIN = 8.0  # times the root mean square: no sum of a few errors of either sign is larger
_EXAMPLES, _DRAWS = 4, 2

BOUND = _MARGIN * _UNIT
"""The bound of the rounding error of a single term, as a share of its value."""


def above_rounding(statistics: Statistics, graph: Graph) -> dict[str, LayerStatistics]:
    """The layers with 0 in the place of values that are smaller than their rounding errors."""
    limits = statistics.rounding
    if not limits:
        limits.update(_limits(statistics, graph))
    return {name: layer.above(limits[name]) for name, layer in statistics.layers.items()}


def _limits(statistics: Statistics, graph: Graph) -> dict[str, NDArray]:
    """Limits that values of each channel have to exceed, by layer, measured on a few examples."""
    layers = statistics.layers.items()
    read = {name: graph[name].inputs[0] if layer.rectifies else name for name, layer in layers}
    inputs = {name: value[:_EXAMPLES] for name, value in statistics.examples.values.items()}
    rng = np.random.default_rng(0)

    masks = masks_of(graph)
    real = masks.real(inputs)

    def counts(name: str) -> NDArray | bool:
        found = None if real is None else real.of(name)
        return True if found is None else found

    def rounded(name: str, value: NDArray) -> NDArray:
        if name in masks.alone:  # zeros and ones, and what is made of them, exactly
            return value
        return value * (1.0 + _UNIT * random_signs(rng, value.shape, counts(name)))

    with np.errstate(all="ignore"):
        exact, *drawn = (
            evaluate_all(graph, inputs, passed_on) for passed_on in (None, *[rounded] * _DRAWS)
        )
        errors = {
            name: np.concatenate(
                [np.where(counts(node), values[node] - exact[node], 0.0) for values in drawn]
            )
            for name, node in read.items()
        }
        return {name: _typical(errors[name], layer.axis) for name, layer in layers}


def _typical(errors: NDArray, axis: int | None) -> NDArray:
    """A bound for the errors `(samples, *shape)` of each channel, from those that are not 0.

    Of channels without errors, which these samples left at 0, it is the median of the others'.
    """
    found = by_channel(errors, axis)
    counts = (found != 0).sum(axis=1)
    bound = _MARGIN * np.sqrt(np.square(found).sum(axis=1) / np.maximum(counts, 1))
    known = (counts > 0) & np.isfinite(bound)
    other = float(np.median(bound[known])) if known.any() else 0.0
    return np.where(known, bound, other)
