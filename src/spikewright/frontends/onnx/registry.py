"""One ONNX node as its reader sees it, the registry of readers, and reasons against operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikewright.advice import advise
from spikewright.errors import Refusal
from spikewright.frontends.onnx.values import ConstantValue, Missing, SignalValue, Value
from spikewright.frontends.reading import call as reading
from spikewright.frontends.reading.call import (
    BATCH_FIRST,
    COMPARES,
    JUMPS,
    LOOKS_UP,
    ORDERS,
    PLACES,
    UNBATCHED,
    Layout,
    Operand,
    Reason,
    UnsupportedInput,
    UnsupportedOp,
    by_kind,
    layout_of,
    sample_shape,
)
from spikewright.frontends.reading.call import Value as ReadValue
from spikewright.graph import GraphNode, unique_name
from spikewright.graph.layers import Layer, Reshape, Shape

KEEP_BATCH = (
    "Keep the batch as axis 0: export with a dynamic batch, or with its size fixed and the same "
    "everywhere"
)


class NodeOrigin(NamedTuple):
    """The node of the file that a node stands for, or for a part of."""

    layer: str
    kind: str


@dataclass(frozen=True)
class OnnxNode(reading.Call):
    """An ONNX node and its surroundings.

    Values are those of one sample. Shapes leave out axis 0 where that has one entry, the sample,
    unless they are called full.

    `free` says that the file leaves the size of the batch open.

    `signal` and `shape` give inputs with the batch on axis 0, and refuse others. A reader that
    counts axes through `view` takes them wherever their batch is.
    """

    kind: str
    label: str
    opset: int
    attributes: Mapping[str, Any]
    inputs: tuple[Value | None, ...]
    output_count: int
    free: bool
    origin: NodeOrigin
    reserved: frozenset[str] = field(default_factory=frozenset, repr=False)
    _moved: dict[tuple[str | None, Layout], SignalValue] = field(default_factory=dict, repr=False)

    def refusal(self, reason: str, options: str) -> Refusal:
        return Refusal(*self.origin, reason, options)

    def has(self, index: int) -> bool:
        """Whether the optional input of this index is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def is_constant(self, index: int) -> bool:
        """Whether the input does not depend on the data."""
        return isinstance(self.inputs[index], ConstantValue)

    def _input(self, index: int) -> SignalValue | ConstantValue:
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise UnsupportedOp(f"its input {index} is missing")
        if isinstance(value, Missing):
            raise UnsupportedOp(value.why) if value.why else UnsupportedInput
        return value

    # --- signals ---------------------------------------------------------------------------------

    def signal(self, index: int) -> SignalValue:
        """A data input of one sample without its axis 0, the batch.

        Raises `UnsupportedOp` for a constant, and where axis 0 is none of a batch.
        """
        view = self.view(index)
        if view.layout == BATCH_FIRST:
            return view
        if view.full[:1] == (1,):
            return self._laid_out(view, BATCH_FIRST)
        raise UnsupportedOp(
            f"the batch is not axis 0 of its input {index}, of which one sample is {view.full}",
            KEEP_BATCH,
        )

    def shape(self, index: int = 0) -> Shape:
        """Unbatched shape of a data input whose batch is axis 0."""
        return self.signal(index).shape

    def view(self, index: int, *axes: int) -> SignalValue:
        """A data input of which these full axes are needed.

        Raises `UnsupportedOp` for a constant, and where an axis does not exist.
        """
        view = self._input(index)
        if isinstance(view, ConstantValue):
            raise UnsupportedOp(
                f"its input {index} is a constant where data is expected",
                "Fold constants before exporting (e.g. with onnxsim or the exporter's optimiser)",
            )
        if any(view.is_batch(axis) for axis in axes):
            view = self._laid_out(view, UNBATCHED)
        for axis in axes:
            view.axis(axis)  # raises
        return view

    def whole_sample(self, index: int) -> SignalValue:
        """A data input with all axes that ONNX has for one sample."""
        return self._laid_out(self.view(index), UNBATCHED)

    def _laid_out(self, view: SignalValue, layout: Layout) -> SignalValue:
        """The same value with its axis 0, or without it."""
        if view.layout == layout:
            return view
        key = (view.name, layout)
        if key not in self._moved:
            shape = view.full if layout == UNBATCHED else view.full[1:]
            made = self.add(Reshape(shape), view, part=f"{view.name} as one sample")
            self._moved[key] = replace(view, name=made.name, shape=made.shape, layout=layout)
        return self._moved[key]

    def alike(self, indices: Sequence[int], axis: int) -> list[SignalValue]:
        """Data inputs of one full rank, of which this axis is needed, in one layout."""
        views = [self.view(index, axis) for index in indices]
        if len({view.layout for view in views}) > 1:
            first = views[0].full_axis(axis) > 0 and all(view.full[:1] == (1,) for view in views)
            layout = BATCH_FIRST if first else UNBATCHED
            return [self._laid_out(view, layout) for view in views]
        return views

    def inputs_of_sample(self) -> list[Operand]:
        """All inputs of an elementwise operator, which broadcast against each other."""
        indices = range(len(self.inputs))
        views = {index: self.view(index) for index in indices if not self.is_constant(index)}
        if not views:
            self.view(0)  # raises: nothing here depends on the data
        arrays = {index: self.known(index) for index in indices if index not in views}
        own = max(len(view.shape) for view in views.values())
        rank = max(*(view.rank for view in views.values()), *(a.ndim for a in arrays.values()), 0)
        lead = all(view.full[:1] == (1,) for view in views.values() if view.rank == rank)
        lead = lead and all(a.shape[:1] == (1,) for a in arrays.values() if a.ndim == rank)
        own = max(own, rank - lead)
        layout = UNBATCHED if own == rank else BATCH_FIRST
        return [
            replace(views[index], layout=layout)
            if index in views
            else arrays[index].reshape(arrays[index].shape[max(arrays[index].ndim - own, 0) :])
            for index in indices
        ]

    # --- constants -------------------------------------------------------------------------------

    def constant(self, index: int) -> NDArray | None:
        """The value of a constant input, None where it is not given."""
        if not self.has(index):
            return None
        value = self._input(index)
        if isinstance(value, SignalValue):
            raise UnsupportedOp(
                f"its input {index} is computed from the data; it must be a constant",
                "Store it in the model as an initialiser",
            )
        return value.array

    def known(self, index: int) -> NDArray:
        """A constant input that must be there."""
        value = self.constant(index)
        if value is None:
            raise UnsupportedOp(f"its input {index} is missing")
        return value

    def parameter(self, index: int) -> NDArray:
        """A constant input that must be there and holds floating-point numbers."""
        value = self.known(index)
        if not np.issubdtype(value.dtype, np.floating):
            raise UnsupportedOp(f"its input {index} holds {value.dtype} values, not floating point")
        return value

    def optional(self, index: int) -> NDArray | None:
        """A constant input of floating-point numbers, None where it is not given."""
        return self.parameter(index) if self.has(index) else None

    def per_sample(self, index: int, like: ReadValue | int, axis: int | None = None) -> NDArray:
        """A constant operand beside a value, without the axis of the batch if it has that.

        In the place of a value, a number of axes stands for one of that rank with the batch first.
        `axis` is the constant's axis that is the batch's, if not that which aligns with it.
        """
        array = self.known(index)
        like = ReadValue(None, (1,) * (like - 1)) if isinstance(like, int) else like
        if axis is None and like.layout == BATCH_FIRST:
            axis = array.ndim - like.rank
        if axis is None or axis < 0:
            return array
        if array.shape[axis] != 1:
            raise UnsupportedOp(
                f"its constant of shape {array.shape} does not fit one sample of {like.shape}, or "
                "differs from sample to sample",
                "Use one without a batch axis: samples cannot be mixed in a spiking network.",
            )
        return array.reshape(*array.shape[:axis], *array.shape[axis + 1 :])

    def setting(self, name: str, index: int | None = None) -> Any:
        """A setting that is an attribute in some opsets and a constant input in others, or None."""
        if name in self.attributes:
            return self.attributes[name]
        return None if index is None else self.constant(index)

    def integers(self, name: str, index: int | None = None) -> tuple[int, ...] | None:
        """The same as a tuple of integers."""
        if name in self.attributes:
            return tuple(int(n) for n in np.ravel(self.attributes[name]))
        return None if index is None else self.whole_numbers(index)

    def whole_numbers(self, index: int) -> tuple[int, ...] | None:
        """A constant input of integers, None where it is not given."""
        value = self.constant(index)
        if value is None:
            return None
        if not np.issubdtype(value.dtype, np.integer):
            raise UnsupportedOp(f"its input {index} holds {value.dtype} values, not integers")
        return tuple(int(n) for n in np.ravel(value))

    # --- results ---------------------------------------------------------------------------------

    def origin_of(self, part: str) -> tuple[str, str, str]:
        wanted = unique_name(f"{self.label}:{part}", self.reserved) if part else self.label
        return wanted, *self.origin

    def array_of(self, constant: Any) -> NDArray:
        """A constant input, given by its index."""
        return self.parameter(constant)

    def rank_of(self, operand: Any) -> int:
        """Number of full axes of a signal, or of the constant input of an index."""
        if not isinstance(operand, int):
            return super().rank_of(operand)
        return self.known(operand).ndim

    def add(self, layer: Layer, *values: ReadValue, part: str = "") -> SignalValue:
        """Add a graph node and return its value.

        `part` names a step on the way (or a further output); without it the node is the ONNX
        node's first output and gets its name.
        """
        made = super().add(layer, *values, part=part)
        if made.name is None:
            raise UnsupportedInput  # the builder has noted the reason
        return SignalValue(made.name, made.shape, made.layout)

    def placed(self, name: str, layout: Layout = BATCH_FIRST) -> SignalValue:
        return SignalValue(name, self.builder.shapes[name], layout)

    def made(self, name: str) -> GraphNode:
        """The graph's node of this name."""
        return next(node for node in reversed(self.builder.nodes) if node.name == name)

    def reshaped(self, view: SignalValue, full: Sequence[int], part: str = "") -> SignalValue:
        """The same values in another shape, as ONNX has it for one sample."""
        made = self.add(Reshape(sample_shape(full)), view, part=part)
        return replace(made, layout=layout_of(full))


