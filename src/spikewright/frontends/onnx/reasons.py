"""Reasons why operators have no reader, and the alternatives."""

from __future__ import annotations

_REGISTER = "Register a reader for it with spikewright.frontends.onnx.reads"

_TAILS = "ArgMax ArgMin TopK NonZero NonMaxSuppression Unique OneHot"
TAILS = frozenset((*_TAILS.split(), "ZipMap"))
"""Operators that end models which answer with positions or labels: `outputs` cuts them."""

_FAMILIES: tuple[tuple[str, str, str], ...] = (
    (
        "QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearConv QLinearMatMul "
        "ConvInteger MatMulInteger",
        "its integers have no one scale and zero, or an operator that reads them works on integers "
        "alone: real numbers cannot replace them",
        "Quantise activations with one scale for a tensor, or export the model before quantisation",
    ),
    (
        "Equal Xor",
        "it computes truth values from the data; values here are real numbers",
        "Write the choice with Relu, Max, Min, Clip or another activation",
    ),
    (
        "Sign Floor Ceil Round Mod Hardmax",
        "it jumps, so that small differences of its input make large ones",
        "Use a continuous function and train the model again",
    ),
    (
        _TAILS,
        "it makes positions out of values; values here are real numbers",
        "Choose from the outputs",
    ),
    (
        "Tan Asin Acos Atan Asinh Acosh Atanh Det LpPool GlobalLpPool",
        "this function is not among those that are known",
        "Use an activation that is, and train the model again",
    ),
    (
        "DeformConv MaxUnpool GridSample RoiAlign MaxRoiPool",
        "where it reads is computed from the data, or it undoes a pooling",
        "Use Resize, ConvTranspose or Conv",
    ),
    (
        "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial",
        "it draws random numbers; a graph is deterministic",
        "Export the model for inference",
    ),
    (
        "SVMClassifier SVMRegressor",
        "it compares its input with every support vector, which no layer of a network does",
        "Train logistic regression, LinearSVC or a multilayer perceptron on the same data",
    ),
    (
        "TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor",
        "its trees compare features with thresholds, and jump there",
        "Train a multilayer perceptron on the same data",
    ),
    (
        "CastMap CategoryMapper DictVectorizer LabelEncoder OneHotEncoder",
        "it looks something up by whole numbers or text, and a network is given real numbers",
        "Apply it to the data, before the network",
    ),
    (
        "ZipMap",
        "it gives each score the name of its class, for a program to look up",
        "The scores are in the order of the classes",
    ),
)

_REASONS = {
    operator: (reason, options)
    for operators, reason, options in _FAMILIES
    for operator in operators.split()
}


def reason_for(domain: str, operator: str) -> tuple[str, str]:
    """The reason why this operator has no reading, and the options."""
    if domain and operator not in _REASONS:
        return f"it belongs to the domain {domain!r}, which has no readers", _REGISTER
    return _REASONS.get(operator, ("this operator has no reading", _REGISTER))
