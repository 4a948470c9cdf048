"""Attention, in the spelling of each framework: one meaning, one number for minus infinity."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from keras_helpers import keras
from numpy.typing import NDArray
from onnx_helpers import NEWEST, model, node
from pytorch_helpers import Of
from torch.nn import functional as F

from spikewright.errors import UnsupportedLayerError
from spikewright.frontends import Source
from spikewright.frontends.keras import read as read_keras
from spikewright.frontends.onnx import read as read_onnx
from spikewright.frontends.pytorch import read as read_pytorch
from spikewright.frontends.reading.arithmetic import HIDDEN
from spikewright.frontends.reading.products import band
from spikewright.graph import evaluate
from spikewright.graph.layers import Activation, MatMul, ScaleShift
from spikewright.testing.frontends import check_call

HEADS, ROWS, COLUMNS, WIDTH = 4, 3, 5, 2
RNG = np.random.default_rng(0)
TRUTH = RNG.random((ROWS, COLUMNS)) > 0.4
TRUTH[:, 0] = True
NUMBERS = RNG.normal(size=(ROWS, COLUMNS)).astype(np.float32)
OF_HEADS = RNG.normal(size=(HEADS, ROWS, COLUMNS)).astype(np.float32)
BLIND = TRUTH & (np.arange(ROWS) != 1)[:, None]

CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "scaled": {"scale": 0.3},
    "causal": {"causal": True},
    "truth values": {"mask": TRUTH},
    "numbers": {"mask": NUMBERS},
    "a mask for each head": {"mask": OF_HEADS},
    "grouped": {"groups": 2, "causal": True},
    "one group": {"groups": 1, "mask": NUMBERS},
    "a key that is constant": {"constant": True, "mask": TRUTH},
}


def _constant(groups: int) -> NDArray:
    return np.random.default_rng(4).normal(size=(groups, COLUMNS, WIDTH)).astype(np.float32)


def _in_keras(
    groups: int = HEADS,
    scale: float | None = None,
    causal: bool = False,
    mask: NDArray | None = None,
    constant: bool = False,
) -> Source:
    query = keras.Input((ROWS, HEADS, WIDTH))
    key, value = (keras.Input((COLUMNS, groups, WIDTH)) for _ in range(2))
    given: dict[str, Any] = {"scale": scale, "is_causal": causal}
    if mask is not None:
        full = mask if mask.ndim == 3 else mask[None]
        given["mask" if mask.dtype == bool else "bias"] = full[None]
    inputs = [query, value] if constant else [query, key, value]
    keys = _constant(groups).swapaxes(0, 1)[None] if constant else key
    made = keras.ops.dot_product_attention(query, keys, value, **given)
    return read_keras(keras.Model(inputs, made))


def _in_pytorch(
    groups: int = HEADS,
    scale: float | None = None,
    causal: bool = False,
    mask: NDArray | None = None,
    constant: bool = False,
) -> Source:
    def forward(_: Any, query: Any, *others: Any) -> Any:
        fixed = torch.tensor(_constant(groups)).expand(query.size(0), -1, -1, -1)
        key, value = (fixed, *others) if constant else others
        attn = None if mask is None else torch.tensor(mask)
        return F.scaled_dot_product_attention(
            query, key, value, attn, is_causal=causal, scale=scale, enable_gqa=groups != HEADS
        )

    few = torch.randn(2, groups, COLUMNS, WIDTH)
    example = (torch.randn(2, HEADS, ROWS, WIDTH), *([few] if constant else [few, few]))
    return read_pytorch(Of(forward), example)


def _in_onnx(
    groups: int = HEADS,
    scale: float | None = None,
    causal: bool = False,
    mask: NDArray | None = None,
    constant: bool = False,
    cap: float = 0.0,
) -> Source:
    options: dict[str, Any] = {"is_causal": int(causal), "softcap": cap}
    options |= {} if scale is None else {"scale": scale}
    names = "q k v" if mask is None else "q k v m"
    few = ["n", groups, COLUMNS, WIDTH]
    inputs = {"q": ["n", HEADS, ROWS, WIDTH], "k": few, "v": few}
    constants = {} if mask is None else {"m": mask}
    if constant:
        del inputs["k"]
        constants["k"] = _constant(groups)[None]
    made = node("Attention", names, "y", "attention", **options)
    return read_onnx(model([made], inputs, ["y"], constants, opset=NEWEST))


READERS = {"keras": _in_keras, "pytorch": _in_pytorch, "onnx": _in_onnx}


def _expected(
    values: list[NDArray],
    groups: int = HEADS,
    scale: float | None = None,
    causal: bool = False,
    mask: NDArray | None = None,
    constant: bool = False,
    cap: float = 0.0,
) -> NDArray:
    """`softmax(scale Q K^T + mask) V`, a row that sees nothing zero."""
    query, *others = values
    key, value = (_constant(groups)[None], *others) if constant else others
    key, value = (np.repeat(x, HEADS // groups, axis=1) for x in (key, value))
    scores = query @ key.swapaxes(-1, -2) * (1 / math.sqrt(WIDTH) if scale is None else scale)
    scores = cap * np.tanh(scores / cap) if cap else scores
    if causal:
        scores = scores + np.where(np.tri(ROWS, COLUMNS, dtype=bool), 0.0, -np.inf)
    if mask is not None:
        scores = scores + (np.where(mask, 0.0, -np.inf) if mask.dtype == bool else mask)
    shares = np.exp(scores)
    return shares / np.maximum(shares.sum(-1, keepdims=True), 1e-300) @ value


def _feed(source: Source) -> dict[str, NDArray]:
    rng = np.random.default_rng(1)
    shapes = source.graph.shapes
    return {name: rng.normal(size=(3, *shapes[name])) for name in source.graph.inputs}


def _check(source: Source, reader: str, **case: Any) -> None:
    """The graph computes attention, and what the framework itself does."""
    feed = _feed(source)
    turned = [x.swapaxes(1, 2) if reader == "keras" else x for x in feed.values()]
    (found,) = evaluate(source.graph, feed).values()
    found = found.swapaxes(1, 2) if reader == "keras" else found
    np.testing.assert_allclose(found, _expected(turned, **case), rtol=1e-5, atol=1e-6)
    if reader != "onnx":  # onnxruntime does not run every option
        check_call(source, {k: v.astype(np.float32) for k, v in feed.items()}, 1e-5)


def _hidden(source: Source) -> set[float]:
    """The numbers that stand for minus infinity."""
    shifts = [n.layer.shift for n in source.graph if isinstance(n.layer, ScaleShift)]
    return {float(shift.min()) for shift in shifts if shift is not None and shift.min() < -100}


@pytest.mark.parametrize("name", list(CASES))
def test_attention_is_the_same_in_every_reader(name: str) -> None:
    """Outputs are those of the equation and of the framework; so are the graphs' products."""
    case, kinds = CASES[name], []
    for reader, read in READERS.items():
        source = read(**case)
        _check(source, reader, **case)
        hides = case.get("causal") or case.get("mask") is TRUTH
        assert _hidden(source) == ({HIDDEN} if hides else set())
        layers = [n.layer for n in source.graph]
        kinds.append([type(one) for one in layers if isinstance(one, MatMul | Activation)])
    assert kinds[0] == kinds[1] == kinds[2]


