"""Trained weights on their way home: into the parameters of the source's own model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import TrainingError
from spikewright.frontends import Reading
from spikewright.frontends.origins import Origin, Place, parameters_of
from spikewright.graph import Graph, evaluate
from spikewright.graph.lookups import random_inputs

_CLOSE = 1e-3  # of the largest value, between a framework's forward pass and the trained graph


@dataclass(frozen=True, eq=False)
class Home:
    """The graph of a model before and after training, and where its arrays come from."""

    reading: Reading
    origins: Mapping[Place, Origin]
    before: Graph
    trained: Graph

    def state(self, model: Any = None) -> dict[str, NDArray]:
        """The parameters of a model (default: the one that was converted), as trained."""
        model = self.reading.model if model is None else model
        held: dict[str, NDArray] = parameters_of(str(self.reading.framework)).parameters(model)
        copies = {id(value): value.copy() for value in held.values()}  # some names are of one array
        changed: dict[str, NDArray] = {name: copies[id(value)] for name, value in held.items()}
        for (name, field), origin in self.origins.items():
            array = self.trained[name].layer.arrays()[field]
            if not np.array_equal(array, self.before[name].layer.arrays()[field]):
                origin.written(array, changed)
        return changed

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
            _require_close(source.call(inputs), evaluate(self.trained, inputs))
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


def _require_close(made: Mapping[str, NDArray], wanted: Mapping[str, NDArray]) -> None:
    for name, value in made.items():
        gap = float(np.abs(value - wanted[name]).max())
        if gap > _CLOSE * float(np.abs(wanted[name]).max()):
            raise TrainingError(
                f"output {name!r} of the model differs from the trained network by {gap:.3g}. The "
                "model has the weights that it had"
            )
