"""Every kind of layer is written as NIR, or refused by its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from slowly import in_turn
from spikewright.errors import ConversionError, ExchangeError
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import LAYERS, Activation, Affine, Input, Reshape
from spikewright.testing.layers import LayerExample, layer_examples

nir = pytest.importorskip("nir")

STEPS, SCALE = 24, 64.0
EXAMPLES = {e.id: e for e in layer_examples() if e.layer.arity != 0}


def _graph(example: LayerExample, weights: bool = False) -> Graph:
    """Inputs, rectifiers, the layer, and a rectifier behind it, or behind further weights."""
    nodes: list[Any] = []
    for i, shape in enumerate(example.shapes):
        nodes.append(GraphNode(f"x{i}", Input(shape)))
        nodes.append(GraphNode(f"r{i}", Activation("relu"), (f"x{i}",)))
    names = tuple(f"r{i}" for i in range(len(example.shapes)))
    nodes.append(GraphNode("layer", example.layer, names))
    if weights:
        size = int(np.prod(example.layer.output_shape(*example.shapes)))
        matrix = np.random.default_rng(5).integers(-8, 9, (7, size)) / 16
        nodes.append(GraphNode("flat", Reshape((size,)), ("layer",)))
        nodes.append(GraphNode("layer.weights", Affine(matrix), ("flat",)))
    nodes.append(GraphNode("end", Activation("relu"), (nodes[-1].name,)))
    return Graph(nodes, {"y": "end"})


def _converted(example: LayerExample, weights: bool) -> sw.Conversion:
    try:
        return sw.convert(_graph(example, weights), spiking=True, scale_firing_rates=SCALE)
    except ConversionError as error:
        pytest.skip(f"no network: {error}")


def _saved(
    example: LayerExample, path: Path, weights: bool = False
) -> tuple[sw.Conversion, sw.Network] | None:
    """The conversion and its file as a network, or None where NIR cannot say the layer."""
    conversion = _converted(example, weights)
    try:
        sw.nir.save(conversion, path, dt=1 / SCALE)
    except ExchangeError as error:
        assert "layer" in {r.layer.partition(".")[0] for r in error.refusals}, error
        assert all(r.reason for r in error.refusals)
        return None
    return conversion, sw.nir.load(nir.read(path))  # also through the package's check of shapes


@pytest.mark.parametrize(("name", "weights"), in_turn(EXAMPLES, [False, True]))
def test_every_layer_is_written_or_refused(name: str, weights: bool, tmp_path: Path) -> None:
    """A file has the spikes of the conversion; a refusal names the layer.

    Before weights, without neurons in between, a layer is a node of its own or part of one.
    """
    example = EXAMPLES[name]
    saved = _saved(example, tmp_path / "net.nir", weights)
    if saved is None:
        assert list(tmp_path.iterdir()) == [] and not example.layer.linear
        return
    conversion, net = saved
    rng = np.random.default_rng(3)
    x = {f"x{i}": rng.integers(-32, 64, (1, *s)) / 64 for i, s in enumerate(example.shapes)}
    ours = conversion.run(x, steps=STEPS, dt=1 / SCALE, engine="reference", progress=False)
    with net:
        probes = {k: sw.Probe(e.neurons, "spike_count") for k, e in net.layers.items()}
    simulator = sw.Simulator(net, engine="reference", progress=False)
    simulator.run_steps(STEPS, dict(_fed(net, x)))

    for layer, counts in ours.spike_counts().items():
        found = simulator.data[probes[layer]].sum()
        assert abs(found - counts[0]) <= 1e-3 * counts[0], layer
    assert ours.spike_counts()["r0"][0] > 0


def _fed(net: sw.Network, x: dict[str, np.ndarray]) -> Iterator[tuple[sw.Node, np.ndarray]]:
    """The inputs in the file's order of axes."""
    for name, values in x.items():
        node = net.inputs["input" if len(x) == 1 else f"input_{name}"]
        value = values[0]
        moved = np.moveaxis(value, -1, 0) if value.ndim else value
        value = moved if moved.shape == node.shape_in else value
        yield node, value.reshape(node.shape_in)


def test_every_registered_layer_is_an_example() -> None:
    """A layer that is registered is written, or refused, the day it is."""
    assert {type(e.layer) for e in layer_examples()} == set(LAYERS.values())
