"""`spikewright inspect` on ONNX files: every layer that is refused, with its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper
from onnx_helpers import model, node, random

from spikewright.cli import main
from spikewright.showing.inspection import inspect


def body(name: str, inputs: list[str], outputs: list[str], nodes: list[Any]) -> Any:
    """A subgraph; the names `i` and `go` and `on` are a count and truth values."""
    types = {"i": TensorProto.INT64, "go": TensorProto.BOOL, "on": TensorProto.BOOL}

    def value(name: str) -> Any:
        shape = [] if name in types else None
        info = helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), shape)
        if shape is None:
            info.type.tensor_type.shape.SetInParent()
        return info

    return helper.make_graph(nodes, name, [*map(value, inputs)], [*map(value, outputs)])


def recurrent_with_control_flow() -> onnx.ModelProto:
    """Recurrent layers, a loop, a scan, a branch, quantisation, an unknown domain; and, between
    them, layers that can be read.
    """
    loop = body(
        "loop", ["i", "go", "v"], ["on", "doubled"],
        [node("Identity", "go", "on"), node("Add", "v v", "doubled")],
    )  # fmt: skip
    scan = body("scan", ["e"], ["f"], [node("Relu", "e", "f")])
    branches = {
        "then_branch": body("then", [], ["t"], [node("Relu", "r", "t")]),
        "else_branch": body("else", [], ["u"], [node("Tanh", "r", "u")]),
    }
    nodes = [
        node("Relu", "x", "r", "relu"),
        node("LSTM", "r w r4", "h", "memory", hidden_size=4),
        node("GRU", "r w3 r3", "g", "gate", hidden_size=4),
        node("Greater", "r zero", "above", "above"),
        node("Loop", "times above r", "l", "again", body=loop),
        node("Scan", "r", "scanned", "over", body=scan, num_scan_inputs=1),
        node("ReduceSum", "r", "total", "sum", keepdims=0),
        node("If", "above", "chosen", "branch", **branches),
        node("QuantizeLinear", "r scale point", "q", "quantise"),
        node("DequantizeLinear", "q scale point", "d", "dequantise"),
        node("Conv", "r kernel", "c", "convolution"),
        helper.make_node(
            "Fancy", ["chosen", "d", "l", "scanned", "h"], ["y"], name="fancy", domain="com.example"
        ),
    ]
    weights = {
        "w": random(1, 16, 3), "r4": random(1, 16, 4), "w3": random(1, 12, 3),
        "r3": random(1, 12, 4), "times": np.array(3), "zero": np.float32(0),
        "scale": np.float32([0.1, 0.2]), "point": np.uint8([0, 0]), "kernel": random(2, 5, 1),
    }  # fmt: skip
    outputs = ["y", "g", "total", "c"]
    return model(nodes, {"x": ["n", 2, 3]}, outputs, weights, domains=["com.example"])


REASONS = {
    "again": ("Loop", "its condition is computed from the data"),
    "branch": ("If", "its condition is computed from the data"),
    "quantise": ("QuantizeLinear", "no one scale and zero"),
    "convolution": ("Conv", "2 channels, the kernel expects 5"),
    "fancy": ("Fancy", "domain 'com.example'"),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The model, saved."""
    onnx.save(recurrent_with_control_flow(), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_every_reason_is_listed(file: Path) -> None:
    """Of control flow and the rest each layer has its reason; what only reads them, and may be
    arithmetic over shapes, has none. What mixes samples is said when all else can be read.
    """
    refusals = {refusal.layer: refusal for refusal in inspect(file).refusals}
    assert {name: refusal.kind for name, refusal in refusals.items()} == {
        name: kind for name, (kind, _) in REASONS.items()
    }
    for name, (_, reason) in REASONS.items():
        assert reason in refusals[name].reason


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_the_command_ends_with_two(file: Path, options: tuple[str, ...]) -> None:
    """The command names every refused layer and every reason, without a traceback."""
    result = CliRunner().invoke(main, ["inspect", str(file), *options])
    assert result.exit_code == 2
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    assert all(name in result.output for name in REASONS)
    if options:
        everything = json.dumps(json.loads(result.stdout), ensure_ascii=False)
        assert all(json.dumps(reason)[1:-1] in everything for _, reason in REASONS.values())


def test_what_can_be_read_ends_with_zero(tmp_path: Path) -> None:
    """The same command on a model of attention, norms and gates lists what each becomes."""
    nodes = [
        node("LayerNormalization", "x g", "n", "norm"),
        node("Attention", "n n n", "a", "attention", q_num_heads=2, kv_num_heads=2),
        node("Gelu", "a", "h", "gelu"),
        node("Mul", "h a", "y", "gate"),
    ]
    proto = model(nodes, {"x": ["n", 3, 4]}, ["y"], {"g": random(4)}, opset=23)
    onnx.save(proto, tmp_path / "fine.onnx")
    result = CliRunner().invoke(main, ["inspect", str(tmp_path / "fine.onnx"), "--json"])
    assert result.exit_code == 0
    names = [layer["name"] for layer in json.loads(result.stdout)["layers"]]
    assert {"norm", "attention", "gelu", "gate"} <= set(names)
