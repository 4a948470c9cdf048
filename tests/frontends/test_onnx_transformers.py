"""Constants with a row for every sample, as exported transformers are full of, and these."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import transformers
from onnx_helpers import agrees, feed_of, model, node, random
from torch import nn

import spikewright as sw
from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.onnx import read
from spikewright.graph import evaluate

ROWS = [
    node("Shape", "x", "n", start=0, end=1),
    node("Concat", "n rest", "shape", axis=0),
]
"""The shape of a constant that has a row for every sample."""
WAYS = {
    "full of one number": [node("ConstantOfShape", "shape", "c0"), node("Cast", "c0", "c1", to=1),
                           node("Add", "c1 half", "c")],
    "expanded": [node("Expand", "row shape", "c")],
    "looked up": [node("ConstantOfShape", "shape", "zeros"), node("Cast", "zeros", "ids", to=7),
                  node("Gather", "table ids", "many"), node("ReduceSum", "many last", "c",
                                                            keepdims=0)],
    "counted": [node("Range", "zero three one", "numbers"), node("Expand", "numbers shape", "ids"),
                node("Cast", "ids", "c", to=1)],
}  # fmt: skip
USES: dict[str, list[Any]] = {
    "added": [node("Add", "x c", "y", "it")],
    "subtracted from": [node("Sub", "c x", "y", "it")],
    "multiplied": [node("Mul", "c x", "y", "it")],
    "divided by": [node("Add", "c half", "d"), node("Div", "x d", "y", "it")],
    "compared": [node("Greater", "x c", "t", "it"), node("Cast", "t", "y", to=1)],
    "chosen by": [node("Greater", "c half", "t"), node("Where", "t x half", "y", "it")],
    "chosen": [node("Relu", "x", "r"), node("Greater", "r half", "t"),
               node("Where", "t x c", "y", "it")],
    "beside": [node("Concat", "c x", "y", "it", axis=1)],
    "largest of": [node("Max", "x c", "y", "it")],
    "slope": [node("PRelu", "x c", "y", "it")],
    "matrix": [node("MatMul", "x c", "y", "it")],
    "matrix before": [node("MatMul", "c x", "y", "it")],
    "mask": [node("Attention", "x x x c", "y", "it", q_num_heads=1, kv_num_heads=1)],
    "through everything": [node("Transpose", "c", "ct", perm=[0, 2, 1]), node("Tanh", "ct", "cc"),
                           node("Mul", "x cc", "s"), node("Softmax", "s", "y", "it")],
}  # fmt: skip
GIVEN = {
    "rest": np.array([3, 3]), "half": np.float32(0.5), "row": random(1, 3, 3), "zero": np.array(0),
    "three": np.array(3), "one": np.array(1), "table": random(5, 4), "last": np.array([-1]),
}  # fmt: skip


def made(nodes: list[Any], opset: int = 23) -> onnx.ModelProto:
    """A model of one input, with the constants that its nodes read."""
    read_by = {name for n in nodes for name in n.input}
    weights = {name: value for name, value in GIVEN.items() if name in read_by}
    return model(nodes, {"x": ["n", 3, 3]}, ["y"], weights, opset=opset)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("use", USES)
def test_rows_that_are_equal_are_one_constant(way: str, use: str) -> None:
    """However a constant with a row for every sample is made, and whatever reads it."""
    nodes = [*ROWS, *WAYS[way], *USES[use]]
    if use == "mask":
        nodes[-1] = node("Attention", "x x x cm", "y", "it", q_num_heads=1, kv_num_heads=1)
        nodes.insert(-1, node("Unsqueeze", "c one1", "cm"))
        GIVEN["one1"] = np.array([1])
    source = agrees(made(nodes), independent=False)
    assert all(n.name != "c" for n in source.graph)  # nothing of it is left but an array


@pytest.mark.parametrize("use", [use for use in USES if use not in ("mask", "through everything")])
def test_rows_that_differ_are_refused(use: str) -> None:
    """A constant that tells samples apart is none, and is said to be so."""
    nodes = [
        ROWS[0],
        node("Squeeze", "n", "count"),
        node("Range", "zero count one", "samples"),
        node("Reshape", "samples apart", "column"),
        ROWS[1],
        node("Expand", "column shape", "wide"),
        node("Cast", "wide", "c", to=1),
        *USES[use],
    ]
    GIVEN["apart"] = np.array([-1, 1, 1])
    with pytest.raises(
        UnsupportedLayerError, match=r"(differs from sample to sample|mixes the samples)"
    ):
        read(made(nodes))


class Embedded(nn.Module):
    """A transformer of `transformers` that is called by embeddings."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(batch, tokens, 16)` to the same."""
        return self.inner(inputs_embeds=x, use_cache=False).last_hidden_state


def bert() -> Any:
    """Positions from a buffer, token types of zero."""
    return transformers.BertModel(
        transformers.BertConfig(
            vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=24, max_position_embeddings=12,
        )
    )  # fmt: skip


def gpt2() -> Any:
    """Positions counted from zero, a causal mask."""
    return transformers.GPT2Model(
        transformers.GPT2Config(vocab_size=20, n_embd=16, n_layer=2, n_head=2, n_positions=12)
    )


def llama() -> Any:
    """Rotated positions, heads that share keys and values."""
    return transformers.LlamaModel(
        transformers.LlamaConfig(
            vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, intermediate_size=24, max_position_embeddings=12,
        )
    )  # fmt: skip


def export(module: nn.Module, x: torch.Tensor, dynamo: bool, free: bool) -> onnx.ModelProto:
    """What torch.onnx.export writes, with the batch size free or fixed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters deprecate each other
        if dynamo:
            shapes = {"dynamic_shapes": ({0: torch.export.Dim("batch")},)} if free else {}
            return torch.onnx.export(module, (x,), dynamo=True, verbose=False, **shapes).model_proto
        axes = {"dynamic_axes": {"x": {0: "batch"}}} if free else {}
        file = io.BytesIO()
        torch.onnx.export(module, (x,), file, dynamo=False, input_names=["x"], **axes)
    return onnx.load_model_from_string(file.getvalue())


SLOW = pytest.mark.slow
EXPORTS = [
    (bert, "eager", True, True),
    (bert, "sdpa", False, True),
    *(pytest.param(make, attention, True, free, marks=SLOW)
      for make in (bert, gpt2, llama) for attention in ("eager", "sdpa") for free in (True, False)
      if (make, attention, free) != (bert, "eager", True)),
    *(pytest.param(bert, attention, False, free, marks=SLOW)
      for attention in ("eager", "sdpa") for free in (True, False)
      if (attention, free) != ("sdpa", True)),
]  # fmt: skip


@pytest.mark.parametrize(("make", "attention", "dynamo", "free"), EXPORTS)
def test_an_exported_transformer_converts(
    make: Callable[[], Any], attention: str, dynamo: bool, free: bool
) -> None:
    """BERT, GPT-2 and Llama, of either attention, with random weights: equal to PyTorch, verified,
    convergent as spikes. The older exporter writes BERT alone.
    """
    torch.manual_seed(0)
    inner = make()
    inner.set_attn_implementation(attention)
    module = Embedded(inner).eval()
    proto = export(module, torch.randn(2 if free else 1, 5, 16), dynamo, free)
    conversion = sw.convert(proto, spiking=True)
    ((name, x),) = feed_of(read(proto)).items()
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    (value,) = evaluate(conversion.graph, {name: x}).values()
    assert np.abs(value - expected).max() < 1e-5 * np.abs(expected).max()
    assert conversion.again(spiking=False).verify()
    assert conversion.trace.guarantee == "convergent"
