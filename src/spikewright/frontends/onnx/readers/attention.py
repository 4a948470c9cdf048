"""Attention (operator set 23), as the products and the softmax that it stands for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.onnx.node import OnnxNode
from spikewright.frontends.onnx.readers.arithmetic import MASKED
from spikewright.frontends.onnx.registry import reads
from spikewright.frontends.onnx.values import Unreadable
from spikewright.frontends.reading.values import Value, common_shape
from spikewright.graph.layers import (
    Activation,
    Layer,
    MatMul,
    Permute,
    Reshape,
    ScaleShift,
    UpsampleNearest,
)

_STATELESS = "Export the model without a cache of keys and values"


@reads("Attention")
def attention(node: OnnxNode) -> Value:
    """`softmax(scale Q K^T + mask) V`, head by head; the mask must be constant.

    Inputs of three axes hold the heads side by side. A masked score is -10000, not minus infinity:
    its exponential is zero all the same.
    """
    if any(node.has(index) for index in (4, 5, 6)):
        raise Unreadable("it reads keys and values of earlier calls", _STATELESS)
    joined = len(node.shape(0)) == 2
    queries = _heads(node, 0, "q_num_heads")
    keys, values = (_heads(node, index, "kv_num_heads") for index in (1, 2))
    (heads, rows, size), (groups, columns, _) = queries.shape, keys.shape
    if heads % groups:
        raise Unreadable(f"{heads} heads of queries do not divide into {groups} of keys")
    if heads != groups:
        repeat = UpsampleNearest((heads // groups, 1, 1))
        keys = node.add(repeat, keys, part="keys repeated")
        values = node.add(repeat, values, part="values repeated")
    scores = node.add(MatMul(transpose_b=True), queries, keys, part="products")
    bias, seen = _bias(node, heads, rows, columns)
    scale = float(node.attributes.get("scale") or size**-0.5)
    steps: list[tuple[str, Layer]] = _capped(scale, float(node.attributes.get("softcap", 0.0)))
    if bias is not None:
        steps += [("masked", ScaleShift(shift=bias))]
    steps += [("weights", Activation("softmax", {"axis": -1}))]
    if not seen.all():
        steps += [("weights seen", ScaleShift(seen.astype(np.float64)))]
    weights = node.chain(scores, *steps[:-1], ("", steps[-1][1]), part=steps[-1][0])
    if not joined:
        return node.add(MatMul(), weights, values)
    mixed = node.add(MatMul(), weights, values, part="mixed")
    turned = node.add(Permute((1, 0, 2)), mixed, part="turned")
    return node.add(Reshape((rows, heads * values.shape[2])), turned)


def _capped(scale: float, cap: float) -> list[tuple[str, Layer]]:
    """Scores scaled, and bent to stay within `cap` where that is not zero."""
    if cap == 0:
        return [("scores", ScaleShift(np.array(scale)))]
    return [
        ("scores", ScaleShift(np.array(scale / cap))),
        ("bent", Activation("tanh")),
        ("capped", ScaleShift(np.array(cap))),
    ]


def _heads(node: OnnxNode, index: int, attribute: str) -> Value:
    """An input as `(heads, length, size)`."""
    x = node.signal(index)
    shape = x.shape
    if len(shape) == 3:
        return x
    heads = int(node.attributes.get(attribute, 0))
    if len(shape) != 2 or heads < 1 or shape[1] % heads:
        raise Unreadable(f"its input {index} of unbatched shape {shape} has not {heads} heads")
    split = (shape[0], heads, shape[1] // heads)
    what = ("queries", "keys", "values")[index]
    return node.chain(x, ("split", Reshape(split)), ("", Permute((1, 0, 2))), part=what)


def _bias(node: OnnxNode, heads: int, rows: int, columns: int) -> tuple[NDArray | None, NDArray]:
    """The bias of the scores, or None, and a mask `(..., rows, 1)` of rows that see a key."""
    bias = np.zeros((rows, columns))
    if node.has(3):
        mask = node.per_sample(3, 4)
        if mask.dtype == np.bool_:
            mask = np.where(mask, 0.0, -np.inf)
        missing = columns - mask.shape[-1]
        if missing > 0:
            pairs = [(0, 0)] * (mask.ndim - 1) + [(0, missing)]
            mask = np.pad(mask.astype(np.float64), pairs, constant_values=-np.inf)
        lead = mask.shape[:-2]
        scores = np.zeros((*(1,) * len(lead), rows, columns))
        if common_shape(mask, scores) != (*lead, rows, columns):
            raise Unreadable(f"its mask of {mask.shape} a sample does not fit {bias.shape} scores")
        bias = bias + mask
    after = np.arange(columns) - np.arange(rows)[:, None]
    hidden = np.zeros((rows, columns), bool)
    if node.attributes.get("is_causal", 0):
        hidden |= after > 0
    left, right = (int(node.attributes.get(f"{s}_window_size", -1)) for s in ("left", "right"))
    if left >= 0:
        hidden |= -after > left
    if right >= 0:
        hidden |= after > right
    bias = np.where(hidden, -np.inf, bias)
    seen = np.asarray(np.isfinite(bias).any(axis=-1, keepdims=True))
    if np.any(bias.shape[:-2] and bias.shape[-3] not in (1, heads)):
        raise Unreadable(f"its mask of {bias.shape} a sample does not fit {heads} heads")
    found = np.where(np.isneginf(bias), MASKED, bias)
    return (found if found.any() else None), seen
