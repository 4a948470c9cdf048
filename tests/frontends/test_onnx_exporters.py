"""Models as the exporters of PyTorch write them."""

from __future__ import annotations

import io
import warnings
from typing import Any

import onnx
import pytest
import torch
from onnx_helpers import agrees, close, feed_of
from torch import nn

from spikewright.frontends.source import Source
from spikewright.graph import evaluate


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
