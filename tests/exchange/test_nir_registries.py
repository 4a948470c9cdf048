"""Whatever a network may hold is written as NIR as it is, or refused by name: over registries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from slowly import of_each_type
from spikewright.errors import ExchangeError
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
