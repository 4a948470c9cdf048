"""The registry of readers of ONNX operators, and reasons why others have none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType

from spikewright.advice import advise
from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.values import ConstantValue, Missing
from spikewright.frontends.reading.call import (
    COMPARES,
    JUMPS,
    LOOKS_UP,
    ORDERS,
    PLACES,
    Reason,
    Value,
    by_kind,
)

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


Result = Value | ConstantValue | Missing
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
    one value per output). It raises `Unreadable` with the reason where it cannot.
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
