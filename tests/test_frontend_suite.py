"""The suite of readers on the documented layers of one's own, and what it must find wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from spikewright.errors import VerificationError
from spikewright.frontends import keras as keras_frontend
from spikewright.frontends.keras import KerasCall, Value
from spikewright.frontends.keras.loading import import_keras
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Affine, Input, ScaleShift
from spikewright.showing.inspection import inspect
from spikewright.testing.frontends import Case, FrontendSuite

PAGE = Path(__file__).parents[1] / "docs" / "own_layers.md"
FRAMEWORKS = ("Keras", "PyTorch", "ONNX")

keras = import_keras()


@cache
def documented() -> Mapping[str, dict[str, Any]]:
    """The names that each example of the page defines, by framework; each runs once."""
    found = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        for code in re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
            found[section.partition("\n")[0]] = names = {"__name__": "documented"}
            exec(compile(code, PAGE.name, "exec", dont_inherit=True), names)
    return found


def keras_model() -> Any:
    """The documented layer between two that everyone knows."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(6, "relu"), documented()["Keras"]["Gated"](name="gated")]
    return keras.Sequential([keras.Input((5,)), *layers, keras.layers.Dense(3)])


def torch_model() -> Any:
    """The documented operator between two that everyone knows."""
    import torch

    documented()
    torch.manual_seed(0)

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = torch.nn.Linear(5, 6), torch.nn.Linear(6, 3)
            self.slope = torch.nn.Parameter(torch.randn(6))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            gated = torch.ops.mine.gated(torch.relu(self.first(x)), self.slope)
            last: torch.Tensor = self.last(gated)
            return last

    return Model().eval()


def onnx_model() -> ModelProto:
    """The documented operator between two that everyone knows."""
    documented()
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Gemm", ["x", "first"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Gated", ["b", "slope"], ["c"], "gated", domain="mine"),
        helper.make_node("Gemm", ["c", "last"], ["y"], "last"),
    ]
    shapes = {"first": (5, 6), "slope": (6,), "last": (6, 3)}
    graph = helper.make_graph(
        nodes,
        "documented",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [
            numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
            for name, shape in shapes.items()
        ],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


class TestDocumentedLayers(FrontendSuite):
    """Each example of the page is a reader that passes the suite."""

    cases = (
        Case("keras", keras_model),
        Case("pytorch", torch_model, np.zeros((2, 5), np.float32)),
        Case("onnx", onnx_model),
    )


def _exact() -> Graph:
    rng = np.random.default_rng(0)
    return Graph(
        (
            GraphNode("x", Input((4,))),
            GraphNode("dense", Affine(rng.normal(size=(3, 4))), ("x",), "dense"),
        ),
        {"y": "dense"},
    )


def _of_positive_numbers() -> Graph:
    weight = np.random.default_rng(0).uniform(0.5, 1.0, (3, 4))
    nodes = (
        GraphNode("x", Input((4,))),
        GraphNode("root", Activation("sqrt"), ("x",), "root"),
        GraphNode("other", Input((3,))),
        GraphNode("dense", Affine(weight), ("root",), "dense"),
    )
    return Graph(nodes, {"y": "dense", "z": "other"})


def _positive(batch: int, rng: np.random.Generator) -> dict[str, NDArray]:
    return {"x": rng.uniform(0.5, 2.0, (batch, 4)), "other": rng.normal(size=(batch, 3))}


class TestGraphs(FrontendSuite):
    """An exact model, and one of two inputs and outputs whose inputs are made by the case."""

    cases = (
        Case("exact", _exact),
        Case("positive", _of_positive_numbers, inputs=_positive),
    )


def test_every_framework_has_an_example() -> None:
    """One block each, of one decorator and one function."""
    text = PAGE.read_text(encoding="utf-8")

    assert tuple(documented())[: len(FRAMEWORKS)] == FRAMEWORKS
    assert text.count("\n@reads(") == len(FRAMEWORKS)


@pytest.mark.parametrize(
    ("make", "example", "gate"),
    [
        (keras_model, None, "gated"),
        (torch_model, np.zeros((2, 5), np.float32), "gated"),
        (onnx_model, None, "gated"),
    ],
    ids=FRAMEWORKS,
)
def test_the_layer_is_one_row_with_the_guarantee_of_its_parts(
    make: Any, example: Any, gate: str
) -> None:
    """A product of a sigmoid: convergent, and so is the network."""
    found = inspect(make(), example_input=example)
    row = next(row for row in found.layers if row.name == gate)

    assert row.status == found.guarantee == "convergent"
    assert row.parameters == 6
    assert "RunningMeanSpiking" in row.becomes


def test_a_wrong_reader_fails() -> None:
    """Off by a little: the graph differs, and the verification names the layer."""

    class Doubled(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return 2.0 * x

    @keras_frontend.reads(Doubled)
    def doubled(call: KerasCall) -> Value:
        return call.value(ScaleShift(scale=np.array(2.001)))

    case = Case("wrong", lambda: keras.Sequential([keras.Input((5,)), Doubled(name="twice")]))
    suite = FrontendSuite()
    with pytest.raises(AssertionError, match=r"twice: 0\.0005"):
        suite.test_the_graph_computes_what_the_framework_does(case)
    with pytest.raises(VerificationError, match="'twice'"):
        suite.test_the_rate_network_is_verified(case)


def test_a_network_that_does_not_converge_fails() -> None:
    """A slope that no network reaches is not reached: the last test does look at the errors."""
    graph = _of_positive_numbers()
    case = Case("steep", lambda: graph, inputs=_positive, slope=-3.0)
    with pytest.raises(AssertionError, match=r"^y: "):
        FrontendSuite().test_the_spiking_network_converges(case)


def test_the_documented_fallback_marks_what_it_calls() -> None:
    """The part that looks at values, and no other."""
    assert documented()["Call a layer as it is"]["marked"] == ["1 Flips"]
