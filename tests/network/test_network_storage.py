"""Saved networks: what comes back, what is refused, and what damage does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from conformance import (
    function_examples,
    neuron_type_examples,
    synapse_examples,
    transform_examples,
)
from conformance.mixed import MixedNetwork
from spikewright._base.windows import Windows
from spikewright.errors import DamagedFileError, NetworkError
from spikewright.network import load, save, storage
from spikewright.network.synapses import Synapse
from spikewright.network.transforms import Transform


def rich_network() -> sw.Network:
    """Every registered class, every way to name a part, nested networks, labels and seeds."""
    rng = np.random.default_rng(0)
    with sw.Network(label="outer", seed=5) as net:
        stimulus = sw.Node(rng.standard_normal((2, 3)), label="Stimulus ✓")
        for example in neuron_type_examples():
            ensemble = sw.Ensemble(
                (2, 3),
                neuron_type=example.neuron_type,
                gain=rng.uniform(0.5, 2.0, (2, 3)),
                bias=rng.uniform(1.0, 3.0, (3,)),
                rate_scale=example.scale,
                initial_voltage=rng.random((2, 3)) / 2,
                label=example.id,
            )
            sw.Connection(stimulus, ensemble.neurons, None)
            sw.Probe(ensemble.neurons, synapse=0.003, label=f"probe of {example.id}")
        for synapse_example in synapse_examples():
            end = sw.Node(size_in=(2, 3))
            sw.Connection(stimulus, end, synapse_example.synapse, delay=0.002)
            sw.Probe(end, synapse=synapse_example.synapse)
        for place in ([0, 2], [1, 1]):
            some = sw.Sparse((6, 6), indices=[place, [3, 3]], init=0.5)
            flat = sw.Node(np.ones(6)), sw.Node(size_in=6)
            sw.Connection(*flat, None, some, delay=rng.integers(1, 5, 2) * 0.001)
        for transform_example in transform_examples():
            source = sw.Node(rng.standard_normal(transform_example.shape))
            shape = transform_example.transform.output_shape(transform_example.shape)
            end = sw.Node(size_in=shape)
            sw.Connection(source, end, 0.002, transform_example.transform)
            sw.Probe(end, "input", sample_every=0.002)
        for function_example in function_examples():
            source = sw.Node(rng.standard_normal(function_example.shape))
            for function in (function_example.function, function_example.accumulating()):
                computed = sw.Node(function, size_in=function_example.shape)
                sw.Connection(source, computed, None)
                sw.Probe(computed)
        with sw.Network(label="inner", seed=7):
            drawn = sw.Ensemble(
                6, neuron_type=sw.SpikingRectifiedLinear(), max_rates=np.full(6, 300.0), seed=3
            )
            with sw.Network():
                ranged = sw.Ensemble(
                    (3, 2), max_rates=(100.0, 200.0), intercepts=(-0.5, 0.5), label="LIF"
                )
            sw.Connection(ranged.neurons, drawn.neurons, transform=sw.transforms.Reshape((6,)))
            sw.Connection(drawn.neurons[[1, 1, 4]], drawn.neurons[::2], 0.004, -0.01)
            sw.Connection(
                stimulus[1, ...], ranged.neurons[..., 0], None, sw.transforms.Reshape((3,))
            )
            mask = np.array([True, False, True, False, False, False])
            sw.Connection(stimulus[0, [0, 2]], drawn.neurons[mask], None)
            sw.Connection(stimulus[0, None, 1], drawn.neurons[-1], None)
            sw.Probe(drawn.neurons, "voltage")
            sw.Probe(ranged.neurons, "spike_count")
        windows = Windows((1, 2), (1, 1), ((0, 0), (1, 0)), (1, 1), True)
        for accumulate in (False, True):
            pool = sw.Node(
                sw.MaxPool(windows, channels_last=True, accumulate=accumulate), size_in=(2, 3, 1)
            )
            link = sw.Connection(stimulus, pool, None, sw.transforms.Reshape((2, 3, 1)))
            sw.Probe(pool)
            sw.Probe(link)
    return net


def results(net: sw.Network, steps: int = 12) -> list[NDArray]:
    """What every probe records, in order."""
    with sw.Simulator(net, engine="reference", precision="float64") as sim:
        sim.run_steps(steps)
    return [sim.data[probe] for probe in net.all_probes]


def manifest(net: sw.Network) -> tuple[Any, dict[str, NDArray]]:
    """A network as plain data and arrays."""
    content, arrays = storage.FORMAT.encoded(storage.described(net)[0])
    return json.loads(json.dumps(content)), arrays


@pytest.fixture(scope="module")
def rich() -> sw.Network:
    """One rich network for all tests, none of which changes it."""
    return rich_network()


def test_a_round_trip_changes_nothing(rich: sw.Network, tmp_path: Path) -> None:
    """The loaded network has the same data, to the last bit and field, and runs bit-identically."""
    path = tmp_path / "net.sw"
    save(rich, path)
    loaded = load(path)
    before, after = manifest(rich), manifest(loaded)
    assert before[0] == after[0]
    assert before[1].keys() == after[1].keys()
    for name, array in before[1].items():
        assert array.dtype == after[1][name].dtype
        np.testing.assert_array_equal(array, after[1][name])
    for one, two in zip(results(rich), results(loaded), strict=True):
        np.testing.assert_array_equal(one, two)
    save(loaded, tmp_path / "again.sw")
    assert (tmp_path / "again.sw").read_bytes() == path.read_bytes()


def test_a_round_trip_keeps_every_attribute(rich: sw.Network, tmp_path: Path) -> None:
    """Labels, seeds, shapes, parameters, types, synapses and places in the tree."""
    save(rich, tmp_path / "net.sw")
    loaded = load(tmp_path / "net.sw")
    delays = [connection.delay for connection in rich.all_connections]
    assert any(map(np.any, delays)) and any(isinstance(delay, np.ndarray) for delay in delays)
    assert [(n.label, n.seed) for n in loaded.all_networks] == [("inner", 7), (None, None)]
    assert (loaded.label, loaded.seed) == ("outer", 5)
    for one, two in zip(rich.all_ensembles, loaded.all_ensembles, strict=True):
        assert (one.label, one.seed, one.shape) == (two.label, two.seed, two.shape)
        assert one.neuron_type == two.neuron_type
        for name in ("gain", "bias", "max_rates", "intercepts", "rate_scale", "initial_voltage"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    for first, second in zip(rich.all_connections, loaded.all_connections, strict=True):
        assert (first.label, first.synapse) == (second.label, second.synapse)
        np.testing.assert_array_equal(first.delay, second.delay)
        for mine, theirs in ((first.pre, second.pre), (first.post, second.post)):
            assert type(mine) is type(theirs)
            key, same = (getattr(end, "key", ()) for end in (mine, theirs))
            assert [str(np.asarray(k, object)) for k in key] == [
                str(np.asarray(k, object)) for k in same
            ]
    for p, q in zip(rich.all_probes, loaded.all_probes, strict=True):
        assert (p.label, p.attr, p.sample_every) == (q.label, q.attr, q.sample_every)
        assert p.synapse == q.synapse
    for a, b in zip(rich.all_nodes, loaded.all_nodes, strict=True):
        assert (a.label, a.shape_in, a.shape_out) == (b.label, b.shape_in, b.shape_out)
    infinite = next(e for e in loaded.all_ensembles if e.label == "lif-without-floor")
    assert infinite.neuron_type == sw.LIF(min_voltage=-np.inf)


def test_a_stochastic_looping_network_runs_the_same_after_loading(tmp_path: Path) -> None:
    """Random starts and draws follow from the network's seed and the objects' places."""
    mixed = MixedNetwork()
    save(mixed.network, tmp_path / "net.sw")
    loaded = load(tmp_path / "net.sw")
    for node, net in ((mixed.stimulus, mixed.network), (loaded.nodes[0], loaded)):
        assert isinstance(node.output, np.ndarray) and net.seed == 0
    feed = mixed.feed(3, 20)
    recorded = []
    for net, node in ((mixed.network, mixed.stimulus), (loaded, loaded.nodes[0])):
        with sw.Simulator(net, dt=mixed.dt, batch_size=3, engine="reference") as sim:
            sim.run_steps(20, {node: feed})
        recorded.append([sim.data[probe] for probe in net.all_probes])
    assert any(value.any() for value in recorded[0])
    for one, two in zip(*recorded, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(("saved_at", "run_at"), [(1.0, 10.0), (10.0, 1.0), (10.0, 3.0)])
def test_parameters_saved_at_one_scale_load_right_at_any_other(
    saved_at: float, run_at: float, tmp_path: Path
) -> None:
    """The scale is a field of its own: gain and bias in the file are the unscaled ones."""

    def build(scale: float) -> sw.Network:
        with sw.Network(seed=1) as net:
            stimulus = sw.Node([0.7])
            ensemble = sw.Ensemble(
                5, neuron_type=sw.IntegrateAndFire(), gain=np.arange(1.0, 6.0) * 50, bias=20.0,
                rate_scale=scale,
            )  # fmt: skip
            sw.Connection(stimulus, ensemble.neurons, None, np.ones((5, 1)))
            sw.Probe(ensemble.neurons)
        return net

    save(build(saved_at), tmp_path / "net.sw")
    loaded = load(tmp_path / "net.sw")
    (ensemble,) = loaded.ensembles
    assert ensemble.rate_scale == saved_at
    np.testing.assert_array_equal(ensemble.gain, np.arange(1.0, 6.0) * 50)  # type: ignore[arg-type]
    ensemble.rate_scale = run_at
    np.testing.assert_array_equal(results(loaded, 60)[0], results(build(run_at), 60)[0])
    assert results(loaded, 60)[0].any()


def test_objects_come_back_in_the_order_that_indices_mean(rich: sw.Network) -> None:
    """For embedding in another file: the n-th object written is the n-th object read."""
    entry, written = storage.described(rich)
    loaded, read = storage.rebuilt(entry)
    assert len(read) == len(written) > 100
    for one, two in zip(written, read, strict=True):
        assert type(one) is type(two) and one.label == two.label
    assert [id(o) for o in read] == [
        id(o)
        for part in ("nodes", "ensembles", "connections", "probes")
        for o in getattr(loaded, f"all_{part}")
    ]


def test_loading_adds_the_network_to_none(rich: sw.Network, tmp_path: Path) -> None:
    """Not even inside `with`; the caller adds it where it is wanted."""
    save(rich, tmp_path / "net.sw")
    with sw.Network() as outer:
        loaded = load(tmp_path / "net.sw")
        assert outer.networks == []
        node = sw.Node([1.0])
    assert outer.nodes == [node] and loaded.nodes
    outer.add(loaded)


# Refusals


def test_python_functions_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    """The error names every such node; a file of that name stays as it was."""
    with sw.Network() as net:
        sw.Node(lambda t: t, label="ramp")
        with sw.Network():
            sw.Node(np.sin, label="wave", size_out=1)
    path = tmp_path / "net.sw"
    path.write_bytes(b"before")
    with pytest.raises(NetworkError, match=r"'ramp'>, <Node 'wave'>: Python functions cannot be"):
        save(net, path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@dataclass(frozen=True)
class Unregistered(sw.Sigmoid):
    """A type that no file could name."""


class Odd(Transform):
    """A transform that is no dataclass and not registered."""

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape


@dataclass(frozen=True)
class Delay(Synapse):
    """A synapse that no file could name."""

    def discretise(self, dt: float) -> Any:
        raise AssertionError


def refused_networks() -> list[tuple[sw.Network, str]]:
    """Networks that a file cannot hold, and how the error begins."""
    with sw.Network() as elsewhere:
        foreign = sw.Node([1.0], label="foreign")
    found = []
    with sw.Network() as one:
        sw.Ensemble(2, neuron_type=Unregistered(), gain=1.0, bias=0.0, label="cells")
    found.append((one, r"'cells'> cannot be saved: Unregistered is not registered"))
    with sw.Network() as two:
        nested = sw.RunningMeanSpiking(Unregistered())
        sw.Ensemble(2, neuron_type=nested, gain=1.0, bias=0.0, label="cells")
    found.append((two, r"'cells'> cannot be saved: Unregistered is not registered"))
    with sw.Network() as three:
        node, end = sw.Node([1.0]), sw.Node(size_in=1)
        sw.Connection(node, end, None, Odd(), label="link")
    found.append((three, r"'link'> cannot be saved: Odd is not registered"))
    with sw.Network() as four:
        sw.Connection(foreign, sw.Node(size_in=1), label="link")
    found.append((four, r"'link'>: <Node 'foreign'> is not in the network"))
    with sw.Network() as five:
        sw.Probe(foreign, label="look")
    found.append((five, r"'look'>: <Node 'foreign'> is not in the network"))
    with sw.Network() as six:
        sw.Probe(sw.Node([1.0]), synapse=Delay(), label="look")
    found.append((six, r"'look'> cannot be saved: Delay is not registered"))
    with sw.Network() as seven:
        sw.Node([1.0]).label = 3  # type: ignore[assignment]
    found.append((seven, r"cannot be saved: NodeEntry.label holds 3, where it takes str"))
    with sw.Network() as eight:
        sw.Ensemble(1, neuron_type=sw.LeakyReLU(np.float64(0.5)), label="fine")
        sw.Ensemble(1, neuron_type=sw.LIF(skewed_scaling="no"), label="cells")  # type: ignore[arg-type]
    found.append((eight, r"'cells'> cannot be saved: LIF.skewed_scaling holds 'no'"))
    middle = sw.Network()
    nine, ten = sw.Network(), sw.Network()
    ten.add(middle), nine.add(middle), nine.add(ten)
    with middle:
        sw.Node([1.0])
    found.append((nine, r"a part of this one more than once"))
    assert elsewhere.nodes == [foreign]
    return found


@pytest.mark.parametrize(("net", "message"), refused_networks())
def test_what_a_file_cannot_hold_is_refused(net: sw.Network, message: str, tmp_path: Path) -> None:
    """The error names the object and what is wrong with it; nothing is written."""
    with pytest.raises(NetworkError, match=message):
        save(net, tmp_path / "net.sw")
    assert list(tmp_path.iterdir()) == []


def test_deep_nesting_is_an_error_and_no_crash() -> None:
    """Networks in networks without end."""
    content: Any = None
    for _ in range(20_000):
        content = {
            "label": None, "seed": None, "nodes": [], "ensembles": [], "connections": [],
            "probes": [], "networks": [content] if content else [],
        }  # fmt: skip
    with pytest.raises(DamagedFileError, match="RecursionError"):
        storage.FORMAT.decoded(content, {}, "deep.sw")
