"""Operators of other domains: of scikit-learn's models, and of onnxruntime's optimiser.

Those of com.microsoft stand for several others, and each is written as the standard operators that
it stands for; those of ai.onnx.ml are linear models and scalers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.reductions import product_of
from spikewright.frontends.onnx.registry import READERS, OnnxNode, Result, reads
from spikewright.frontends.onnx.values import (
    ConstantValue,
    Label,
    Missing,
    SignalValue,
    UnsupportedOp,
)
from spikewright.frontends.onnx.values import Value as OnnxValue
from spikewright.frontends.reading.call import Value
from spikewright.frontends.reading.products import contracted, matrix_labels, ranks
from spikewright.frontends.reading.reductions import reduced
from spikewright.frontends.reading.selection import taken
from spikewright.frontends.reading.truth import STEP
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
        raise UnsupportedOp(
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
            raise UnsupportedOp(
                "it makes a softmax of one score, which evaluators understand apart"
            )
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
        raise UnsupportedOp("its offset or its scale is missing")
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
        raise UnsupportedOp(f"its norm is {norm!r}, which the standard does not know")
    kind = "norm 1" if norm == "L1" else "max"
    return node.add(Divide(), view, reduced(node.inside("norm"), view, kind, (axis,), True))


def _sums_to_one(node: OnnxNode, view: SignalValue) -> bool:
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
        raise UnsupportedOp("its numbers of features are missing")
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
        raise UnsupportedOp(
            "it replaces one number by another, a jump for the smallest difference",
            "Apply it to the data, before the network",
        )
    return node.add(Identity(), node.view(0))


MICROSOFT = "com.microsoft"
_ALPHAS = {"Clip": ("min", "max"), "HardSigmoid": ("alpha", "beta"), "LeakyRelu": ("alpha",)}
_NOT_READ = Missing("it reads statistics or a mask that a fused operator makes beside its result")


def _step(
    node: OnnxNode,
    kind: str,
    inputs: Sequence[Any],
    part: str = "",
    attributes: Mapping[str, Any] | None = None,
) -> Any:
    """The results of a standard operator, a `part` of the node or the last one."""
    label = f"{node.label}:{part}" if part else node.label
    step = replace(
        node, kind=kind, label=label, inputs=tuple(inputs), attributes=attributes or {}, opset=13
    )
    if all(isinstance(value, ConstantValue) for value in inputs):
        step.view(0)  # raises: nothing here depends on the data
    return READERS["", kind](step)


def _given(node: OnnxNode, index: int) -> OnnxValue | None:
    """An input, or None where it is left out."""
    return node.inputs[index] if node.has(index) else None


def _plus(node: OnnxNode, value: Any, other: OnnxValue | None, part: str = "sum") -> Any:
    """A value and another one, which may be left out."""
    return value if other is None else _step(node, "Add", [value, other], part)


def _activated(node: OnnxNode, value: Value, settings: Mapping[str, float]) -> Any:
    """The activation that follows a fused operator."""
    kind = str(node.attributes.get("activation", ""))
    if ("", kind) not in READERS:
        raise UnsupportedOp(f"its activation {kind!r} is none that is known")
    return _step(node, kind, [value], "", settings)


@reads("FusedConv", domain=MICROSOFT)
def fused_convolution(node: OnnxNode) -> Result:
    """A Conv, a value that is added, and an activation."""
    made = _step(node, "Conv", node.inputs[:3], "convolution", node.attributes)
    made = _plus(node, made, _given(node, 3))
    kind, given = node.attributes.get("activation"), node.attributes.get("activation_params") or ()
    return _activated(node, made, dict(zip(_ALPHAS.get(str(kind), ()), given, strict=False)))


@reads("FusedGemm", domain=MICROSOFT)
def fused_gemm(node: OnnxNode) -> Result:
    """A Gemm and an activation."""
    made = _step(node, "Gemm", node.inputs[:3], "product", node.attributes)
    names = _ALPHAS.get(str(node.attributes.get("activation")), ())
    sources = zip(names, ("activation_alpha", "activation_beta"), strict=False)
    settings = {name: node.attributes[key] for name, key in sources if key in node.attributes}
    return _activated(node, made, settings)


@reads("FusedMatMul", "TransposeMatMul", domain=MICROSOFT)
def fused_product(node: OnnxNode) -> Value:
    """`alpha` times the product of matrices, of which either may be transposed."""
    if node.attributes.get("transBatchA") or node.attributes.get("transBatchB"):
        raise UnsupportedOp("it turns leading axes of a matrix", "Optimise the file less")
    alpha = float(node.attributes.get("alpha", 1.0))

    def product(given: list[Any]) -> Value:
        labels, result = matrix_labels(*ranks(node, given))
        for index, name in enumerate(("transA", "transB")):
            if node.attributes.get(name) and len(labels[index]) > 1:
                labels[index] = (*labels[index][:-2], *labels[index][:-3:-1])
        return contracted(node, given, labels, result, alpha=alpha)

    return product_of(node, product)


@reads("BiasGelu", "Gelu", "FastGelu", domain=MICROSOFT)
def gelu(node: OnnxNode) -> Result:
    """The GELU of a value and a bias; that of FastGelu is approximated by tanh."""
    value = _plus(node, node.inputs[0], _given(node, 1))
    approximate = "tanh" if node.kind == "FastGelu" else "none"
    return _step(node, "Gelu", [value], "", {"approximate": approximate})


@reads("QuickGelu", domain=MICROSOFT)
def quick_gelu(node: OnnxNode) -> Result:
    """`x sigmoid(alpha x)`."""
    alpha = float(node.attributes.get("alpha", 1.702))
    return _step(node, "Swish", node.inputs[:1], "", {"alpha": alpha})


@reads("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", domain=MICROSOFT)
def skip_normalization(node: OnnxNode) -> list[Any]:
    """The layer normalisation, or that by the root mean square, of a sum."""
    simple = node.kind == "SkipSimplifiedLayerNormalization"
    total = _plus(node, node.inputs[0], node.inputs[1], "skip")
    total = _plus(node, total, _given(node, 3 if simple else 4))
    made = _normalised(node, total, _given(node, 2), None if simple else _given(node, 3), simple)
    return [made, _NOT_READ, _NOT_READ, total]


def _normalised(
    node: OnnxNode, value: Any, scale: Any, shift: Any = None, simple: bool = False
) -> Any:
    settings = {"epsilon": node.attributes.get("epsilon", 1e-12), "axis": -1}
    if simple:
        return _step(node, "RMSNormalization", [value, scale], "", settings)
    given = [value, scale] if shift is None else [value, scale, shift]
    return _step(node, "LayerNormalization", given, "", settings)


@reads("SimplifiedLayerNormalization")
def simplified_normalization(node: OnnxNode) -> Result:
    """Normalisation by the root mean square, under onnxruntime's older name."""
    return _step(node, "RMSNormalization", node.inputs[:2], "", node.attributes)


