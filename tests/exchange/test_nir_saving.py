"""Networks written as NIR: another integrator finds the same spikes in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nir_integrator import run

import spikewright as sw
from slowly import in_turn
from spikewright.errors import ExchangeError, MissingExtraError, NetworkError
from spikewright.graph import Graph, GraphNode
from spikewright.graph import layers as g

nir = pytest.importorskip("nir")

STEPS = 40


def _draw(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Weights of a few bits, so that sums are exact."""
    return rng.integers(-64, 64, shape).astype(np.float32) / 64


def _network(*layers: tuple[str, Any], shape: tuple[int, ...]) -> Graph:
    nodes = [GraphNode("x", g.Input(shape))]
    for name, layer in layers:
        nodes.append(GraphNode(name, layer, (nodes[-1].name,)))
    return Graph(nodes, {"y": nodes[-1].name})


def _relu() -> g.Activation:
    return g.Activation("relu")


def _dense() -> Graph:
    rng = np.random.default_rng(1)
    return _network(
        ("a", g.Affine(_draw(rng, 12, 8), _draw(rng, 12))),
        ("r", _relu()),
        ("b", g.Affine(_draw(rng, 9, 12), _draw(rng, 9))),
        ("s", _relu()),
        ("c", g.Affine(_draw(rng, 3, 9), _draw(rng, 3))),
        shape=(8,),
    )


def _convolutional(last: bool, pool: bool) -> Graph:
    rng = np.random.default_rng(2)
    pools = (
        [("p", g.AveragePool((2, 2), (2, 2), ((0, 0), (0, 0)), channels_last=last))] if pool else []
    )
    return _network(
        (
            "a",
            g.Convolution(
                _draw(rng, 4, 2, 3, 3), _draw(rng, 4), (1, 1), ((1, 1), (1, 1)), (1, 1), 1, last
            ),
        ),
        ("r", _relu()),
        *pools,
        (
            "b",
            g.Convolution(
                _draw(rng, 6, 2, 3, 3), _draw(rng, 6), (2, 2), ((0, 1), (0, 1)), (1, 1), 2, last
            ),
        ),
        ("s", _relu()),
        ("f", g.Reshape((24,) if pool else (96,))),
        ("c", g.Affine(_draw(rng, 5, 24 if pool else 96), _draw(rng, 5))),
        ("t", _relu()),
        ("d", g.Affine(_draw(rng, 3, 5), _draw(rng, 3))),
        shape=(8, 8, 2) if last else (2, 8, 8),
    )


GRAPHS = {
    "dense": _dense(),
    "convolutional": _convolutional(False, False),
    "channels last": _convolutional(True, False),
    "pooled": _convolutional(False, True),
    "pooled, channels last": _convolutional(True, True),
}
SCALES = {
    "one": lambda graph: 128.0,
    "by layer": lambda graph: {n: 2.0 ** (5 + i) for i, n in enumerate(_rectifiers(graph))},
    "by channel": lambda graph: {n: _by_channel(graph, n) for n in _rectifiers(graph)},
}


def _rectifiers(graph: Graph) -> list[str]:
    return [node.name for node in graph if isinstance(node.layer, g.Activation)]


def _by_channel(graph: Graph, name: str) -> np.ndarray:
    """Powers of two, in the place of the channels of a layer."""
    shape = graph.shapes[name]
    last = any(getattr(node.layer, "channels_last", False) for node in graph)
    axis = len(shape) - 1 if last else 0
    scales = 2.0 ** np.random.default_rng(8).integers(5, 9, shape[axis])
    return scales.reshape([-1 if i == axis else 1 for i in range(len(shape))])


def _file_input(graph: Graph, x: np.ndarray, shape: np.ndarray) -> np.ndarray:
    last = any(getattr(n.layer, "channels_last", False) for n in graph)
    return (np.moveaxis(x, -1, 0) if last else x).reshape(shape)


def _node(read: Any, layer: str) -> str:
    """The node of a layer's neurons."""
    return next(n for n, node in read.nodes.items() if node.metadata.get("layer") == layer)


