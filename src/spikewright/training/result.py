"""The result of a training, and its weights written back into the model of the source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray

from spikewright._base.formatting import format_table
from spikewright._base.markup import RichRepr, Rows
from spikewright.errors import TrainingError, printable
from spikewright.frontends import ModelReader
from spikewright.frontends.provenance import ArrayKey, Provenance, as_held, parameters_of
from spikewright.graph import Graph, evaluate
from spikewright.graph.integer_inputs import random_inputs
from spikewright.lower.trace import warn_and_log
from spikewright.records import Record
from spikewright.running.protocols import Made
from spikewright.training.history import THRESHOLDS, Epoch, records_of
from spikewright.training.trainable import in_words

_CLOSE = {"bfloat16": 0.1, "float16": 0.01, "float32": 1e-3, "float64": 1e-3}
"""By precision, how far a framework's forward pass may be from the trained graph, of the largest
value. Weights are compared exactly: this finds another network, and leaves room for rounding."""


@dataclass(frozen=True, eq=False)
class SourceWeights:
    """The graph of a model before and after training, and where its arrays come from."""

    reading: ModelReader
    origins: Mapping[ArrayKey, Provenance]
    before: Graph
    trained: Graph

    @classmethod
    def of(
        cls,
        reading: ModelReader,
        origins: Mapping[ArrayKey, Provenance],
        before: Graph,
        trained: Graph,
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
    def moved(self) -> dict[ArrayKey, NDArray]:
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
        for entry, array in node.layer.arrays().items():
            if entry not in arrays or not np.array_equal(arrays[entry], array):
                raise TrainingError(
                    f"this model {what}: the {entry} of layer {node.name!r} differs. It has the "
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


@dataclass(frozen=True, eq=False, repr=False)
class Training(RichRepr, Generic[Made]):
    """The result of a training: a conversion, and the history of the epochs.

    `conversion` is one like any other; its source is the trained graph. `kept` is the number of the
    epoch that it is from, 0 where none was better than the beginning. `learning_rate` is that of
    weights, as it was given or chosen. `changes` are records of the change of each layer.
    `frozen` has the layers of the source that stayed as they were, each with the names of its
    arrays.
    """

    conversion: Made
    history: tuple[Epoch, ...]
    kept: int
    learning_rate: float
    changes: tuple[Record, ...] = ()
    frozen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _weights: SourceWeights | None = None

    def __repr__(self) -> str:
        return f"<Training of {self._outcome}>"

    def __str__(self) -> str:
        """The epochs as `spikewright train` prints them, the learning rate and what was kept."""
        none = "No epoch was better than the beginning."
        kept = f"Kept: epoch {self.kept}." if self.kept else none
        lines = [f"Learning rate: {self.learning_rate:g}.", kept]
        if self.frozen:
            lines.append(f"Frozen: {in_words(self.frozen)}.")
        return "\n\n".join([format_table(self._summary()[1]), printable("\n".join(lines))])

    @property
    def _outcome(self) -> str:
        """The time that it took, the epoch that was kept and the frozen layers, in words."""
        count = len(self.history)
        parts = [f"{count} epoch{'s' * (count != 1)}"]
        if not self.kept:
            parts.append("none better than the start, which was kept")
        if self.frozen:
            parts.append(f"frozen: {in_words(self.frozen)}")
        return "; ".join(parts)

    def _summary(self) -> tuple[str, Rows]:
        rows = [_row(epoch, epoch.number == self.kept) for epoch in self.history]
        headings = ("epoch", "way", "loss", "held back: loss", "accuracy", "spikes", "kept")
        return f"{self._outcome}.", [headings, *rows]

    @property
    def records(self) -> tuple[Record, ...]:
        """Every epoch's loss, scores and costs by number, then the changes by layer."""
        epochs = [r for e in self.history for r in records_of(e, e.number == self.kept)]
        return (*epochs, *self.changes)

    def scaled(self, factor: float) -> Training[Made]:
        """The same training, all firing-rate scales times a factor: above 1 more spikes are sent.

        Weights and epochs stay what they are: one training serves budgets near its own. Raises
        `ConversionError` unless the factor is a finite number above 0.
        """
        scales = self.conversion.resolved["scale_firing_rates"]
        more = {name: factor * scale for name, scale in scales.items()}
        changes = (
            replace(r, value=r.value / factor) if r.name == THRESHOLDS else r for r in self.changes
        )
        again = self.conversion.replace(**{**self.conversion.resolved, "scale_firing_rates": more})
        return replace(self, conversion=again, changes=tuple(changes))

    def source_state(self) -> dict[str, NDArray]:
        """The trained values of the source's own parameters, by their names in its framework.

        Those of a PyTorch module's state dict, the paths of Keras's weights, or the names of ONNX's
        initializers. Firing-rate scales are not multiplied in, and normalisations stand alone.
        Raises `TrainingError` where a file or a graph was converted, and no live model.
        """
        return self._source_weights().state()

    def write_back(self, model: Any) -> Any:
        """Put the trained weights into the source model, and return it; of ONNX, a new model.

        The model must have the weights that were converted. It is read again afterwards, and its
        framework's own forward pass is compared with the trained network. Raises `TrainingError`
        for another model and where that differs; the model then has the weights that it had. Warns
        where the training changed no weight, so that there is nothing to write.
        """
        weights = self._source_weights()
        made = weights.written(model)
        if not weights.moved:
            why = "none was trained" if self.kept else "no epoch was better than the start"
            warn_and_log(
                f"write_back: the model keeps the weights that it has, since {why}. Thresholds and "
                "starts are in trained.conversion"
            )
        return made

    def _source_weights(self) -> SourceWeights:
        if self._weights is None:
            raise TrainingError(
                "the source was a file or a graph, so that nothing is known of its parameters. "
                "Load the model, and convert that"
            )
        return self._weights


def _row(epoch: Epoch, kept: bool) -> tuple[str, ...]:
    found, mark = epoch.held_back, "yes" if kept else ""
    first = (str(epoch.number), epoch.way, f"{epoch.loss:.4g}")
    if found is None:
        return *first, "", "", "", mark
    right = "" if found.accuracy is None else f"{found.accuracy:.1%}"
    measured = (f"{found.loss:.4g}", right, f"{found.spikes:.4g}")
    return *first, *measured, mark