_TAILS = "ArgMax ArgMin TopK NonZero NonMaxSuppression Unique OneHot"
TAILS = frozenset((*_TAILS.split(), "ZipMap"))
"""Operators that end models which answer with positions or labels: `outputs` cuts them."""

_INTEGERS = Reason(
    "its integers have no one scale and zero, or an operator that reads them works on integers "
    "alone: real numbers cannot replace them",
    "Quantise activations with one scale for a tensor, or export the model before quantisation",
)
_UNKNOWN = Reason(
    "this function is not among those that are known",
    "Use an activation that is, and train the model again",
)
_UNPOOLS = Reason("it undoes a pooling, whose positions jump", "Use Resize or ConvTranspose")
_DRAWS = Reason(
    "it draws random numbers; a graph is deterministic", "Export the model for inference"
)
_VECTORS = Reason(
    "it compares its input with every support vector, which no layer of a network does",
    "Train logistic regression, LinearSVC or a multilayer perceptron on the same data",
)
_TREES = Reason(
    "its trees compare features with thresholds, and jump there",
    "Train a multilayer perceptron on the same data",
)
_NAMES = Reason(
    "it gives each score the name of its class, for a program to look up",
    "The scores are in the order of the classes",
)

_REASONS = by_kind(
    (
        _INTEGERS,
        "QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearConv QLinearMatMul "
        "ConvInteger MatMulInteger",
    ),
    (COMPARES, "Equal"),
    (JUMPS, "Sign Mod Hardmax"),
    (ORDERS, _TAILS),
    (_UNKNOWN, "Tan Asin Acos Atan Asinh Acosh Atanh Det LpPool GlobalLpPool"),
    (PLACES, "DeformConv GridSample RoiAlign MaxRoiPool"),
    (_UNPOOLS, "MaxUnpool"),
    (
        _DRAWS,
        "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial",
    ),
    (_VECTORS, "SVMClassifier SVMRegressor"),
    (_TREES, "TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor"),
    (LOOKS_UP, "CastMap CategoryMapper DictVectorizer LabelEncoder OneHotEncoder"),
    (_NAMES, "ZipMap"),
)


