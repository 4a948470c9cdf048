"""Whatever a network may hold is written as NIR as it is, or refused by name: over registries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from conformance.rule_examples import RuleExample, rule_examples
from slowly import of_each_type
from spikewright.errors import ExchangeError, NetworkError
from spikewright.network.neurons import NEURON_TYPES
from spikewright.network.synapses import SYNAPSES
from spikewright.testing.layers import FunctionExample, function_examples
from spikewright.testing.modelling import (
    NeuronExample,
    SynapseExample,
    TransformExample,
    neuron_type_examples,
    synapse_examples,
    transform_examples,
)

nir = pytest.importorskip("nir")

STEPS, N = 40, 5
WRITTEN = {sw.IntegrateAndFire, sw.GridLIF, sw.DiscreteLI, sw.DiscreteLIF}


def _cells(kind: Any, shape: Any = N) -> sw.Ensemble:
    return sw.Ensemble(
        shape, None, neuron_type=kind, gain=1.0, bias=0.25, initial_voltage="zero", label="cells"
    )


def _leaky() -> sw.DiscreteLIF:
    return sw.DiscreteLIF(np.array(0.75), "subtract")


def _network(shape: Any, kind: Any, out: Any = None, **connection: Any) -> sw.Network:
    """An input, connected to neurons, which a probe records."""
    with sw.Network(seed=0) as net:
        x = sw.Node(np.zeros(shape), label="x")
        cells = _cells(kind, shape if out is None else out)
        sw.Connection(x, cells.neurons, **({"synapse": None} | connection))
        sw.Probe(cells.neurons, label="y")
    return net


def _values(net: sw.Network, x: sw.Node, fed: np.ndarray, dt: float | None = None) -> np.ndarray:
    """What the probe records, in the order of the values, `(steps, values)`."""
    simulator = sw.Simulator(net, dt, engine="reference", precision="float64", progress=False)
    simulator.run_steps(len(fed), {x: fed})
    found: np.ndarray = simulator.data[net.all_probes[0]]
    return found.reshape(len(fed), -1)


def _again(path: Path, fed: np.ndarray, last: bool = False) -> np.ndarray:
    """The values of a file that is read again; images of the network have their channels last."""
    net = sw.nir.load(nir.read(path))
    (x,) = net.inputs.values()
    moved = np.moveaxis(fed, -1, 1) if last else fed
    found = _values(net, x, moved.reshape(len(fed), *x.shape_in))
    (y,) = net.outputs.values()
    if last and len(y.shape_out) == fed.ndim - 1 and y.shape_out[1:] != (1,) * (fed.ndim - 2):
        found = np.moveaxis(found.reshape(len(fed), *y.shape_out), 1, -1).reshape(len(fed), -1)
    return found


def _saved(net: sw.Network, path: Path, dt: float, named: str) -> bool:
    """True where it was written; a refusal says which object it is about, and nothing is left."""
    try:
        sw.nir.save(net, path, dt=dt)
    except ExchangeError as error:
        assert any(named in refusal.layer for refusal in error.refusals), error
        assert all(refusal.reason for refusal in error.refusals)
        assert not path.exists()
        return False
    return True


@pytest.mark.parametrize("example", of_each_type(neuron_type_examples()), ids=lambda e: e.id)
def test_every_type_of_neurons_is_written_or_refused(
    example: NeuronExample, tmp_path: Path
) -> None:
    """A file gives the same spikes and potentials; a refusal names the ensemble and its type."""
    kind, path, dt = example.neuron_type, tmp_path / "net.nir", example.dt
    net = _network(N, kind)
    if not _saved(net, path, dt, "cells"):
        with pytest.raises(ExchangeError, match=rf"'cells' \({type(kind).__name__}\)"):
            sw.nir.save(net, path, dt=dt)
        return
    fed = example.currents(STEPS, N)
    ours = _values(net, net.nodes[0], fed, dt)

    assert type(kind) in WRITTEN
    np.testing.assert_allclose(_again(path, fed), ours, rtol=1e-6, atol=1e-6)
    assert np.ptp(ours) > 0


def test_every_type_of_neurons_is_tried(tmp_path: Path) -> None:
    """A type that is registered is tested the day it is; those that NIR has are written."""
    kinds = [e.neuron_type for e in neuron_type_examples()]
    written = {
        type(k) for k in kinds if _saved(_network(N, k), tmp_path / f"{id(k)}", 0.125, "cells")
    }
    assert {type(kind) for kind in kinds} == set(NEURON_TYPES.values())
    assert written == WRITTEN


@pytest.mark.parametrize("example", synapse_examples(), ids=lambda e: e.id)
def test_every_synapse_is_written_or_refused(example: SynapseExample, tmp_path: Path) -> None:
    """First-order filters are; a refusal names the receiver and the synapse."""
    net, path, dt = _network(N, _leaky(), synapse=example.synapse), tmp_path / "net.nir", 0.001
    if not _saved(net, path, dt, "cells"):
        with pytest.raises(ExchangeError, match=type(example.synapse).__name__):
            sw.nir.save(net, path, dt=dt)
        assert not isinstance(example.synapse, sw.Lowpass)
        return
    fed = np.random.default_rng(0).normal(0.3, 1.0, (STEPS, N))
    ours = _values(net, net.nodes[0], fed, dt)

    np.testing.assert_array_equal(_again(path, fed) > 0, ours > 0)
    assert 0 < np.count_nonzero(ours) < ours.size


def test_every_synapse_is_tried() -> None:
    """Each registered one has an example."""
    assert {type(e.synapse) for e in synapse_examples()} == set(SYNAPSES.values())


@pytest.mark.parametrize("example", transform_examples(), ids=lambda e: e.id)
def test_every_transform_is_written(example: TransformExample, tmp_path: Path) -> None:
    """As a window or as a matrix; values come out in the network's order, or channels first."""
    path, shape = tmp_path / "net.nir", example.shape
    out = example.transform.output_shape(shape)
    net = _network(shape, _leaky(), out, transform=example.transform)
    assert _saved(net, path, 1.0, "cells")
    fed = np.random.default_rng(0).normal(0.3, 1.0, (STEPS, *shape))
    ours = _values(net, net.nodes[0], fed, 1.0)
    theirs = _again(path, fed, getattr(example.transform, "channels_last", False))

    assert theirs.shape == ours.shape
    assert np.mean(theirs != ours) < 0.02  # weights are rounded to single precision
    np.testing.assert_allclose(theirs, ours, atol=1.0)
    assert ours.any() or not example.transform.output_shape(shape) or example.id == "sparse-empty"


