"""Operators of com.microsoft that onnxruntime's optimiser puts in the place of several others.

Each is written as the standard operators that it stands for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.readers.product import product_of
from spikewright.frontends.onnx.registry import READERS, Result, reads
from spikewright.frontends.onnx.values import Constant, Missing, Signal, Unreadable
from spikewright.frontends.onnx.values import Value as OnnxValue
from spikewright.frontends.reading.products import contracted, matrix_labels, ranks
from spikewright.frontends.reading.values import Value

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
    if all(isinstance(value, Constant) for value in inputs):
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
        raise Unreadable(f"its activation {kind!r} is none that is known")
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
        raise Unreadable("it turns leading axes of a matrix", "Optimise the file less")
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
        where = Constant(node.known(3)[None, :length])
    total = _step(node, "Add", [total, where], "placed")
    if segments is not None and kinds is not None:
        if isinstance(segments, Constant):
            rows: Any = Constant(node.known(4)[segments.array])
        else:
            rows = _step(node, "Gather", [kinds, segments], "segments")
        total = _step(node, "Add", [total, rows], "sum")
    made = _normalised(node, total, scale, shift)
    counted: Any = _NOT_READ
    if isinstance(mask, Signal):
        sums = _step(node, "ReduceSum", [mask, Constant(np.array([1]))], "tokens", {"keepdims": 0})
        counted = replace(sums, whole=mask.whole)
    return [made, counted, total]


@reads("Attention", domain=MICROSOFT)
def attention(node: OnnxNode) -> Any:
    """Self-attention of one matrix for queries, keys and values."""
    x, weight, bias, mask, past, scores = (_given(node, index) for index in range(6))
    heads = int(node.attributes.get("num_heads", 0))
    if past is not None or heads < 1:
        raise Unreadable("it reads keys and values of earlier calls", "Export without a cache")
    whole = _plus(node, _step(node, "MatMul", [x, weight], "product"), bias, "projected")
    width = node.known(1).shape[1]
    sizes = node.attributes.get("qkv_hidden_sizes") or [width // 3] * 3
    stops = np.cumsum([0, *sizes]).tolist()
    parts = []
    for name, *ends in zip("qkv", stops[:-1], stops[1:], strict=True):
        places = (Constant(np.array([n])) for n in (*ends, 2))
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
    full = mask.full if isinstance(mask, Signal) else mask.array.shape
    if len(full) > 2 or full[0] != 1:
        raise Unreadable(f"its mask has shape {full} for one sample", "Give (batch, length)")
    if isinstance(mask, Constant):
        kept = mask.array if len(full) == 2 else np.arange(length)[None] < mask.array[:, None]
        return Constant(np.where(kept, 0.0, low).astype(np.float32)[:, None, None])
    axes = Constant(np.array([1, 2, 3] if len(full) == 1 else [1, 2]))
    wide = _step(node, "Unsqueeze", [mask, axes], "mask")
    if len(full) == 1:
        wide = replace(wide, whole=mask.whole)
        wide = _step(node, "Greater", [wide, Constant(np.arange(length))], "kept")
    less = _step(node, "Sub", [Constant(np.array(1.0, np.float32)), wide], "left out")
    return _step(node, "Mul", [less, Constant(np.array(low, np.float32))], "hidden")
