"""`outputs=[...]`: what is kept of a model, in every front end."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from onnx_helpers import model, node, random
from torch import nn

import spikewright as sw
from slowly import slow_but
from spikewright.cli import main
from spikewright.errors import ReadError, UnsupportedLayerError
from spikewright.frontends import read
from spikewright.graph import evaluate, evaluate_all
from spikewright.graph.integer_inputs import random_inputs
from spikewright.showing.inspection import inspect
from spikewright.study.programs import ProgramWriter


def keras_model(tail: bool) -> Any:
    """Two inputs and a nested model; the tail is a median of the first output."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    a, b = keras.Input((8,), name="a"), keras.Input((4,), name="b")
    inner = keras.Sequential(
        [keras.Input((8,)), layers.Dense(5, "relu", name="one"), layers.Dense(4, name="two")],
        name="inner",
    )
    h = layers.Dense(6, "relu", name="h")(inner(a))
    z = layers.Add(name="z")([layers.Dense(4, name="last")(h), b])
    return keras.Model([a, b], [keras.ops.median(z, -1) if tail else layers.ReLU()(z), z])


class Module(nn.Module):
    """The same in PyTorch, with a recurrent layer, which has several results, and in-place ReLU."""

    def __init__(self, tail: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Sequential(nn.Linear(8, 5), nn.ReLU(inplace=True), nn.Linear(5, 4))
        self.memory, self.tail = nn.LSTM(4, 3, batch_first=True), tail

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
        """`(batch, 8)` and `(batch, 4)`."""
        h, _ = self.memory(self.inner(a).unsqueeze(1))
        z = h[:, 0] + b[:, :3]
        return {"first": z.nonzero() if self.tail else z.relu(), "z": z}


def onnx_model(tail: bool) -> Any:
    """The same in ONNX, with a node of several outputs and one without a name."""
    nodes = [
        node("Gemm", "a w", "h", "inner"),
        node("Relu", "h", "r"),
        node("Split", "r sizes", "left right", "halves", axis=1),
        node("Add", "right b", "z", "sum"),
        node("ArgMax" if tail else "Relu", "z", "label", "choice"),
        *([node("Unsqueeze", "label one", "first")] if tail else []),
    ]
    weights = {"w": random(8, 6), "sizes": np.array([2, 4]), "one": np.array([1])}
    outputs = ["first" if tail else "label", "z"]
    return model(nodes, {"a": ["n", 8], "b": ["n", 4]}, outputs, weights)


def graph(tail: bool) -> Any:
    """A graph that was read already; nothing in it is refused."""
    return read(onnx_model(False)).graph


EXAMPLE = (torch.randn(2, 8), torch.randn(2, 4))
MODELS: dict[str, tuple[Callable[[bool], Any], Any]] = {
    "keras": (keras_model, None),
    "pytorch": (Module, EXAMPLE),
    "onnx": (onnx_model, None),
    "graph": (graph, None),
}
READERS = [name for name in MODELS if name != "graph"]
WITHOUT_B = {"keras": "h", "pytorch": "inner.2", "onnx": "halves", "graph": "r"}
INSIDE = {"keras": "inner/one", "pytorch": "inner.1 ReLU", "onnx": "right", "graph": "inner"}


@pytest.mark.parametrize("front_end", slow_but([*{*MODELS} - {"pytorch"}], MODELS))
def test_every_layer_of_an_inspection_can_be_kept(front_end: str) -> None:
    """Kept alone under its name, a layer has the value that it has in the whole model, and the
    source agrees; inputs that it does not need are gone.
    """
    make, example = MODELS[front_end]
    whole = read(make(False), example).graph
    feed = random_inputs(whole, seed=1)
    values = evaluate_all(whole, feed)
    names = [row.name for row in inspect(make(False), example_input=example).layers]
    tried = [name for name in names if name in whole and name not in whole.inputs]
    assert len(tried) >= 4
    for name in tried[:: max(1, len(tried) // 5)]:
        conversion = sw.convert(make(False), example_input=example, outputs=[name])
        kept = {key: feed[key] for key in conversion.graph.inputs}
        assert list(conversion.outputs) == list(conversion.graph.outputs) == [name]
        np.testing.assert_array_equal(evaluate(conversion.graph, kept)[name], values[name])
        assert conversion.verify()
    alone = read(make(False), example, outputs=[WITHOUT_B[front_end]]).graph
    assert (alone.inputs, whole.inputs) == (("a",), ("a", "b"))


@pytest.mark.parametrize("front_end", READERS)
def test_a_tail_is_refused_and_the_refusal_cuts_it(front_end: str) -> None:
    """What the refusal of places of values says is what makes the model convert."""
    make, example = MODELS[front_end]
    with pytest.raises(UnsupportedLayerError, match=r"outputs=\[.*\] cuts it") as caught:
        sw.convert(make(True), example_input=example)
    names = re.findall(r"'([^']+)'", str(caught.value).partition("outputs=")[2])
    conversion = sw.convert(make(True), example_input=example, outputs=names)
    assert list(conversion.outputs) == names == ["z"] or front_end == "pytorch"
    assert conversion.verify()


@pytest.mark.parametrize("front_end", READERS)
def test_what_is_refused_before_what_is_kept_is_refused(front_end: str) -> None:
    """A cut behind an unreadable layer does not help: only what leads elsewhere is left out."""
    make, example = MODELS[front_end]
    with pytest.raises(UnsupportedLayerError) as caught:
        sw.convert(tailed := make(True), example_input=example)
    refused = caught.value.refusals[0].layer
    with pytest.raises(UnsupportedLayerError, match=refused):
        sw.convert(tailed, example_input=example, outputs=[refused, WITHOUT_B[front_end]])


@pytest.mark.parametrize("front_end", MODELS)
def test_names_inside_and_several_names(front_end: str) -> None:
    """A layer of a nested model, a value without a layer's name, an output: in the order given."""
    make, example = MODELS[front_end]
    names = ["z", INSIDE[front_end]]
    conversion = sw.convert(make(True), example_input=example, outputs=names)
    assert list(conversion.outputs) == names
    whole, feed = read(make(False), example).graph, random_inputs(conversion.graph, 2)
    nodes = {"right": "halves:1", **{node.name: node.name for node in whole}, **whole.outputs}
    values = evaluate_all(whole, feed)
    run = conversion.run(feed, steps=1, engine="reference", progress=False)
    for name, value in run.predict("last").items():
        np.testing.assert_allclose(value, values[nodes[name]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("front_end", "name"), list(zip(MODELS, cycle(["zz", "inner_nine"]), strict=False))
)
def test_an_unknown_name_is_an_error_with_near_ones(front_end: str, name: str) -> None:
    """It names what was asked for, and what there is."""
    make, example = MODELS[front_end]
    with pytest.raises(ReadError, match=rf"no output, layer or tensor '{name}'. Near it are '"):
        sw.convert(make(False), example_input=example, outputs=[name])


@pytest.mark.parametrize("outputs", [[], [1], ()])
def test_what_is_no_name_is_an_error(outputs: Any) -> None:
    """No names, and things that are none."""
    with pytest.raises(ReadError, match="outputs holds names of layers or tensors"):
        sw.convert(graph(False), outputs=outputs)


@pytest.mark.parametrize("front_end", MODELS)
def test_outputs_stay_with_the_conversion(front_end: str, tmp_path: Path) -> None:
    """In `arguments` and `resolved`, through `replace`, which reads the model anew for others, in
    the call that reproduces it, and in a file.
    """
    make, example = MODELS[front_end]
    name = WITHOUT_B[front_end]
    first = sw.convert(make(True), example_input=example, outputs=name, spiking=True)
    assert first.arguments["outputs"] == first.resolved["outputs"] == [name]
    assert list(first.replace(spiking=False).outputs) == [name]
    assert list(first.replace(outputs=["z"]).inputs) == ["a", "b"]
    assert f"outputs=['{name}']" in ProgramWriter().call("model", first.resolved)
    again = sw.convert(make(True), example_input=example, **first.resolved)
    feed = random_inputs(first.graph, 3)
    first.save(tmp_path / "kept.spk")
    means = [
        conversion.run(feed, steps=8, engine="reference", progress=False).predict("mean")
        for conversion in (first, again, sw.load(tmp_path / "kept.spk"))
    ]
    for mean in means[1:]:
        np.testing.assert_array_equal(mean, means[0])


def test_searches_keep_outputs() -> None:
    """`best_rule` compares what is kept, and its arguments keep it too."""
    x = {name: random(40, n) for name, n in (("a", 8), ("b", 4))}
    best = sw.best_rule(onnx_model(True), x, 4, outputs=["z"], progress=False)
    assert best.best.arguments["outputs"] == ["z"]
    assert list(best.best.conversion.outputs) == ["z"]


def test_tune_keeps_outputs() -> None:
    """The call that makes the choice again names them."""
    pytest.importorskip("optuna")
    x = {name: random(40, n) for name, n in (("a", 8), ("b", 4))}
    labels = np.arange(40) % 4
    settings = {"timeout": 120.0, "trials": 2, "max_drop": 0.5, "progress": False}
    choice = sw.tune(onnx_model(True), x, labels, outputs=["z"], **settings)
    assert "outputs=['z']" in choice.call


def test_the_command_line(tmp_path: Path) -> None:
    """`--outputs`, repeated, in the commands that convert a model or look at it."""
    import onnx

    onnx.save(onnx_model(True), tmp_path / "m.onnx")
    np.savez(tmp_path / "x.npz", x=random(3, 8))
    run = CliRunner().invoke
    path, names = str(tmp_path / "m.onnx"), ["--outputs", "left", "--outputs", "inner"]
    refused = run(main, ["inspect", path])
    assert (refused.exit_code, "--outputs z cuts it" in refused.output) == (2, True)
    assert run(main, ["inspect", path, *names]).exit_code == 0
    out = str(tmp_path / "m.spk")
    assert run(main, ["convert", path, *names, "-o", out]).exit_code == 0
    assert list(sw.load(out).outputs) == ["left", "inner"]
