"""Cases of the operators of ai.onnx.ml: nodes with their attributes, on four features."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx_helpers import model, node, random

ML = "ai.onnx.ml"
THREE = {"coefficients": random(12).tolist(), "intercepts": random(3, seed=1).tolist()}
ONE = {"coefficients": random(4).tolist(), "intercepts": [0.3]}
POST = ("NONE", "LOGISTIC", "SOFTMAX")
CLASSES = {"classlabels_ints": [2, 5, 7]}
TWO = {"classlabels_strings": ["no", "yes"]}
INDICES = {"i": np.array([2, 0]), "j": np.array([[3]])}

CASES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "LinearClassifier": [
        *(("x", {**CLASSES, **THREE, "post_transform": then}) for then in POST),
        *(("x", {**TWO, **ONE, "post_transform": then}) for then in POST[:2]),
        ("x", {**TWO, "coefficients": random(8).tolist(), "intercepts": [0.1, 0.2],
               "post_transform": "LOGISTIC"}),
    ],
    "LinearRegressor": [
        ("x", ONE),
        ("x", {**THREE, "targets": 3}),
    ],
    "Scaler": [
        ("x", {"offset": random(4).tolist(), "scale": random(4, seed=1).tolist()}),
        ("x", {"offset": [0.4], "scale": [2.5]}),
    ],
    "Normalizer": [("x", {"norm": norm}) for norm in ("L1", "L2", "MAX")],
    "ArrayFeatureExtractor": [("x i", {}), ("x j", {})],
    "FeatureVectorizer": [("x x", {"inputdimensions": [4, 4]}), ("x", {"inputdimensions": [4]})],
    "Binarizer": [("x", {"threshold": 0.3})],
    "Imputer": [("x", {"imputed_value_floats": [1.0], "replaced_value_float": float("nan")})],
}  # fmt: skip


def classical(operator: str, inputs: str, attributes: dict[str, Any]) -> onnx.ModelProto:
    """A model of one node `it`, with its scores for output."""
    outputs = "label y" if operator == "LinearClassifier" else "y"
    nodes = [node(operator, inputs, outputs, "it", domain=ML, **attributes)]
    weights = {name: value for name, value in INDICES.items() if name in inputs.split()}
    return model(nodes, {"x": ["n", 4]}, ["y"], weights, domains=[ML])