@pytest.mark.parametrize("example", function_examples(), ids=lambda e: e.id)
def test_functions_of_nodes_are_refused_by_name(example: FunctionExample, tmp_path: Path) -> None:
    """NIR has none of them."""
    with sw.Network(seed=0) as net:
        x = sw.Node(np.zeros(example.shape), label="x")
        node = sw.Node(example.function, size_in=example.shape, label="called")
        sw.Connection(x, node, synapse=None)
        sw.Probe(node, label="y")
    assert not _saved(net, tmp_path / "net.nir", 0.001, "called")


@pytest.mark.parametrize("example", rule_examples(), ids=lambda e: e.id)
def test_weights_that_learn_are_refused(example: RuleExample, tmp_path: Path) -> None:
    """Weights of NIR are fixed, between neurons and where vectors are decoded."""
    neurons = example.rule.modifies == "weights"
    with sw.Network(seed=0) as net:
        x = sw.Node(np.zeros(N if neurons else 1), label="x")
        if neurons:
            pre, post = _cells(_leaky()), _cells(_leaky())
            sw.Connection(x, pre.neurons, None)
            between = sw.Connection(pre.neurons, post.neurons, 0.01, np.eye(N))
        else:
            kind = sw.IntegrateAndFire()
            pre, post = (sw.Ensemble(N, 1, neuron_type=kind, label=name) for name in ("a", "b"))
            sw.Connection(x, pre, None)
            between = sw.Connection(pre, post)
        between.learning_rule_type = example.rule
        sw.Probe(post.neurons, label="y")
    with pytest.raises(ExchangeError, match="learns" if neurons else "represents a vector"):
        sw.nir.save(net, tmp_path / "net.nir")
    assert list(tmp_path.iterdir()) == []


def _with(change: Callable[[sw.Network], Any]) -> sw.Network:
    net = _network(N, _leaky())
    with net:
        change(net)
    return net


REFUSED: dict[str, tuple[type[Exception], Callable[[sw.Network], Any]]] = {
    "records 'voltage'": (
        ExchangeError, lambda net: sw.Probe(net.all_ensembles[0].neurons, "voltage", label="v"),
    ),
    "Probe a node or .neurons, all of them": (
        ExchangeError, lambda net: sw.Probe(net.all_ensembles[0].neurons[:2], label="some"),
    ),
    "outputs have none": (
        ExchangeError, lambda net: sw.Probe(net.all_ensembles[0].neurons, synapse=0.01, label="f"),
    ),
    "two outputs named 'y'": (
        NetworkError, lambda net: sw.Probe(net.all_ensembles[0].neurons, label="y"),
    ),
    "two inputs named 'x'": (NetworkError, lambda net: sw.Node(np.zeros(2), label="x")),
}  # fmt: skip


@pytest.mark.parametrize("reason", REFUSED)
def test_ends_that_a_file_cannot_have(reason: str, tmp_path: Path) -> None:
    """Probes of something else than values as they are sent, and two ends of one name."""
    error, change = REFUSED[reason]
    with pytest.raises(error, match=reason):
        sw.nir.save(_with(change), tmp_path / "net.nir")
    assert list(tmp_path.iterdir()) == []


def test_constants_that_are_no_inputs_are_biases(tmp_path: Path) -> None:
    """Where `network.inputs` names the inputs; one that begins later is refused."""
    net = _network(N, _leaky())
    with net:
        constant = sw.Node(np.linspace(-0.5, 0.5, N), label="constant")
        sw.Connection(constant, net.all_ensembles[0].neurons, None)
    net.inputs = {"x": net.all_nodes[0]}
    sw.nir.save(net, tmp_path / "net.nir")
    fed = np.random.default_rng(0).normal(0.3, 1.0, (STEPS, N))
    ours = _values(net, net.all_nodes[0], fed, 0.001)

    np.testing.assert_array_equal(_again(tmp_path / "net.nir", fed) > 0, ours > 0)
    assert 0 < np.count_nonzero(ours) < ours.size
    with net:
        sw.Connection(constant, net.all_ensembles[0].neurons, 0.01)
    with pytest.raises(ExchangeError, match="a constant that begins later"):
        sw.nir.save(net, tmp_path / "net.nir")
