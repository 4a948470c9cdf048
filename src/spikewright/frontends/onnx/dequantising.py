"""Quantised models become models of real numbers, before they are read.

The integers of a quantised model stand for real numbers, `(integer - zero) scale`. Its operators
are ordinary ones of these numbers, whose results are kept within the limits of the integers and
rounded. So an operator on integers is written as the ordinary one on the numbers that they stand
for, with the limits. The model's inputs and outputs are rounded as the file does; between them
counts of spikes round in their own way, so the rounding is left out, which is noted. Weights are
the numbers that their integers stand for, exactly. The result is a model of ordinary operators, for
readers and evaluators alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require
from spikewright.errors import DamagedFileError, ReadError
from spikewright.frontends.onnx.files import captured
from spikewright.frontends.onnx.parameters import array_of, dequantize, limits, zero_of
from spikewright.frontends.onnx.registry import NodeOrigin
from spikewright.frontends.onnx.values import integer_types
from spikewright.frontends.source import SourceNote
from spikewright.graph import unique_name


class QuantizedCode(NamedTuple):
    """The code of integers: each stands for the real number `(integer - zero) scale`."""

    scale: float
    zero: float


PLAIN = QuantizedCode(1.0, 0.0)
"""Integers that stand for themselves."""


_ROUND_SINCE = 11  # the opset that has Round: those before keep values between the limits


class Unquantised(Exception):
    """Raised where a node has no form on real numbers: it stays as it is, and will be refused."""


Handler = Callable[["Dequantiser", Any], None]
HANDLERS: dict[tuple[str, str], Handler] = {}
"""Functions that write an operator on integers as one on real numbers, by domain and name."""

_SELECTING = """
    DepthToSpace Expand Flatten Gather GlobalMaxPool Identity MaxPool ReduceMax ReduceMin Reshape
    Slice SpaceToDepth Split Squeeze Tile Transpose Unsqueeze
