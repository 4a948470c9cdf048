"""Control flow that constants decide: branches taken, loops and scans written out.

A subgraph is read in the place of its node, once for each time that it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Protocol

import numpy as np

from spikewright._base.optional import require
from spikewright.frontends.onnx.node import NodeOrigin
from spikewright.frontends.onnx.values import ConstantValue, Missing, SignalValue, Unreadable, Value
from spikewright.frontends.reading.call import Unknown, afford_nodes


class ControlReading(Protocol):
    """The walk that meets a node of control flow, and reads the nodes inside of it."""

    opset: int

    def inside(self, graph: Any, label: str, inputs: Sequence[Value]) -> list[Value]:
        """The values of a subgraph's outputs."""

    def read(
        self, node: Any, label: str, origin: NodeOrigin, inputs: tuple[Value | None, ...]
    ) -> Sequence[Value]:
        """The values of a node's outputs."""


class Flow:
    """One If, Loop or Scan; `run` reads it and returns the values of its outputs."""

    def __init__(
        self, walk: ControlReading, node: Any, label: str, inputs: Sequence[Value | None]
    ) -> None:
        self.walk, self.node, self.label, self.inputs = walk, node, label, inputs
        get = require("onnx").helper.get_attribute_value
        self.attributes = {attribute.name: get(attribute) for attribute in node.attribute}

    def run(self) -> list[Value]:
        """The values of the outputs; raises `Unreadable` where the data decide what runs."""
        return {"If": self._branch, "Loop": self._loop, "Scan": self._scan}[self.node.op_type]()

    def _branch(self) -> list[Value]:
        taken = "then_branch" if self._truth(self.inputs[0]) else "else_branch"
        return self.walk.inside(self.attributes[taken], self.label, ())

    def _loop(self) -> list[Value]:
        """As many runs of the body as constants say; scanned outputs are stacked."""
        most, going = self.inputs[0], self.inputs[1]
        carried = list(map(_given, self.inputs[2:]))
        trips = None if most is None else self._whole(most)
        goes = going is None or self._truth(going)
        body, scanned = self.attributes["body"], []
        self._bound(max(trips or 0, 0) if goes else 0, body)
        for trip in count():
            if not goes or (trips is not None and trip >= trips):
                break
            if trips is None:
                self._bound(1, body)
            given = (_constant(trip), _constant(True), *carried)
            going, *made = self.walk.inside(body, f"{self.label}/{trip}", given)
            goes, carried = self._truth(going), made[: len(carried)]
            scanned.append(made[len(carried) :])
        axes = [0] * (len(self.node.output) - len(carried))
        return [*carried, *self._stacked(scanned, axes)]

    def _scan(self) -> list[Value]:
        """A run of the body for every entry along an axis of the scanned values."""
        body, sequences = self.attributes["body"], int(self.attributes["num_scan_inputs"])
        carried, scanned = list(map(_given, self.inputs[:-sequences])), self.inputs[-sequences:]
        axes = self._settings("scan_input_axes", sequences)
        backwards = self._settings("scan_input_directions", sequences)
        steps = self._extent(scanned[0], axes[0])
        rows = []
        self._bound(steps, body)
        for step in range(steps):
            places = [steps - 1 - step if back else step for back in backwards]
            entries = [
                self._entry(value, axis, place, f"{self.label}/{step}:{k}")
                for k, (value, axis, place) in enumerate(zip(scanned, axes, places, strict=True))
            ]
            made = self.walk.inside(body, f"{self.label}/{step}", (*carried, *entries))
            carried = made[: len(carried)]
            rows.append(made[len(carried) :])
        results = len(self.node.output) - len(carried)
        order = self._settings("scan_output_directions", results)
        return [*carried, *self._stacked(rows, self._settings("scan_output_axes", results), order)]

    # --- parts -----------------------------------------------------------------------------------

    def _settings(self, name: str, length: int) -> list[int]:
        return [int(n) for n in self.attributes.get(name) or [0] * length]

    def _bound(self, trips: int, body: Any) -> None:
        """Count the nodes that so many runs of a body become, and an entry for each run."""
        nodes = len(body.node)
        afford_nodes(trips * max(nodes, 1), f"it runs {nodes} nodes {trips} times")

    def _truth(self, value: Value | None) -> bool:
        return bool(self._known(value, "its condition"))

    def _whole(self, value: Value | None) -> int:
        return int(self._known(value, "how often it runs"))

    def _known(self, value: Value | None, what: str) -> Any:
        """The number that a constant holds."""
        if not isinstance(value, ConstantValue):
            raise Unreadable(
                f"{what} is computed from the data, and a graph is fixed",
                "Export with constant conditions, or simplify the model (e.g. with onnxsim)",
            )
        return np.ravel(value.array)[0].item()

    def _extent(self, value: Value | None, axis: int) -> int:
        """The number of entries along an axis that is not the batch's."""
        if isinstance(value, ConstantValue):
            return value.array.shape[axis]
        if not isinstance(value, SignalValue):
            raise Unknown
        return value.full[axis]

    def _entry(self, value: Value | None, axis: int, place: int, label: str) -> Value:
        """The entry of a scanned value at one place."""
        return self._apply("Gather", label, (value, _constant(place)), axis=axis)

    def _stacked(
        self, rows: Sequence[Sequence[Value]], axes: Sequence[int], order: Sequence[int] = ()
    ) -> list[Value]:
        """For every output, its values in all runs, in order along a new axis."""
        if not rows:
            return [Missing("it never runs, so nothing was put together")] * len(axes)
        results = []
        for k, (axis, values) in enumerate(zip(axes, zip(*rows, strict=True), strict=True)):
            label = f"{self.label}:{k}" if k else self.label
            apart = [
                self._unsqueezed(value, axis, f"{label}/{trip}:entry")
                for trip, value in enumerate(values)
            ]
            if order and order[k]:
                apart.reverse()
            results.append(self._apply("Concat", label, apart, axis=axis))
        return results

    def _unsqueezed(self, value: Value, axis: int, label: str) -> Value:
        if self.walk.opset < 13:
            return self._apply("Unsqueeze", label, (value,), axes=[axis])
        return self._apply("Unsqueeze", label, (value, _constant([axis])))

    def _apply(
        self, operator: str, label: str, inputs: Sequence[Value | None], **attributes: Any
    ) -> Value:
        """The first output of an ordinary operator."""
        if Missing() in inputs:
            raise Unknown
        names = [f"input {k}" for k in range(len(inputs))]
        node = require("onnx").helper.make_node(operator, names, ["output"], label, **attributes)
        origin = NodeOrigin(self.label, self.node.op_type)
        return self.walk.read(node, label, origin, tuple(inputs))[0]


def _constant(value: Any) -> ConstantValue:
    return ConstantValue(np.asarray(value))


def _given(value: Value | None) -> Value:
    return Missing() if value is None else value
