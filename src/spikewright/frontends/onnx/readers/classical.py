"""The operators of scikit-learn's models: linear models and scalers of ai.onnx.ml."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Label, Signal, Unreadable
from spikewright.frontends.reading.reductions import reduced
from spikewright.frontends.reading.selection import taken
from spikewright.frontends.reading.truth import STEP
from spikewright.frontends.reading.values import Value
from spikewright.graph.layers import (
    Activation,
    Affine,
    Concatenate,
    Divide,
    Identity,
    ScaleShift,
    UnitNormalization,
)

ML = "ai.onnx.ml"


def _numbers(node: OnnxNode, name: str) -> NDArray:
    """An attribute of real numbers; empty where it is left out."""
    return np.array(node.attributes.get(name, ()), np.float32)


def _linear(node: OnnxNode, weight: NDArray, shift: NDArray) -> Value:
    """`W x + b`, and the operations that follow it."""
    view = node.view(0, -1)
    then = node.attributes.get("post_transform", "NONE")
    functions = {"NONE": "", "LOGISTIC": "sigmoid", "SOFTMAX": "softmax"}
    if then not in functions:
        raise Unreadable(
            f"it transforms scores by {then}", "NONE, LOGISTIC and SOFTMAX can be read"
        )
    layer = Affine(weight, shift if shift.size else None)
    if then == "NONE":
        return node.add(layer, view)
    scores = node.add(layer, view, part="scores")
    parameters = {"axis": -1} if then == "SOFTMAX" else {}
    return node.add(Activation(functions[then], parameters), scores)


@reads("LinearClassifier", domain=ML)
def linear_classifier(node: OnnxNode) -> Sequence[Value | Label]:
    """Scores of classes; the label that goes with them is none that can be read."""
    features, shift = node.view(0, -1).shape[-1], _numbers(node, "intercepts")
    weight = _numbers(node, "coefficients").reshape(-1, features)
    labels = node.attributes.get("classlabels_ints") or node.attributes.get("classlabels_strings")
    if len(weight) == 1 and len(labels or ()) == 2:  # of two classes one score says all
        then = node.attributes.get("post_transform", "NONE")
        if then == "SOFTMAX":
            raise Unreadable("it makes a softmax of one score, which evaluators understand apart")
        whole = np.float32(0 if then == "LOGISTIC" else 1)  # onnxruntime's 1 - score, for the other
        weight, shift = np.concatenate([-weight, weight]), np.concatenate([whole - shift, shift])
    return [Label(), _linear(node, weight, shift)]


@reads("LinearRegressor", domain=ML)
def linear_regressor(node: OnnxNode) -> Value:
    """As many linear functions as there are targets."""
    targets = int(node.attributes.get("targets", 1))
    weight = _numbers(node, "coefficients").reshape(targets, -1)
    return _linear(node, weight, _numbers(node, "intercepts"))


@reads("Scaler", domain=ML)
def scaler(node: OnnxNode) -> Value:
    """`(x - offset) scale`, one number each or one for each feature."""
    offset, scale = (_numbers(node, name).astype(np.float64) for name in ("offset", "scale"))
    if not offset.size or not scale.size:
        raise Unreadable("its offset or its scale is missing")
    return node.add(ScaleShift(_one(scale), _one(-offset * scale)), node.view(0))


def _one(value: NDArray) -> NDArray:
    return value.reshape(()) if value.size == 1 else value


@reads("Normalizer", domain=ML)
def normalizer(node: OnnxNode) -> Value:
    """Features over the sum of their magnitudes (L1), their length (L2), or the largest (MAX)."""
    norm, view = node.attributes.get("norm", "MAX"), node.view(0, -1)
    axis = view.axis(-1)
    if norm == "L2":
        return node.add(UnitNormalization((axis,)), view)
    if norm == "L1" and _sums_to_one(node, view):
        return node.add(Identity(), view)
    if norm not in ("L1", "MAX"):
        raise Unreadable(f"its norm is {norm!r}, which the standard does not know")
    kind = "norm 1" if norm == "L1" else "max"
    return node.add(Divide(), view, reduced(node, view, kind, (axis,), True, "norm"))


def _sums_to_one(node: OnnxNode, view: Signal) -> bool:
    """Whether a signal is a softmax over its last axis, as scikit-learn's classifiers have it."""
    made = {made.name: made for made in node.builder.nodes}
    found = made[view.node]
    while isinstance(found.layer, Identity):
        found = made[found.inputs[0]]
    layer = found.layer
    softmax = isinstance(layer, Activation) and layer.function == "softmax"
    return softmax and layer.axis(len(view.shape)) == -1  # type: ignore[attr-defined]


@reads("ArrayFeatureExtractor", domain=ML)
def array_feature_extractor(node: OnnxNode) -> Value:
    """Features by constant numbers, of the last axis."""
    indices = node.constant(1)
    if indices is None:
        raise Unreadable("its numbers of features are missing")
    view = node.view(0, -1)
    return taken(node, view, np.ravel(indices), view.axis(-1))


@reads("FeatureVectorizer", domain=ML)
def feature_vectorizer(node: OnnxNode) -> Value:
    """Features of all inputs side by side."""
    return node.add(Concatenate(0), *(node.signal(index) for index in range(len(node.inputs))))


@reads("Binarizer", domain=ML)
def binarizer(node: OnnxNode) -> Value:
    """One above a threshold, else zero."""
    shift = 1.0 - float(node.attributes.get("threshold", 0.0))
    view = node.view(0)
    return node.chain(view, ("difference", ScaleShift(shift=np.array(shift))), ("", STEP))


@reads("Imputer", domain=ML)
def imputer(node: OnnxNode) -> Value:
    """Unchanged, where it replaces NaN alone."""
    if not np.isnan(float(node.attributes.get("replaced_value_float", 0.0))):
        raise Unreadable(
            "it replaces one number by another, a jump for the smallest difference",
            "Apply it to the data, before the network",
        )
    return node.add(Identity(), node.view(0))
