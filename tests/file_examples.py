"""Files of every kind that is loaded, as plain data and arrays: every class that one may name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import models
import spikewright as sw
from conformance import (
    function_examples,
    neuron_type_examples,
    rule_examples,
    synapse_examples,
    transform_examples,
)
from file_uses import MODEL, RESIDUAL, evaluated
from frontends.recurrent import cell_of
from frontends.recurrent import graph_of as sequence_of
from lower.layer_graphs import cases, graph_of
from network import test_distributions, test_processes, test_solvers
from spikewright._base import storage as _storage
from spikewright.engines.decoder_cache import FORMAT as DECODERS
from spikewright.engines.decoder_cache import DecodersEntry
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Add, Constant, Input
from spikewright.graph.storage import FORMAT as GRAPHS
from spikewright.network import pointwise
from spikewright.network import storage as networks
from spikewright.network.processes import PROCESSES
from spikewright.running import storage as conversions
from test_learning import learning_network

Parts = tuple[Any, dict[str, NDArray]]


def _conversions(folder: Path) -> Iterator[Parts]:
    """Rates and spikes, every argument of `convert`, recurrent layers in both forms."""
    small = models.mlp(output="softmax")
    chosen = {sw.RectifiedLinear: sw.IntegrateAndFire, "relu": sw.BipolarIntegrateAndFire()}
    scales = {"act1": 50.0, "act2": np.linspace(20.0, 90.0, 8)}
    graphs_and_choices: list[tuple[Any, dict[str, Any]]] = [
        (small, {}),
        (small, {"spiking": chosen, "scale_firing_rates": scales, "synapse": sw.Alpha(0.01)}),
        (
            small,
            {
                "spiking": True,
                "max_spikes_per_step": 1,
                "bias_correction": {"act1": 0.1, "act2": np.linspace(-0.1, 0.1, 16).reshape(2, 8)},
                "outputs": ["act2"],
                "initial_voltage": "uniform",
                "synapse": {"act1": 0.005, "act2": None},
            },
        ),
        (models.residual(pool=True), {"spiking": True}),
        (sequence_of(cell_of("gru")), {"spiking": True, "sequence_step": 2}),
        (sequence_of(cell_of("lstm"), kept=False), {"spiking": True}),
        *((graph_of(case, behind_spikes=True), {"spiking": True}) for case in cases()[::9]),
    ]
    for graph, choices in graphs_and_choices:
        yield conversions.as_data(sw.convert(graph, **choices))


def _graphs(folder: Path) -> Iterator[Parts]:
    """Every layer, a constant, and a recurrent cell."""
    others = (_with_a_constant(), sequence_of(cell_of("gru")))
    for graph in (*(graph_of(case, False) for case in cases()), *others):
        yield GRAPHS.encoded(graph)


def _with_a_constant() -> Graph:
    nodes = [
        GraphNode("x", Input((3,))),
        GraphNode("c", Constant(np.array([0.5, -1.0, 2.0]))),
        GraphNode("sum", Add(), ("x", "c")),
    ]
    return Graph(tuple(nodes), {"y": "sum"})


def _networks(folder: Path) -> Iterator[Parts]:
    """A small network for every class that a file may name."""
    for net in _every_network():
        yield networks.FORMAT.encoded(networks.described(net)[0])


def _every_network() -> Iterator[sw.Network]:
    yield from (_of_neurons(e.neuron_type) for e in neuron_type_examples())
    yield from (_of_synapse(e.synapse) for e in synapse_examples())
    yield from (_of_transform(e.transform, e.shape) for e in transform_examples())
    yield from (_of_node(e.function, e.shape) for e in function_examples())
    yield from (_of_rule(e.rule) for e in rule_examples())
    yield from (_of_distribution(dist) for dist in (*test_distributions.EXAMPLES, POINTS))
    yield from (_of_solver(solver) for solver in (*test_solvers.EXAMPLES, NO_SOLVER))
    processes = {**test_processes.SIZED, **test_processes.UNSIZED}
    yield from (_of_process(made) for name, made in processes.items() if name in PROCESSES)
    yield from (
        _of_solver(None, f)
        for f in (
            pointwise.Square(),
            pointwise.Above(0.5),
            pointwise.Step(0.5),
            pointwise.SmoothStep(0.5, 0.1),
        )
    )
    yield _of_solver(None, pointwise.Square(), sw.Direct())


POINTS = sw.distributions.Samples(np.linspace(-1, 1, 6)[:, None])
NO_SOLVER = sw.solvers.NoSolver(np.ones((6, 1)))


def _of_neurons(kind: Any) -> sw.Network:
    with sw.Network(label="neurons", seed=3) as net:
        stimulus = sw.Node([0.5, 1.0])
        with sw.Network():
            cells = sw.Ensemble(2, neuron_type=kind, gain=[1.0, 2.0], bias=0.5, label="cells")
        sw.Connection(stimulus[:], cells.neurons[[1, 0]], 0.01, 2.0)
        sw.Connection(cells.neurons[:1], cells.neurons[1:], 0.005)
        sw.Probe(cells.neurons, synapse=0.003)
    return net


def _of_synapse(synapse: Any) -> sw.Network:
    with sw.Network() as net:
        end = sw.Node(size_in=2)
        sw.Connection(sw.Node([0.5, 1.0]), end, synapse)
        sw.Probe(end, synapse=synapse, sample_every=0.002)
    return net


def _of_transform(transform: Any, shape: Any) -> sw.Network:
    with sw.Network() as net:
        end = sw.Node(size_in=transform.output_shape(shape))
        sw.Connection(sw.Node(np.ones(shape)), end, 0.002, transform)
        sw.Probe(end)
    return net


def _of_node(function: Any, shape: Any) -> sw.Network:
    with sw.Network() as net:
        computed = sw.Node(function, size_in=shape)
        sw.Connection(sw.Node(np.ones(shape)), computed, None)
        sw.Probe(computed)
    return net


def _of_rule(rule: Any) -> sw.Network:
    form = {"PES": "decoders", "Voja": "encoders", "RLS": "part"}.get(
        type(rule).__name__, "neurons"
    )
    net, link = learning_network(form, rule)
    with net:
        sw.Probe(link, "weights")
    with sw.Simulator(net) as simulator:
        simulator.run_steps(3)
        simulator.keep_learned()
    return net


def _of_distribution(distribution: Any) -> sw.Network:
    with sw.Network(seed=4) as net:
        given = {"eval_points": distribution, "n_eval_points": 6, "encoders": distribution}
        first = sw.Ensemble(6, 1, radius=1.5, **given)
        sw.Probe(first, synapse=0.01)
    return net


def _of_solver(solver: Any, function: Any = None, kind: Any = None) -> sw.Network:
    kind = kind or sw.LIF()
    with sw.Network(seed=4) as net:
        first = sw.Ensemble(6, 1, neuron_type=kind, intercepts=(-0.5, 0.5))
        second = sw.Ensemble(4, 1)
        sw.Connection(first, second, 0.01, solver=solver, function=function, seed=2)
        sw.Probe(second, synapse=0.01)
    return net


def _of_process(process: Any) -> sw.Network:
    with sw.Network(seed=6) as net:
        signal = sw.Node(process, size_out=2)
        sw.Ensemble(2, 1, noise=process)
        sw.Probe(signal)
    return net


def _statistics(folder: Path) -> Iterator[Parts]:
    """Of layers, and of channels."""
    for model in (MODEL, RESIDUAL):
        sw.convert(model).calibrate(models.inputs(model, 20)).save(folder / "statistics")
        yield _storage.read(folder / "statistics", "statistics")


def _shards(folder: Path) -> Iterator[Parts]:
    evaluated(folder / "evaluation")
    yield _storage.read(folder / "evaluation" / "shard-000000.safetensors", "evaluation shard")


def _documents(folder: Path) -> Iterator[Parts]:
    """Of labels, and of a measure of one's own."""
    for settings in ({}, {"metric": _likeness, "source": False}):
        evaluated(**settings).save(folder / "document")
        yield json.loads((folder / "document").read_bytes()), {}


def _likeness(outputs: NDArray, y: NDArray) -> NDArray:
    return outputs[np.arange(len(y)), y]


def _abouts(folder: Path) -> Iterator[Parts]:
    evaluated(folder / "evaluation")
    yield json.loads((folder / "evaluation" / "evaluation.json").read_bytes()), {}


def _decoders(folder: Path) -> Iterator[Parts]:
    info = {"rmses": np.ones(2), "iterations": 3, "from": "solver"}
    yield DECODERS.encoded(DecodersEntry(np.ones((3, 2)), info))


EXAMPLES: dict[str, Callable[[Path], Iterator[Parts]]] = {
    "conversion": _conversions,
    "network": _networks,
    "graph": _graphs,
    "statistics": _statistics,
    "evaluation": _documents,
    "shard": _shards,
    "about": _abouts,
    "decoders": _decoders,
}
WHAT = {"shard": "evaluation shard"}
JSON = ("evaluation", "about")


def write(kind: str, path: Path, content: Any, arrays: dict[str, NDArray]) -> None:
    """A file of a kind, with a checksum that is right."""
    if kind in JSON:
        path.write_text(json.dumps(content), "utf-8", "surrogatepass")
    else:
        _storage.write(path, WHAT.get(kind, kind), content, arrays)