def reason_for(domain: str, operator: str) -> Reason:
    """The reason why this operator has no reading, and the options."""
    register = advise("reader of an ONNX operator", kind=operator, domain=domain)
    if domain and operator not in _REASONS:
        return Reason(f"it belongs to the domain {domain!r}, which has no readers", register)
    return _REASONS.get(operator, Reason("this operator has no reading", register))


Result = ReadValue | ConstantValue | Missing
Reader = Callable[[OnnxNode], Result | Sequence[Result]]

EVALUATORS: list[type] = []
"""Reference-evaluator operators (`onnx.reference.op_run.OpRun`) of custom domains."""

_readers: dict[tuple[str, str], Reader] = {}
READERS = MappingProxyType(_readers)
"""Every registered reader, by (domain, operator type); the standard domain is ""."""


def reads(
    *operators: str, domain: str = "", replace: bool = False, evaluator: type | None = None
) -> Callable[[Reader], Reader]:
    """Decorator: let a function read these operator types of a domain.

    The function gets an `OnnxNode` and returns the value of the operator's first output (or
    one value per output). It raises `UnsupportedOp` with the reason where it cannot.
    `replace` allows to take over an operator that has a reader; ValueError otherwise. `evaluator`,
    an `onnx.reference.op_run.OpRun` named like the operator, lets `verify` evaluate a domain of
    your own.

    ::

        @reads("Negate", domain="my.domain")
        def negate(node: OnnxNode) -> Value:
            return node.add(ScaleShift(scale=np.array(-1.0)), node.signal(0))

    `node.signal` wants the batch on axis 0. A reader that takes it wherever it is asks for a view,
    of the (full) axes that it needs::

        @reads("Total", domain="my.domain")
        def total(node: OnnxNode) -> Value:
            view = node.view(0, -1)
            return node.add(Sum((view.axis(-1),), keepdims=True), view)
    """
    domain = "" if domain == "ai.onnx" else domain  # two names of the standard operators

    def decorate(reader: Reader) -> Reader:
        for operator in operators:
            if (domain, operator) in _readers and not replace:
                raise ValueError(f"{operator!r} of domain {domain!r} has a reader; replace=True?")
            _readers[domain, operator] = reader
        if evaluator is not None:
            EVALUATORS.append(evaluator)
        return reader

    return decorate