@pytest.mark.parametrize(("name", "scale"), in_turn(GRAPHS, SCALES))
def test_another_integrator_finds_the_same_spikes(name: str, scale: str, tmp_path: Path) -> None:
    """Scales times dt are powers of two here, so folding rounds nothing: counts are equal."""
    graph = GRAPHS[name]
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=SCALES[scale](graph))
    sw.nir.save(conversion, tmp_path / "net.nir", dt=1 / 128)
    read = nir.read(tmp_path / "net.nir")
    x = np.random.default_rng(3).integers(0, 64, (2, *graph.shapes["x"])) / 64
    ours = conversion.run(x, steps=STEPS, dt=1 / 128, engine="reference", progress=False)

    assert read.metadata["rounded"] == ""
    for b, sample in enumerate(x):
        shape = read.nodes["input"].input_type["input"]
        held = np.broadcast_to(_file_input(graph, sample, shape), (STEPS, *shape))
        sent = run(read, {"input": held}, STEPS, 1.0)
        for layer, counts in ours.spike_counts().items():
            assert counts[b] > 0
            assert sent[_node(read, layer)].sum() == counts[b], layer
        output = sent["output"].reshape(STEPS, -1)
        np.testing.assert_allclose(output, ours.output[b], atol=1e-5)


def test_every_array_is_as_all_readers_take_it(tmp_path: Path) -> None:
    """Square kernels, even padding, no groups, biases, one threshold, single precision."""
    conversion = sw.convert(GRAPHS["pooled"], spiking=True, scale_firing_rates=100)
    sw.nir.save(conversion, tmp_path / "net.nir")
    read = nir.read(tmp_path / "net.nir")
    kinds = [type(node).__name__ for node in read.nodes.values()]

    assert kinds.count("Conv2d") == 4 and kinds.count("IF") == 3
    assert set(kinds) == {"Conv2d", "IF", "Input", "Output"}  # the pool is part of what follows
    for node in read.nodes.values():
        if isinstance(node, nir.Conv2d):
            assert node.weight.shape[2] == node.weight.shape[3]
            assert node.groups == 1 and node.weight.dtype == node.bias.dtype == np.float32
        if isinstance(node, nir.IF):
            assert np.all(node.r == 1) and np.all(node.v_threshold == 1)
    assert read.metadata["rounded"]  # 100 x 0.001 is no power of two


def test_a_start_is_stated_or_becomes_a_bias(tmp_path: Path) -> None:
    """A voltage that starts at a half is a half over the steps of a run, where asked for."""
    conversion = sw.convert(GRAPHS["dense"], spiking=True, scale_firing_rates=128)
    path = tmp_path / "net.nir"
    sw.nir.save(conversion, path, dt=1 / 128)
    stated = nir.read(path)
    sw.nir.save(conversion, path, dialect="sinabs", dt=1 / 128, steps=STEPS)
    spread = nir.read(path)

    assert np.all(stated.nodes[_node(stated, "r")].metadata["v_init"] == 0.5)
    assert np.all(spread.nodes[_node(spread, "r")].metadata["v_init"] == 0.0)
    weights = next(n for n in stated.nodes if n.endswith("r_weights"))
    more = spread.nodes[weights].bias - stated.nodes[weights].bias
    np.testing.assert_allclose(more, 0.5 / STEPS, rtol=1e-5)
    with pytest.raises(ExchangeError, match=r"start at other values than zero.*steps=.*zero"):
        sw.nir.save(conversion, path, dialect="sinabs", dt=1 / 128)


