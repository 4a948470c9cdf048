"""Files as exporters of other frameworks write them, transformers among them."""

from __future__ import annotations

import io
import warnings
from itertools import cycle
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx_helpers import agrees, close, feed_of, model, node, random
from torch import nn

from spikewright.errors import UnsupportedLayerError
from spikewright.frontends.onnx import read
from spikewright.frontends.source import Source
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


@pytest.mark.parametrize(("use", "way"), list(zip(USES, cycle(WAYS), strict=False)))
def test_rows_that_are_equal_are_one_constant(use: str, way: str) -> None:
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


class Block(nn.Module):
    """Convolution, batch normalisation, pooling, a residual sum, and a view by shape arithmetic."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.dense = nn.Linear(8 * 3 * 3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(batch, 3, 10, 10)` to `(batch, 5)`."""
        x = torch.relu(self.norm(self.first(x)))
        x = self.pool(x + nn.functional.leaky_relu(self.second(x), 0.1))
        return torch.softmax(self.dense(x.view(x.size(0), -1)), dim=1)


def seeded(module: nn.Module) -> nn.Module:
    """The module at inference, with seeded weights and batch-norm statistics that matter."""
    generator = torch.Generator().manual_seed(0)
    for name, value in module.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0.0, 0.1, generator=generator)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=generator)
    return module.eval()


def export(
    module: nn.Module, example: torch.Tensor, dynamo: bool, free: bool = True, **options: Any
) -> onnx.ModelProto:
    """What torch.onnx.export writes; `free` leaves the batch size free."""
    if dynamo and free:
        options["dynamic_shapes"] = ({0: torch.export.Dim("batch")},)
    elif free:
        options |= {"input_names": ["x"], "dynamic_axes": {"x": {0: "batch"}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters deprecate each other
        if dynamo:
            program = torch.onnx.export(module, (example,), dynamo=True, verbose=False, **options)
            return program.model_proto
        file = io.BytesIO()
        torch.onnx.export(module, (example,), file, dynamo=False, **options)
    return onnx.load_model_from_string(file.getvalue())


def equals_module(source: Source, module: nn.Module) -> None:
    """The graph computes what the module does, on a batch of three."""
    ((name, x),) = feed_of(source).items()
    (value,) = evaluate(source.graph, {name: x}).values()
    with torch.no_grad():
        close(value, module(torch.from_numpy(x)).numpy())


@pytest.mark.parametrize(("dynamo", "free"), [(True, True), (False, False)])
def test_torch_exporters(dynamo: bool, free: bool) -> None:
    """Both exporters' files, with a free batch or a fixed one, compute what the module does."""
    torch.manual_seed(0)
    module = seeded(Block())
    proto = export(module, torch.randn(2, 3, 10, 10), dynamo, free)
    source = agrees(proto, independent=free)
    equals_module(source, module)
    assert "MaxPool" in {node.source_kind for node in source.graph}


@pytest.mark.parametrize("opset", [9, 17])
def test_torch_exporter_of_several_operator_sets(opset: int) -> None:
    """What changed from one operator set to the next is read, batch norm and view included."""
    torch.manual_seed(0)
    module = seeded(Block())
    proto = export(
        module,
        torch.randn(2, 3, 10, 10),
        dynamo=False,
        opset_version=opset,
        do_constant_folding=False,
        training=torch.onnx.TrainingMode.PRESERVE,
    )
    kinds = {node.op_type for node in proto.graph.node}
    assert {"Shape", "Gather", "Concat", "Reshape", "BatchNormalization"} <= kinds
    equals_module(agrees(proto, independent=opset >= 14), module)


@pytest.mark.parametrize("dynamo", [True, False])
def test_every_activation_of_the_torch_exporters(dynamo: bool) -> None:
    """Softplus is exported as a choice between two formulas, ReLU written as clamp as Max."""

    class Activations(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = nn.functional.softplus(30 * x) + x.clamp(min=0) + x.clamp(max=0.2)
            x = x + nn.functional.hardtanh(x) + torch.maximum(x, torch.full((1,), 0.1))
            return torch.sigmoid(x) + torch.tanh(x) + nn.functional.leaky_relu(x, 0.2)

    module = Activations()
    proto = export(module, torch.randn(2, 3, 4), dynamo)
    assert ({"Greater", "Where", "Max"} <= {node.op_type for node in proto.graph.node}) is dynamo
    equals_module(agrees(proto), module)