@reads("EmbedLayerNormalization", domain=MICROSOFT)
def embedding(node: OnnxNode) -> list[Any]:
    """The sum of the embeddings of tokens, positions and segments, normalised."""
    tokens, segments, words, places, kinds, scale, shift, mask, numbers = (
        _given(node, index) for index in range(9)
    )
    total = _step(node, "Gather", [words, tokens], "words")
    if numbers is not None:
        where = _step(node, "Gather", [places, numbers], "positions")
    else:
        length = node.view(0).full[1]
        where = ConstantValue(node.known(3)[None, :length])
    total = _step(node, "Add", [total, where], "placed")
    if segments is not None and kinds is not None:
        if isinstance(segments, ConstantValue):
            rows: Any = ConstantValue(node.known(4)[segments.array])
        else:
            rows = _step(node, "Gather", [kinds, segments], "segments")
        total = _step(node, "Add", [total, rows], "sum")
    made = _normalised(node, total, scale, shift)
    counted: Any = _NOT_READ
    if isinstance(mask, SignalValue):
        sums = _step(
            node, "ReduceSum", [mask, ConstantValue(np.array([1]))], "tokens", {"keepdims": 0}
        )
        counted = replace(sums, whole=mask.whole)
    return [made, counted, total]


@reads("Attention", domain=MICROSOFT)
def attention(node: OnnxNode) -> Any:
    """Self-attention of one matrix for queries, keys and values."""
    x, weight, bias, mask, past, scores = (_given(node, index) for index in range(6))
    heads = int(node.attributes.get("num_heads", 0))
    if past is not None or heads < 1:
        raise UnsupportedOp("it reads keys and values of earlier calls", "Export without a cache")
    whole = _plus(node, _step(node, "MatMul", [x, weight], "product"), bias, "projected")
    width = node.known(1).shape[1]
    sizes = node.attributes.get("qkv_hidden_sizes") or [width // 3] * 3
    stops = np.cumsum([0, *sizes]).tolist()
    parts = []
    for name, *ends in zip("qkv", stops[:-1], stops[1:], strict=True):
        places = (ConstantValue(np.array([n])) for n in (*ends, 2))
        parts.append(_step(node, "Slice", [whole, *places], name))
    settings = {"q_num_heads": heads, "kv_num_heads": heads}
    if node.attributes.get("unidirectional"):
        settings["is_causal"] = 1
    if node.attributes.get("scale"):
        settings["scale"] = node.attributes["scale"]
    if mask is not None:
        hidden = _hidden(node, mask, node.view(0).full[1])
        scores = _plus(node, hidden, scores, "masks")
    given = [*parts, scores] if scores is not None else parts
    return [_step(node, "Attention", given, "", settings), _NOT_READ]


def _hidden(node: OnnxNode, mask: Any, length: int) -> Any:
    """A mask `(batch, length)`, or numbers of tokens `(batch,)`, as what is added to scores."""
    low = float(node.attributes.get("mask_filter_value", -10000.0))
    full = mask.full if isinstance(mask, SignalValue) else mask.array.shape
    if len(full) > 2 or full[0] != 1:
        raise UnsupportedOp(f"its mask has shape {full} for one sample", "Give (batch, length)")
    if isinstance(mask, ConstantValue):
        kept = mask.array if len(full) == 2 else np.arange(length)[None] < mask.array[:, None]
        return ConstantValue(np.where(kept, 0.0, low).astype(np.float32)[:, None, None])
    axes = ConstantValue(np.array([1, 2, 3] if len(full) == 1 else [1, 2]))
    wide = _step(node, "Unsqueeze", [mask, axes], "mask")
    if len(full) == 1:
        wide = replace(wide, whole=mask.whole)
        wide = _step(node, "Greater", [wide, ConstantValue(np.arange(length))], "kept")
    less = _step(node, "Sub", [ConstantValue(np.array(1.0, np.float32)), wide], "left out")
    return _step(node, "Mul", [less, ConstantValue(np.array(low, np.float32))], "hidden")