"""
_SAME = frozenset(_SELECTING.split())
"""Operators whose results are values of their first input, whatever these stand for."""
_ENDING = _SAME | {"DequantizeLinear", "QuantizeLinear", "QLinearSoftmax", "Softmax"}
"""Operators that may follow the last layer with weights."""


class Dequantiser:
    """Rewrites a model in place; `origins` has the sources of nodes, `notes` the omissions.

    `codes` has the tensors that were integers and now hold the numbers that these stand for;
    `grids` those whose values are such numbers, on the way to the next rounding.
    """

    def __init__(self, proto: Any, place: str) -> None:
        self.graph, self.place = proto.graph, place
        self.opset = max((o.version for o in proto.opset_import if not o.domain), default=0)
        self.origins: dict[str, NodeOrigin] = {}
        self.notes: list[SourceNote] = []
        self.codes: dict[str, QuantizedCode] = {}
        self.grids: dict[str, QuantizedCode] = {}
        self._ranges: dict[str, tuple[float, float]] = {}
        self._tensors = {tensor.name: tensor for tensor in self.graph.initializer}
        self._constants = set(self._tensors)
        self._whole = {
            value.name
            for value in self.graph.input
            if value.type.tensor_type.elem_type in integer_types()
        }
        self._given = {value.name for value in self.graph.input} - self._constants
        self._returned = {value.name for value in self.graph.output}
        self._readers: dict[str, list[Any]] = {}
        for node in self.graph.node:
            for name in {*node.input, *captured(node)}:
                self._readers.setdefault(name, []).append(node)
        self._taken = {name for node in self.graph.node for name in (*node.input, *node.output)}
        self._nodes: list[Any] = []
        self._label, self._kind = "", ""

    def run(self) -> None:
        """Rewrite the graph; one without operators on integers stays as it is."""
        for node in self.graph.node:
            self._label = node.name or next(filter(None, node.output), "")
            self._kind = node.op_type
            before = len(self._nodes)
            try:
                self._step(node)
            except Unquantised:
                del self._nodes[before:]
                self._restored(node)
        if self.origins:
            del self.graph.node[:]
            self.graph.node.extend(self._nodes)
            self._declare()

    def _step(self, node: Any) -> None:
        if all(name in self._constants for name in (*node.input, *captured(node)) if name):
            self._constants.update(node.output)
            if node.op_type == "Constant":
                tensors = (a.t for a in node.attribute if a.HasField("t"))
                self._tensors.update((node.output[0], tensor) for tensor in tensors)
            self._nodes.append(node)
        elif (node.domain, node.op_type) in HANDLERS:
            HANDLERS[node.domain, node.op_type](self, node)
        elif any(name in self.codes for name in (*node.input, *captured(node))):
            self.same(node)
        else:
            self.keep(node)

    def keep(self, node: Any) -> None:
        """Leave a node as it is."""
        self._nodes.append(node)
        self._note_range(node)

    def same(self, node: Any) -> None:
        """An operator that makes no new values, of integers or of their numbers."""
        others = [name for name in node.input[1:] if name in self.codes]
        alike = node.op_type in _SAME and not others
        if node.op_type == "Concat":
            alike = len({self.codes.get(name) for name in node.input}) == 1
        if not alike:
            raise Unquantised
        self.keep(node)
        for name in filter(None, node.output):
            self.codes[name] = self.codes[node.input[0]]

    def is_whole(self, name: str) -> bool:
        """Whether a tensor is one of integers, of the model's input or in their place."""
        return name in self.codes or name in self._whole

    def _restored(self, node: Any) -> None:
        """A node that needs integers gets them: rounding them will be refused."""
        if any(name in self.codes for name in captured(node)):
            raise ReadError(
                f"{self.place}: the body of {self._label!r} ({node.op_type}) reads integers of a "
                "quantised model. Export the model before quantisation."
            )
        for index, name in enumerate(node.input):
            if name in self.codes:
                scale, zero = self.codes[name]
                made = self.fresh(f"{name}:integers")
                constants = (self.constant(np.float32(scale)), self.constant(np.uint8(zero)))
                self.emit("QuantizeLinear", [name, *constants], made, part="integers")
                node.input[index] = made
        self._nodes.append(node)

    def _declare(self) -> None:
        """Declare the values that were integers as real numbers."""
        for value in (*self.graph.value_info, *self.graph.output):
            if value.name in self.codes:
                value.type.tensor_type.elem_type = require("onnx").TensorProto.FLOAT

    # --- what handlers use -----------------------------------------------------------------------

    def fresh(self, wanted: str) -> str:
        """A name for a new tensor."""
        name = unique_name(wanted, self._taken)
        self._taken.add(name)
        return name

    def constant(self, value: Any, name: str = "") -> str:
        """Add an initialiser and return its name."""
        name = name or self.fresh(f"{self._label}:constant")
        tensor = require("onnx").numpy_helper.from_array(np.asarray(value), name)
        self.graph.initializer.append(tensor)
        self._tensors[name] = tensor
        self._constants.add(name)
        return name

    def array(self, name: str) -> NDArray:
        """The value of a constant; raises `Unquantised` for anything else."""
        if name not in self._tensors:
            raise Unquantised
        try:
            return array_of(self._tensors[name], self.place)
        except DamagedFileError as error:  # reading will say so
            raise Unquantised from error

    def code(self, scale: str, zero: str) -> QuantizedCode:
        """The code of a scale and a zero by name, one number each."""
        values = self.array(scale), self.array(zero) if zero else np.zeros(())
        if any(value.size != 1 for value in values):
            raise Unquantised  # along an axis: their numbers would differ along it
        return QuantizedCode(*(float(value.reshape(())) for value in values))

    def emit(
        self, operator: str, inputs: list[str], *outputs: str, part: str = "", **more: Any
    ) -> str:
        """Add a node that stands for the present one, or for a part; returns its first output."""
        name = f"{self._label}:{part}" if part else self._label
        self.keep(require("onnx").helper.make_node(operator, inputs, outputs, name, **more))
        self.origins[name] = NodeOrigin(self._label, self._kind)
        return outputs[0]

    def real(self, name: str, scale: str, zero: str, axis: int = 1) -> str:
        """The tensor of the numbers of integers; constants may have scales along `axis`."""
        if name in self.codes or name in self._whole:
            return self.recoded(name, self.code(scale, zero))
        if name in self._constants and name not in self._tensors:
            return self._computed(name, scale, zero, axis)
        zeros = self.array(zero) if zero else None
        try:
            value = dequantize(self.array(name), self.array(scale), zeros, axis)
        except ValueError as error:
            raise Unquantised from error
        return self.constant(value)

    def _computed(self, name: str, scale: str, zero: str, axis: int) -> str:
        """The numbers of integers that other constants make, computed along with these."""
        by_axis = {} if self.array(scale).size == 1 else {"axis": axis}
        real = self.fresh(f"{name}:real")
        self._constants.add(real)
        inputs = [name, scale, zero] if zero else [name, scale]
        return self.emit("DequantizeLinear", inputs, real, part=real, **by_axis)

    def recoded(self, name: str, code: QuantizedCode) -> str:
        """The numbers that a tensor's integers stand for under another code than its own."""
        if name in self._whole:  # an input: its integers, as real numbers, stand for themselves
            plain = self.fresh(f"{name}:real")
            types = require("onnx").TensorProto
            name = self.emit("Cast", [name], plain, part="real", to=types.FLOAT)
            self.codes[name] = PLAIN
        own = self.codes[name]
        if own == code:
            return name
        factor, shift = code.scale / own.scale, (own.zero - code.zero) * code.scale
        scaled = self.fresh(f"{name}:scaled")
        self.emit("Mul", [name, self.constant(np.float32(factor))], scaled, part="scaled")
        moved = [scaled, self.constant(np.float32(shift))]
        return self.emit("Add", moved, self.fresh(f"{name}:moved"), part="moved")

    def rounded(self, value: str, output: str, scale: str, zero: str, **settings: Any) -> None:
        """Make `output` of a tensor: the numbers of its values between the limits of the integers.

        Inputs and outputs of the model are rounded too: no neurons stand for them, nor their
        limits.
        """
        kind = zero_of(np.zeros(()), self.array(zero) if zero else None, settings)
        try:
            code, bounds = self.code(scale, zero), limits(kind)
        except ValueError as error:
            raise Unquantised from error
        low, high = ((bound - code.zero) * code.scale for bound in bounds)
        if self.grids.get(value) == code:
            self.emit("Identity", [value], output)
        elif self.opset >= _ROUND_SINCE and (value in self._given or self._is_last(output)):
            kept = self.fresh(f"{output}:kept")
            self._limit(value, kept, low, high, code.scale / 2, plain=True)
            self._round(kept, output, code.scale)
            self._ranges[output] = self._ranges[kept]
        else:
            self._limit(value, output, low, high, code.scale / 2)
            self.note(
                f"the file rounds it to {bounds[1] - bounds[0] + 1} values from {low:.4g} to "
                f"{high:.4g}, {code.scale:.3g} apart; here it keeps its value between them"
            )
        self.codes[output] = self.grids[output] = code

    def _round(self, value: str, output: str, step: float) -> None:
        """Round a tensor to multiples of a step."""
        size = self.constant(np.float32(step))
        parts = [self.fresh(f"{output}:{part}") for part in ("steps", "rounded")]
        self.emit("Div", [value, size], parts[0], part="steps")
        self.emit("Round", [parts[0]], parts[1], part="rounded")
        self.emit("Mul", [parts[1], size], output)

    def _limit(
        self, value: str, output: str, low: float, high: float, slack: float, plain: bool = False
    ) -> None:
        """Keep a tensor within limits, unless it is within them already, up to rounding.

        A `plain` one is no activation: no neurons stand for its limits.
        """
        least, largest = self._ranges.get(value, (-np.inf, np.inf))
        if low - slack <= least and largest <= high + slack:
            self.emit("Identity", [value], output, part="limited" if plain else "")
        elif plain:
            bounds = [self.constant(np.float32(bound)) for bound in (low, high)]
            above = self.fresh(f"{output}:above")
            self.emit("Max", [value, bounds[0]], above, part="above")
            self.emit("Min", [above, bounds[1]], output, part="limited")
        elif self.opset < 11:
            self.emit("Clip", [value], output, min=low, max=high)
        else:
            bounds = [self.constant(np.float32(bound)) for bound in (low, high)]
            self.emit("Clip", [value, *bounds], output)
        self._ranges[output] = max(low, least), min(high, largest)

    def _is_last(self, name: str) -> bool:
        """Whether only outputs of the model are made of a tensor, by moving its values."""
        waiting, seen = [name], set()
        while waiting:
            made = waiting.pop()
            readers = self._readers.get(made, [])
            moves = all(node.op_type in _ENDING for node in readers)
            if not moves or not (readers or made in self._returned):
                return False
            seen.add(made)
            waiting += {one for node in readers for one in node.output} - seen
        return True

    def note(self, text: str) -> None:
        """Note an omission in the present node."""
        self.notes.append(SourceNote(self._label, text))

    def _note_range(self, node: Any) -> None:
        """Note the known limits of an ordinary node's values."""
        first = node.input[0] if node.input else ""
        bounds = self._ranges.get(first)
        if node.op_type in ("Sigmoid", "Softmax"):
            bounds = (0.0, 1.0)
        elif bounds and node.op_type == "Concat":
            known = [self._ranges.get(name, (-np.inf, np.inf)) for name in node.input]
            bounds = min(low for low, _ in known), max(high for _, high in known)
        elif bounds and node.op_type in ("AveragePool", "GlobalAveragePool", "ReduceMean", "Relu"):
            bounds = min(bounds[0], 0.0), max(bounds[1], 0.0)  # zeros may be put around
        elif node.op_type not in _SAME:
            bounds = None
        for name in filter(None, node.output):
            if bounds:
                self._ranges[name] = bounds
            if node.op_type in _SAME and first in self.grids:
                self.grids[name] = self.grids[first]


def dequantise(proto: Any, place: str) -> Dequantiser:
    """Write a quantised model, in place, as one of the numbers that its integers stand for."""
    model = Dequantiser(proto, place)
    model.run()
    return model
