"""Reasons why operators have no reader, and the alternatives."""

from __future__ import annotations

from spikewright.advice import advise
from spikewright.frontends.reading.reasons import (
    COMPARES,
    JUMPS,
    LOOKS_UP,
    ORDERS,
    PLACES,
    Reason,
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
