"""The provenance of a graph's arrays: which number of which parameter of the model each is.

A copy of the model, whose parameters hold numbers that count them, is read as the model was. What
stands in the arrays of its graph then says where each value comes from, whatever a reader did to
move, cut and join them. Parameters hold few digits, so that takes one reading a digit. An array of
which values were computed (a product of two parameters, a folded factor) has no origin: its digits
lead to other values than it has.

A `Dense(2)` of Keras holds its kernel as `(in, out)`, a graph holds it as `(out, in)`: the kernel
`[[7, 8], [9, 10]]` is the weight `[[7, 9], [8, 10]]`, whose index is `[[0, 2], [1, 3]]`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import ReadError
from spikewright.graph import Graph

Arrays = Mapping[str, NDArray]
ArrayKey = tuple[str, str]
"""A node of a graph, and the name of one of its arrays."""

_STATISTICS = ("running_mean", "running_var", "moving_mean", "moving_variance")
"""Names that normalisations give to what they measure: no optimiser trains it."""
_FIRST = 3  # digits begin here: constants of models are often 0 or 1
_BASES = (1024, 250)  # digits: float16 holds each of the first exactly, bfloat16 of the second


@dataclass(frozen=True, eq=False)
class Provenance:
    """The parameters that an array's values are: `names[which]`, number `index` of each."""

    names: Sequence[str]
    which: NDArray
    index: NDArray

    @property
    def held(self) -> list[str]:
        """Names of the parameters that the array holds values of."""
        return [self.names[number] for number in np.unique(self.which)]

    def read(self, parameters: Mapping[str, NDArray]) -> NDArray:
        """The array's values where the parameters are these."""
        found = np.empty(self.index.shape, np.result_type(*(parameters[n] for n in self.held)))
        for number in np.unique(self.which):
            here = self.which == number
            found[here] = parameters[self.names[number]].reshape(-1)[self.index[here]]
        return found

    def written(self, values: NDArray, into: dict[str, NDArray]) -> None:
        """Put an array's values where they come from, into parameters by name."""
        for number in np.unique(self.which):
            here = self.which == number
            parameter = into[self.names[number]]
            parameter.reshape(-1)[self.index[here]] = values[here]


def parameters_of(framework: str) -> ModuleType:
    """The parameters of a framework's models: `parameters`, `frozen`, `copied` and `write`."""
    return import_module(f"spikewright.frontends.{framework}.parameters")


def frozen_names(model: Any, framework: str) -> set[str]:
    """The parameters that a model's own framework does not train, without measured statistics."""
    names: set[str] = parameters_of(framework).frozen(model)
    return {name for name in names if not name.replace("/", ".").endswith(_STATISTICS)}


def as_held(model: Any, access: ModuleType, values: Mapping[str, NDArray]) -> dict[str, NDArray]:
    """Parameters as a model holds them: rounded, where it has bfloat16 or float16.

    `values` are all of them, in the order of `access.parameters`; a copy may have other names.
    """
    kept: dict[str, NDArray] = access.parameters(access.copied(model, values))
    return dict(zip(values, kept.values(), strict=True))


def origins(
    model: Any, framework: str, graph: Graph, read: Callable[[Any], Graph]
) -> dict[ArrayKey, Provenance]:
    """The origin of every array of `graph` that has one; `read` reads a model as this was read.

    The model may have other weights by now than when `graph` was read. Raises `ReadError` where a
    copy of the model with other weights is read as another graph.
    """
    access = parameters_of(framework)
    held: dict[str, NDArray] = access.parameters(model)
    names = list(held)
    starts = np.cumsum([0, *(held[name].size for name in names)])
    codes: dict[ArrayKey, NDArray] = {}
    base, unit = _base_of(model, access, held), 1
    while unit == 1 or unit < starts[-1]:
        coded = {
            name: ((np.arange(start, start + held[name].size) // unit) % base + _FIRST)
            .reshape(held[name].shape)
            .astype(held[name].dtype)
            for name, start in zip(names, starts, strict=False)
        }
        for place, array in _arrays(read(access.copied(model, coded)), graph).items():
            codes.setdefault(place, np.zeros(array.shape, np.int64))
            codes[place] += _digit(array, base) * unit
        unit *= base
    values = (held[name].reshape(-1).astype(np.float64) for name in names)
    flat = np.concatenate([np.zeros(0), *values])
    good = {p: c for p, c in codes.items() if c.size and c.min() >= 0 and c.max() < starts[-1]}

    def equal(arrays: Mapping[ArrayKey, NDArray]) -> list[ArrayKey]:
        made = {place: flat[code].astype(arrays[place].dtype) for place, code in good.items()}
        return [place for place, array in made.items() if np.array_equal(array, arrays[place])]

    places = equal(_arrays(graph, graph))
    if len(places) < len(good):  # computed arrays, or the model has other weights by now
        places = equal(_arrays(read(model), graph))
    found = {}
    for place in places:
        which = np.searchsorted(starts, good[place], "right") - 1
        found[place] = Provenance(names, which, good[place] - starts[which])
    return found


def _base_of(model: Any, access: ModuleType, held: Mapping[str, NDArray]) -> int:
    """The largest base whose digits all parameters hold exactly."""
    odd = _BASES[0] + 1  # needs as many bits as any digit
    marked = {name: np.full_like(array, odd) for name, array in held.items()}
    kept = as_held(model, access, marked)
    return _BASES[0] if all(np.all(array == odd) for array in kept.values()) else _BASES[1]


def _digit(array: NDArray, base: int) -> NDArray:
    """The digits that an array holds; a number so far below zero that no code is, for others."""
    value = np.asarray(array, np.float64) - _FIRST
    whole = np.rint(value)
    good = (np.abs(value - whole) < 1e-3) & (whole >= 0) & (whole < base)
    return np.where(good, whole, -(2.0**50)).astype(np.int64)


def _arrays(graph: Graph, like: Graph) -> dict[ArrayKey, NDArray]:
    """All arrays by node and field; raises `ReadError` where the graphs are not of one form."""
    nodes = [(node.name, node.layer.kind, node.inputs) for node in graph]
    if nodes != [(node.name, node.layer.kind, node.inputs) for node in like]:
        raise ReadError(
            "the model is read as another graph where its weights are other numbers, so that no "
            "value of the graph leads back to a weight of its own"
        )
    return {
        (node.name, field): array for node in graph for field, array in node.layer.arrays().items()
    }