@pytest.mark.parametrize("reader", ["pytorch", "onnx"])
def test_a_query_that_sees_nothing_gives_zeros_where_that_is_meant(reader: str) -> None:
    """PyTorch's and ONNX's attention have no share to give then."""
    _check(READERS[reader](mask=BLIND), reader, mask=BLIND)


def test_a_query_that_sees_nothing_is_refused_where_numbers_differ() -> None:
    """Keras adds -1e9, and the mean of all values comes out: neither zero nor anything meant."""
    with pytest.raises(UnsupportedLayerError, match=r"leaves nothing of some rows"):
        _in_keras(mask=BLIND)


def test_scores_are_capped_where_that_can_be_said() -> None:
    """`cap tanh(scores / cap)`, before the mask."""
    _check(_in_onnx(cap=0.5, mask=TRUTH), "onnx", cap=0.5, mask=TRUTH)


def test_a_mask_that_is_computed_is_added_in_onnx_as_elsewhere() -> None:
    """A mask of numbers may depend on the data; truth values may not."""
    inputs = {n: ["n", 2, 3, 4] for n in "qkv"} | {"m": ["n", 1, 3, 3]}
    nodes = [node("Attention", "q k v m", "y", "attention", is_causal=1)]
    source = read_onnx(model(nodes, inputs, ["y"], opset=NEWEST))
    feed = _feed(source)
    scores = feed["q"] @ feed["k"].swapaxes(-1, -2) / 2 + feed["m"]
    scores = np.where(np.tri(3, dtype=bool), scores, -np.inf)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    (found,) = evaluate(source.graph, feed).values()
    expected = shares / shares.sum(-1, keepdims=True) @ feed["v"]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize(("before", "after"), [(None, 0), (1, 1), (0, None), (None, None)])
def test_bands(before: int | None, after: int | None) -> None:
    """A query sees keys from so far before to so far after its own place."""
    found = band(4, 6, before, after)
    for row, column in np.ndindex(4, 6):
        seen = (before is None or row - column <= before) and (
            after is None or column - row <= after
        )
        assert found[row, column] == (0.0 if seen else -np.inf)


def test_the_number_for_minus_infinity_has_no_share() -> None:
    """Its exponential is zero, even where scores are a thousand apart."""
    assert np.exp(HIDDEN + 1000.0) == 0.0


def _plain(heads: int, groups: int, mask: NDArray | None = None, **constants: NDArray) -> Source:
    """ONNX's attention of so many heads; queries, keys or values may be constants."""
    few = ["n", groups, COLUMNS, WIDTH]
    inputs = {"q": ["n", heads, ROWS, WIDTH], "k": few, "v": few}
    known = constants | ({} if mask is None else {"m": mask})
    given = {name: shape for name, shape in inputs.items() if name not in known}
    made = node("Attention", "q k v" if mask is None else "q k v m", "y", "it")
    return read_onnx(model([made], given, ["y"], known, opset=NEWEST))


def test_what_cannot_be_attended_is_refused() -> None:
    """Heads that do not divide, and scores that read no input."""
    with pytest.raises(UnsupportedLayerError, match="4 heads of queries do not divide into 3"):
        _plain(4, 3)
    query = np.ones((1, 3, ROWS, WIDTH), np.float32)
    with pytest.raises(UnsupportedLayerError, match="none of its operands depends on the input"):
        _plain(3, 3, q=query, k=_constant(3)[None])


def test_masks_that_do_not_fit_are_refused() -> None:
    """A mask has as many keys as the scores, and heads no more."""
    with pytest.raises(UnsupportedLayerError, match=r"shapes .*\(3, 9\).* do not broadcast"):
        _plain(1, 1, np.zeros((ROWS, 9), np.float32))
    with pytest.raises(UnsupportedLayerError, match=r"\(4, 3, 5\) does not fit scores of \(1, 3"):
        _plain(1, 1, OF_HEADS)
