"""Readers of one's own, in every front end: they may take over, and what is wrong is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from keras_helpers import keras
from onnx_helpers import model as onnx_model
from onnx_helpers import node as onnx_node

import spikewright as sw
from spikewright.errors import ReadError
from spikewright.frontends import keras as keras_front_end
from spikewright.frontends import onnx as onnx_front_end
from spikewright.frontends import pytorch as pytorch_front_end
from spikewright.frontends import read
from spikewright.frontends.keras import registry as of_keras
from spikewright.frontends.onnx import registry as of_onnx
from spikewright.frontends.pytorch import registry as of_pytorch
from spikewright.graph.layers import Activation, ScaleShift

X = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
Add = Callable[[Any], Any]
Body = Callable[[Add], Any]


def keras_model() -> Any:
    """A layer named "mine" that Keras's own reader reads."""
    return keras.Sequential([keras.Input((3,), name="x"), keras.layers.ReLU(name="mine")])


class Module(torch.nn.Module):
    """A layer named "mine" that PyTorch's own reader reads."""

    def __init__(self) -> None:
        super().__init__()
        self.mine = torch.nn.ReLU()

    def forward(self, x: Any) -> Any:
        """The layer."""
        return self.mine(x)


def onnx_relu() -> Any:
    """A node named "mine" that ONNX's own reader reads."""
    return onnx_model([onnx_node("Relu", "x", "y", name="mine")], {"x": ["n", 3]}, ["y"])


@dataclass(frozen=True)
class FrontEnd:
    """A model whose layer "mine" is of `kind`; `add` adds a layer behind what a call is given."""

    model: Callable[[], Any]
    kind: str
    reads: Callable[..., Any]
    add: Callable[[Any, Any], Any]
    registry: dict[Any, Any]
    example: Any = None

    def replace(self, body: Body) -> None:
        """Let `body` read layers of the kind; it is given a way to add a layer."""
        self.reads(self.kind, replace=True)(lambda call: body(lambda layer: self.add(call, layer)))

    def graph(self) -> Any:
        """The model's graph."""
        return read(self.model(), self.example).graph


FRONT_ENDS = {
    "keras": FrontEnd(
        keras_model,
        "ReLU",
        keras_front_end.reads,
        lambda call, layer: call.value(layer),
        of_keras._readers,
    ),
    "pytorch": FrontEnd(
        Module,
        "aten.relu.default",
        pytorch_front_end.reads,
        lambda call, layer: call.add(layer, call.value("self")),
        of_pytorch._registry,
        X,
    ),
    "onnx": FrontEnd(
        onnx_relu,
        "Relu",
        onnx_front_end.reads,
        lambda node, layer: node.add(layer, node.signal(0)),
        of_onnx._readers,
    ),
}


@pytest.fixture(params=FRONT_ENDS)
def front_end(request: pytest.FixtureRequest) -> Iterator[FrontEnd]:
    """Each front end; what a test registers goes with it."""
    chosen = FRONT_ENDS[request.param]
    before = dict(chosen.registry)
    yield chosen
    chosen.registry.clear()
    chosen.registry.update(before)


def test_a_reader_takes_the_place_of_another_only_when_asked(front_end: FrontEnd) -> None:
    """Without `replace` the error says so and the old reader stays; with it the new one reads."""
    with pytest.raises(ValueError, match="replace=True"):
        front_end.reads(front_end.kind)(lambda call: None)
    assert front_end.graph()["mine"].layer.function == "relu"
    front_end.replace(lambda add: add(Activation("leaky_relu", {"negative_slope": 0.5})))
    assert front_end.graph()["mine"].layer.function == "leaky_relu"


WRONG: dict[str, tuple[Body, str]] = {
    "a number": (lambda add: add(ScaleShift(2.0)), "scale holds 2.0, where it takes an array"),
    "whole number": (
        lambda add: add(ScaleShift(shift=2)),
        "shift holds 2, where it takes",
    ),
    "list": (
        lambda add: add(ScaleShift([1.0, 2.0, 3.0])),
        r"scale holds \[1.0, 2.0, 3.0\]",
    ),
    "text": (lambda add: add(ScaleShift(np.array(["a"]))), "which are no real numbers"),
    "no layer": (lambda add: add("relu"), r"'relu' is no layer of spikewright\.graph\.layers"),
    "misfit": (lambda add: add(ScaleShift(np.ones(7))), "does not broadcast"),
    "an array": (lambda add: X, "returns a ndarray, which is no value"),
    "number": (lambda add: 3.5, "returns a float, which is no value"),
    "a layer": (lambda add: ScaleShift(np.ones(3)), "returns a ScaleShift, which is no value"),
    "nothing": (lambda add: None, "returns None, which is no value"),
    "its error": (
        lambda add: {}["no"],
        rf"its reader <lambda> failed at {re.escape(__file__)}:\d+ \(KeyError: 'no'\)",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_in_a_reader_names_the_layer(front_end: FrontEnd, wrong: str) -> None:
    """Numbers for arrays, no values, errors of its own: layer, kind, and what was expected."""
    body, reason = WRONG[wrong]
    front_end.replace(body)
    with pytest.raises(ReadError, match=rf"layer 'mine' \(.*\): .*{reason}"):
        front_end.graph()


def test_the_error_of_a_reader_is_the_cause(front_end: FrontEnd) -> None:
    """Nothing is lost of a traceback."""
    front_end.replace(WRONG["its error"][0])
    with pytest.raises(ReadError) as info:
        front_end.graph()
    assert isinstance(info.value.__cause__, KeyError)


def test_scalars_of_numpy_are_arrays(front_end: FrontEnd, tmp_path: Path) -> None:
    """Arithmetic makes them of arrays without axes; a file gives them back, as it does arrays."""
    front_end.replace(lambda add: add(ScaleShift(np.array(3.0) - 0.5, -np.array(1.0))))
    conversion = sw.convert(front_end.model(), example_input=front_end.example)
    conversion.save(path := tmp_path / "conversion.spk")
    loaded = sw.load(path)
    layer = loaded.graph["mine"].layer
    assert isinstance(layer, ScaleShift)
    assert layer.scale is not None
    assert layer.scale.shape == ()
    found, wanted = loaded.run(X, 4).predict(), conversion.run(X, 4).predict()
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_allclose(found, 2.5 * X - 1, rtol=1e-6)


def test_a_reader_that_passes_its_input_on_makes_the_layer_known() -> None:
    """The layer keeps its name, and `verify` names it, not the layer before it."""
    front_end = FRONT_ENDS["keras"]
    before = dict(front_end.registry)
    front_end.reads("ReLU", replace=True)(lambda call: call.inputs[0])
    try:
        conversion = sw.convert(front_end.model())
    finally:
        front_end.registry.update(before)
    with pytest.raises(sw.errors.VerificationError, match=r"'mine' \(ReLU\)"):
        conversion.verify(X)
