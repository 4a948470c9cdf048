"""Trained weights written back into the parameters of the source's own model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import TrainingError
from spikewright.frontends import Reading
from spikewright.frontends.origins import Origin, Place, as_held, parameters_of
from spikewright.graph import Graph, evaluate
from spikewright.graph.lookups import random_inputs

_CLOSE = {"bfloat16": 0.1, "float16": 0.01, "float32": 1e-3, "float64": 1e-3}
"""By precision, how far a framework's forward pass may be from the trained graph, of the largest
value. Weights are compared exactly: this finds another network, and leaves room for rounding."""


@dataclass(frozen=True, eq=False)
class SourceWeights:
    """The graph of a model before and after training, and where its arrays come from."""

    reading: Reading
    origins: Mapping[Place, Origin]
    before: Graph
    trained: Graph

    @classmethod
    def of(
        cls, reading: Reading, origins: Mapping[Place, Origin], before: Graph, trained: Graph
    ) -> SourceWeights:
        """The weights of a trained graph, rounded to what the model can hold.

        A parameter in bfloat16 or float16 has fewer digits than the training.
        """
        found = cls(reading, origins, before, trained)
        access = parameters_of(str(reading.framework))
        held = as_held(reading.model, access, found.state())
        rounded = {
            place: origins[place].read(held).astype(array.dtype)
            for place, array in found.moved.items()
        }
        return replace(found, trained=trained.with_arrays(rounded))

    def state(self, model: Any = None) -> dict[str, NDArray]:
        """The parameters of a model (default: the one that was converted), as trained."""
        model = self.reading.model if model is None else model
        held: dict[str, NDArray] = parameters_of(str(self.reading.framework)).parameters(model)
        copies = {id(value): value.copy() for value in held.values()}  # some names are of one array
        changed: dict[str, NDArray] = {name: copies[id(value)] for name, value in held.items()}
        for place, array in self.moved.items():
            self.origins[place].written(array, changed)
        return changed

    @cached_property
    def moved(self) -> dict[Place, NDArray]:
        """The trained arrays of the model's own parameters that have other values than before."""
        before, after = (
            {place: graph[place[0]].layer.arrays()[place[1]] for place in self.origins}
            for graph in (self.before, self.trained)
        )
        return {p: now for p, now in after.items() if not np.array_equal(now, before[p])}

    def written(self, model: Any) -> Any:
        """The model with the trained weights; raises `TrainingError` where it is another one."""
        reading = replace(self.reading, model=model)
        if reading.framework != self.reading.framework:
            raise TrainingError(
                f"{type(model).__name__}: the converted model was one of {self.reading.framework}"
            )
        _require_equal(reading().graph, self.before, "is not the model that was converted")
        access = parameters_of(str(self.reading.framework))
        held, state = access.parameters(model), self.state(model)
        made = access.write(model, state)
        try:
            source = replace(reading, model=made)()
            _require_equal(source.graph, self.trained, "has other weights than those written to it")
            inputs = random_inputs(self.trained, 0)
            close = _CLOSE[source.call_precision or source.precision]
            _require_close(source.call(inputs), evaluate(self.trained, inputs), close)
        except BaseException:
            access.write(model, held)
            raise
        return made


def _require_equal(found: Graph, wanted: Graph, what: str) -> None:
    """Raise `TrainingError` naming the first array in which two graphs differ."""
    for node in wanted:
        arrays = found[node.name].layer.arrays() if node.name in found else {}
        for field, array in node.layer.arrays().items():
            if field not in arrays or not np.array_equal(arrays[field], array):
                raise TrainingError(
                    f"this model {what}: the {field} of layer {node.name!r} differs. It has the "
                    "weights that it had; give the model as it was when it was converted"
                )


def _require_close(
    made: Mapping[str, NDArray], wanted: Mapping[str, NDArray], close: float
) -> None:
    for name, value in made.items():
        gap = float(np.abs(value - wanted[name]).max())
        if gap > close * float(np.abs(wanted[name]).max()):
            raise TrainingError(
                f"output {name!r} of the model differs from the trained network by {gap:.3g}. The "
                "model has the weights that it had"
            )