def test_all_that_nir_cannot_say_is_refused_at_once(tmp_path: Path) -> None:
    """Each layer with its reason and what would help; nothing is written."""
    rng = np.random.default_rng(4)
    graph = _network(
        ("a", g.Convolution(_draw(rng, 2, 1, 3, 3), None, (1, 1), ((0, 0), (0, 0)), (1, 1))),
        ("r", _relu()),
        ("p", g.MaxPool((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))),
        ("f", g.Reshape((18,))),
        ("b", g.Affine(_draw(rng, 4, 18), None)),
        ("s", g.Activation("leaky_relu", {"negative_slope": 0.5})),
        shape=(1, 8, 8),
    )
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=128)
    with pytest.raises(ExchangeError) as caught:
        sw.nir.save(conversion, tmp_path / "net.nir")

    text = str(caught.value)
    assert 'max_pool="average"' in text and "either sign" in text
    assert {r.layer for r in caught.value.refusals} == {"p", "s"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dialect": "sinab"}, "Did you mean 'sinabs'"),
        ({"dt": 0.0}, "dt must be above 0"),
        ({"steps": 1.5}, "steps must be a whole number"),
        ({"reset": "hard"}, "reset must be 'subtract', 'zero' or None, got 'hard'"),
    ],
)
def test_arguments_that_fit_nothing(arguments: dict, message: str, tmp_path: Path) -> None:
    """They are named, with their values, before anything is written."""
    conversion = sw.convert(GRAPHS["dense"], spiking=True)
    with pytest.raises(NetworkError, match=message):
        sw.nir.save(conversion, tmp_path / "net.nir", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what installs it."""
    monkeypatch.setitem(__import__("sys").modules, "nir", None)
    with pytest.raises(MissingExtraError, match=r"spikewright\[nir\]"):
        sw.nir.save(sw.convert(GRAPHS["dense"], spiking=True), tmp_path / "net.nir")


@pytest.mark.parametrize(
    ("name", "scale", "engine"), in_turn(GRAPHS, SCALES, ["reference", "native"])
)
def test_a_file_that_is_read_again_spikes_alike(
    name: str, scale: str, engine: str, tmp_path: Path
) -> None:
    """Bit for bit where folding rounds nothing: every neuron, every step, and the output."""
    graph = GRAPHS[name]
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=SCALES[scale](graph))
    sw.nir.save(conversion, tmp_path / "net.nir", dt=1 / 128)
    x = np.random.default_rng(3).integers(0, 64, (2, *graph.shapes["x"])) / 64
    layers = list(conversion.populations())
    options = {"engine": engine, "progress": False}
    ours = conversion.run(x, steps=STEPS, dt=1 / 128, record=layers, **options)
    net = sw.nir.load(tmp_path / "net.nir")
    with net:
        probes = {name: sw.Probe(e.neurons, "spike_count") for name, e in net.layers.items()}
    simulator = sw.Simulator(net, batch_size=2, **options)
    shape = net.inputs["input"].shape_in
    fed = np.stack([_file_input(graph, sample, np.array(shape)) for sample in x])
    simulator.run_steps(STEPS, {net.inputs["input"]: fed})

    assert set(probes) == set(layers)
    for layer, probe in probes.items():
        wanted = ours.spikes_over_time(layer)
        if any(getattr(n.layer, "channels_last", False) for n in graph) and wanted.ndim == 5:
            wanted = np.moveaxis(wanted, -1, 2)
        found = simulator.data[probe].reshape(wanted.shape)
        np.testing.assert_array_equal(found, wanted, layer)
        assert wanted.sum() > 0
    output = simulator.data[net.probes[0]].reshape(ours.output.shape)
    np.testing.assert_array_equal(output, ours.output)


def test_a_function_of_the_readout_is_stated(tmp_path: Path) -> None:
    """The file sends what softmax is applied to, and says so."""
    rng = np.random.default_rng(9)
    graph = _network(
        ("a", g.Affine(_draw(rng, 5, 4), _draw(rng, 5))),
        ("r", _relu()),
        ("b", g.Affine(_draw(rng, 3, 5), _draw(rng, 3))),
        ("p", g.Activation("softmax")),
        shape=(4,),
    )
    sw.nir.save(sw.convert(graph, spiking=True), tmp_path / "net.nir")

    assert nir.read(tmp_path / "net.nir").metadata["readout_y"] == "softmax"


def test_signed_digits_are_refused_by_name(tmp_path: Path) -> None:
    """Their spikes are worth less with every step, for which NIR has no word."""
    graph = Graph(
        (GraphNode("x", g.Input((3,))), GraphNode("relu", g.Activation("relu"), ("x",))),
        {"output": "relu"},
    )
    x = np.random.default_rng(0).random((20, 3))
    conversion = sw.convert(graph, spiking=True, coding=sw.SignedDigits(3, 1), calibration=x)
    with pytest.raises(ExchangeError, match=r"signed digits, .* NIR has only .*=sw\.RateCode"):
        sw.nir.save(conversion, tmp_path / "digits.nir")
