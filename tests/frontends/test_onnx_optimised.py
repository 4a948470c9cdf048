"""Files that onnxruntime's optimiser, its float16 converter and other tools write."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx_helpers import agrees, close, model, node, random
from torch import nn
from torch.nn import functional as F

from spikewright.errors import DamagedFileError
from spikewright.frontends.onnx import READERS, read
from spikewright.graph import evaluate

FUSED_CNN = {"FusedConv", "FusedGemm", "Gelu", "QuickGelu"}
OPTIMISED_BERT = {"Attention", "BiasGelu", "EmbedLayerNormalization", "SkipLayerNormalization"}


class Cnn(nn.Module):
    """Convolutions with every activation that the optimiser fuses."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.norm, self.third = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 1)
        self.dense, self.last = nn.Linear(8, 5), nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(batch, 3, 8, 8)` to four probabilities."""
        x = torch.relu(self.first(x))
        x = torch.relu(x + self.norm(self.second(x)))
        x = F.hardswish(F.leaky_relu(self.third(x)))
        x = F.silu(self.third(torch.sigmoid(self.third(x))))
        x = torch.relu(self.dense(x.mean((2, 3))))
        return self.last(F.gelu(x)).softmax(-1)


def bert(masked: bool) -> onnx.ModelProto:
    """Two layers of BERT, of token ids alone or with their mask."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=32, attn_implementation="eager",
    )  # fmt: skip
    torch.manual_seed(0)
    network = BertModel(config).eval()

    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = network

        def forward(self, ids: Any, mask: Any = None) -> Any:
            return self.bert(ids, attention_mask=mask).pooler_output

    ids = torch.randint(0, 50, (2, 7))
    given = {"ids": ids, "mask": torch.ones_like(ids)} if masked else {"ids": ids}
    return exported(Pooled(), tuple(given.values()), list(given))


def exported(module: nn.Module, example: tuple[Any, ...], names: list[str]) -> onnx.ModelProto:
    """A module as PyTorch's older exporter writes it, its batch open."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), example, buffer, dynamo=False, opset_version=17, input_names=names,
            output_names=["y"], dynamic_axes={name: {0: "n", 1: "t"} for name in names}
            if names[0] == "ids" else {"x": {0: "n"}},
        )  # fmt: skip
    return onnx.load_from_string(buffer.getvalue())


def extended(proto: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    """The model as onnxruntime writes it at its level EXTENDED."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / "extended.onnx")
    ort.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
    return onnx.load(folder / "extended.onnx")


def fused(proto: onnx.ModelProto) -> set[str]:
    """The operators of onnxruntime's own that a model has; all of them have readers."""
    found = {node.op_type for node in proto.graph.node if node.domain == "com.microsoft"}
    assert all(("com.microsoft", operator) in READERS for operator in found)
    return found


def tokens(samples: int, masked: bool) -> dict[str, NDArray]:
    """Token ids, and masks of other lengths for each sample."""
    ids = np.random.default_rng(0).integers(0, 50, (samples, 7))
    mask = (np.arange(7) < np.arange(3, 3 + samples)[:, None]).astype(np.int64)
    return {"ids": ids, "mask": mask} if masked else {"ids": ids}


def equals(proto: onnx.ModelProto, feed: Mapping[str, NDArray], example: Any = None) -> None:
    """The graph is what onnxruntime computes."""
    source = read(proto, example)
    found, own = evaluate(source.graph, feed), source.call(feed)
    assert "onnxruntime" in source.ran()
    for name, value in own.items():
        close(found[name], value)


@pytest.mark.slow
def test_a_cnn_of_the_extended_level(tmp_path: Path) -> None:
    """Convolutions and dense layers with their activations fused."""
    torch.manual_seed(0)
    proto = extended(exported(Cnn(), (torch.randn(2, 3, 8, 8),), ["x"]), tmp_path)
    assert fused(proto) == FUSED_CNN
    equals(proto, {"x": random(3, 3, 8, 8)})


@pytest.mark.slow
@pytest.mark.parametrize(("masked", "level"), [(False, 0), (True, 1)])
def test_a_bert_of_the_transformer_optimiser(masked: bool, level: int, tmp_path: Path) -> None:
    """Whole embeddings and attentions as one operator, with the domain imported or not."""
    from onnxruntime.transformers import optimizer

    onnx.save(bert(masked), tmp_path / "bert.onnx")
    made = optimizer.optimize_model(
        str(tmp_path / "bert.onnx"), "bert", num_heads=2, hidden_size=16, opt_level=level
    )
    if masked:
        assert fused(made.model) == OPTIMISED_BERT
    assert "SkipLayerNormalization" in fused(made.model)
    equals(made.model, tokens(3, masked), tokens(2, masked))


MICROSOFT: list[tuple[str, str, dict[str, Any], tuple[int, ...]]] = [
    ("FastGelu", "x b", {}, (3, 4)),
    ("FastGelu", "x", {}, (3, 4)),
    ("Gelu", "x", {}, (3, 4)),
    ("QuickGelu", "x", {"alpha": 1.5}, (3, 4)),
    ("BiasGelu", "x b", {}, (3, 4)),
    ("FusedMatMul", "x w", {"alpha": 0.5, "transB": 1}, (3, 4)),
    ("FusedMatMul", "x x", {"transA": 1}, (3, 4)),
    ("FusedGemm", "x w b", {"activation": "LeakyRelu", "activation_alpha": 0.2}, (4,)),
    ("FusedConv", "x k kb", {"activation": "Clip", "activation_params": [0.0, 0.5]}, (2, 5, 5)),
    ("FusedConv", "x k kb z", {"activation": "Relu"}, (2, 5, 5)),
    ("SkipLayerNormalization", "x x b b b", {"epsilon": 1e-3}, (3, 4)),
    ("SkipSimplifiedLayerNormalization", "x x b", {"epsilon": 1e-3}, (3, 4)),
    ("Attention", "x wide", {"num_heads": 2}, (3, 4)),
    ("Attention", "x wide wb", {"num_heads": 2, "unidirectional": 1, "scale": 0.3}, (3, 4)),
    ("Attention", "x wide wb left", {"num_heads": 2}, (3, 4)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes", "shape"), MICROSOFT, ids=lambda x: x if x else "-"
)
def test_an_operator_of_onnxruntime(
    operator: str, inputs: str, attributes: dict[str, Any], shape: tuple[int, ...]
) -> None:
    """Each with its options, as onnxruntime computes it."""
    given = node(operator, inputs, "y", "it", domain="com.microsoft", **attributes)
    weights = {
        "w": random(4, 4), "b": random(4), "k": random(3, 2, 3, 3), "kb": random(3),
        "z": random(1, 3, 3, 3), "wide": random(4, 12), "wb": random(12),
        "left": np.array([[1, 1, 0]], np.int32),
    }  # fmt: skip
    used = {name: weights[name] for name in inputs.split() if name in weights}
    batch = 1 if {"z", "left"} & set(used) else "n"
    proto = model([given], {"x": [batch, *shape]}, ["y"], used, domains=["com.microsoft"])
    agrees(proto, independent=False)


def test_nodes_in_any_order() -> None:
    """onnxruntime's float16 converter puts its casts at the end: they are put in order."""
    nodes = [node("Relu", "h", "y", "last"), node("MatMul", "x w", "h", "first")]
    proto = model(nodes, {"x": ["n", 4]}, ["y"], {"w": random(4, 4)})
    assert [made.name for made in agrees(proto, independent=False).graph] == ["x", "first", "last"]
    circle = [node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")]
    with pytest.raises(DamagedFileError, match="topologically sorted"):
        read(model(circle, {"x": ["n", 4]}, ["y"]))


@pytest.mark.parametrize("first", [1, "", "?"])
def test_open_axes_that_share_a_name_may_differ(first: Any) -> None:
    """What the example says goes: exporters write "?" for whatever is open."""
    nodes = [node("Conv", "x w", "c", "conv"), node("Relu", "c", "y", "relu")]
    proto = model(nodes, {"x": [first, 3, "?", "?"]}, ["y"], {"w": random(2, 3, 3, 3)})
    if not first:
        proto.graph.input[0].type.tensor_type.shape.dim[0].ClearField("dim_param")
    source = read(proto, random(1, 3, 48, 192))
    assert source.graph.shapes["relu"] == (2, 46, 190)
    x = random(2, 3, 48, 192)
    close(evaluate(source.graph, {"x": x})["y"], source.call({"x": x})["y"])


@pytest.mark.parametrize("element", [TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT])
def test_masks_are_inputs(element: int) -> None:
    """Whole numbers, truth values or real ones `(batch, time)`, which hide positions."""
    kept = node("Cast", "mask", "kept", to=TensorProto.BOOL)
    nodes = [kept, node("Unsqueeze", "kept axis", "wide"), node("Where", "wide zero low", "bias"),
             node("Add", "scores bias", "sum"), node("Softmax", "sum", "y", axis=-1)]  # fmt: skip
    weights = {"axis": np.array([1]), "zero": np.float32(0), "low": np.float32(-1e4)}
    proto = model(nodes, {"mask": ["n", 4], "scores": ["n", 3, 4]}, ["y"], weights)
    proto.graph.input[0].CopyFrom(helper.make_tensor_value_info("mask", element, ["n", 4]))
    source = read(proto)
    mask = (np.arange(4) < np.array([[4], [2], [1]])).astype(np.float64)
    feed = {"mask": mask, "scores": random(3, 3, 4)}
    close(evaluate(source.graph, feed)["y"], source.call(feed)["y"])
