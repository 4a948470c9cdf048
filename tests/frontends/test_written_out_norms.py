"""Root mean square normalisation as models write it: one layer of the graph, in every reader."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from keras_helpers import keras
from onnx_helpers import model, node
from pytorch_helpers import Of

from spikewright.frontends import Source
from spikewright.frontends.keras import read as read_keras
from spikewright.frontends.onnx import read as read_onnx
from spikewright.frontends.pytorch import read as read_pytorch
from spikewright.graph import evaluate
from spikewright.graph.layers import RMSNormalization
from spikewright.passes import run

ROWS, WIDTH, EPS = 3, 8, 1e-5
SCALE = np.linspace(0.5, 2.0, WIDTH, dtype=np.float32)


def _keras_rsqrt() -> Source:
    x, ops = keras.Input((ROWS, WIDTH)), keras.ops
    mean = ops.mean(ops.square(x), axis=-1, keepdims=True)
    return read_keras(keras.Model(x, x * ops.rsqrt(mean + EPS) * SCALE))


def _keras_quotient() -> Source:
    x, ops = keras.Input((ROWS, WIDTH)), keras.ops
    mean = ops.mean(ops.power(x, 2), axis=-1, keepdims=True)
    return read_keras(keras.Model(x, x / ops.sqrt(mean + EPS) * SCALE))


def _llama(_: Of, x: torch.Tensor) -> torch.Tensor:
    wide = x.to(torch.float32)
    shares = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + EPS)
    return torch.tensor(SCALE) * (wide * shares).to(x.dtype)


def _t5(_: Of, x: torch.Tensor) -> torch.Tensor:
    return x / torch.sqrt((x * x).mean(2, True) + EPS) * torch.tensor(SCALE)


def _put_back(_: Of, x: torch.Tensor) -> torch.Tensor:
    mean = (x**2).sum(-1) / WIDTH
    return x * (mean + EPS).pow(-0.5).unsqueeze(-1) * torch.tensor(SCALE)


def _in_pytorch(forward: Callable[..., torch.Tensor]) -> Source:
    return read_pytorch(Of(forward), torch.randn(2, ROWS, WIDTH))


def _in_onnx(*ends: str) -> Source:
    nodes = [
        node("Pow", "x two", "q", "pow"),
        node("ReduceMean", "q axes", "m", "mean", keepdims=1),
        node("Add", "m eps", "e", "add"),
        node("Sqrt", "e", "r", "sqrt"),
        *(node(*end.split(":")) for end in ends),
        node("Mul", "w n", "y", "scaled"),
    ]
    constants = {
        "two": np.float32(2), "eps": np.float32(EPS), "one": np.float32(1), "w": SCALE,
        "axes": np.array([-1]),
    }  # fmt: skip
    return read_onnx(model(nodes, {"x": ["n", ROWS, WIDTH]}, ["y"], constants))


READ: dict[str, Callable[[], Source]] = {
    "keras, rsqrt": _keras_rsqrt,
    "keras, a quotient": _keras_quotient,
    "pytorch, Llama": lambda: _in_pytorch(_llama),
    "pytorch, T5": lambda: _in_pytorch(_t5),
    "pytorch, an axis put back": lambda: _in_pytorch(_put_back),
    "onnx, a quotient": lambda: _in_onnx("Div:x r:n:div"),
    "onnx, a reciprocal": lambda: _in_onnx("Reciprocal:r:o:reciprocal", "Mul:x o:n:mul"),
    "onnx, one over it": lambda: _in_onnx("Div:one r:o:div", "Mul:x o:n:mul"),
}


@pytest.mark.parametrize("case", READ)
def test_it_is_one_layer(case: str) -> None:
    """Of the passes' graph one layer is left, and the scale; values are those of the equation."""
    graph = READ[case]().graph
    done, _ = run(graph)
    kinds = [node.layer.kind for node in done]
    assert kinds == ["Input", "RMSNormalization", "ScaleShift"]
    x = np.random.default_rng(1).normal(size=(4, ROWS, WIDTH))
    (name,) = graph.inputs
    (found,) = evaluate(done, {name: x}).values()
    expected = RMSNormalization((-1,), EPS, SCALE).evaluate(x)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
