"""Rows about Nengo 4."""

from __future__ import annotations

import dataclasses
import inspect
import re
from functools import partial
from operator import attrgetter
from typing import Any

import numpy as np

import spikewright as sw
from benchmarks.migration.rows import row, rows

PAGE = "nengo.md"
_NAME = re.compile(r"`(nengo|sw)\.([\w.]+)`")
SAME = (
    "`nengo.Network`, `nengo.Node`, `nengo.Ensemble`, `nengo.Connection`, `nengo.Probe`",
    "`nengo.LIF`, `nengo.LIFRate`, `nengo.AdaptiveLIF`, `nengo.Izhikevich`",
    "`nengo.RectifiedLinear`, `nengo.SpikingRectifiedLinear`",
    "`nengo.RegularSpiking`, `nengo.PoissonSpiking`, `nengo.StochasticSpiking`",
    "`nengo.Direct`, `nengo.Sigmoid`, `nengo.Tanh`",
    "`nengo.Lowpass`, `nengo.Alpha`, `nengo.synapses.Triangle`, `nengo.LinearFilter`",
    "`nengo.Dense`, `nengo.Sparse`, `nengo.Convolution`, `nengo.ConvolutionTranspose`",
    "`nengo.PES`, `nengo.BCM`, `nengo.Oja`, `nengo.Voja`, `nengo.RLS`",
)
"""Rows of the same names."""
APART = ("channels_last",)
"""Arguments whose defaults differ, which the row says."""


def _defaults(found: Any) -> dict[str, Any]:
    """Numbers, texts and truth values that arguments have where they are left out."""
    if dataclasses.is_dataclass(found):
        pairs = [(f.name, f.default) for f in dataclasses.fields(found)]
    else:
        pairs = [(p.name, p.default) for p in inspect.signature(found).parameters.values()]
    made = {}
    for name, value in pairs:
        if type(value).__name__ == "Default" and not isinstance(value, type):
            continue
        if isinstance(value, bool | int | float | str):
            made[name] = value
    return made


def _of_nengo(found: Any) -> dict[str, Any]:
    """Likewise of a class of Nengo's, whose defaults are parameters of the class."""
    made = {}
    for name in inspect.signature(found).parameters:
        value = getattr(getattr(found, name, None), "default", None)
        if isinstance(value, bool | int | float | str):
            made[name] = value
    return {**_defaults(found), **made}


def names(first: str) -> str:
    """Both have the names, and arguments that they share have equal defaults."""
    import nengo

    second = rows(PAGE)[first]
    theirs = [attrgetter(name)(nengo) for _, name in _NAME.findall(first)]
    ours = [attrgetter(name)(sw) for _, name in _NAME.findall(second)]
    assert len(theirs) == len(ours) > 0
    shared = 0
    for one, other in zip(theirs, ours, strict=True):
        assert one.__name__ == other.__name__
        left, right = _of_nengo(one), _defaults(other)
        for name in left.keys() & right.keys():
            if name in APART:
                assert f"`{name}={right[name]}`" in second and left[name] != right[name]
                continue
            assert left[name] == right[name], f"{one.__name__}.{name}: {left[name]}, {right[name]}"
            shared += 1
    return f"{len(ours)} names, {shared} equal defaults"


for _first in SAME:
    row(PAGE, _first, "nengo")(partial(names, _first))


def _pair() -> tuple[Any, Any, Any, Any]:
    """A model of Nengo's and a probe, and what they become here."""
    import nengo

    with nengo.Network(seed=3) as model:
        stimulus = nengo.Node(lambda t: np.sin(6 * t))
        a, b = nengo.Ensemble(60, 1, label="a"), nengo.Ensemble(60, 1)
        nengo.Connection(stimulus, a)
        model.square = nengo.Connection(a, b, function=np.square)
        model.found = nengo.Probe(b, synapse=0.02)
    model.a = a
    return nengo, model, sw.from_nengo(model), a


@row(PAGE, "`nengo.Simulator(net)`", "nengo")
def simulator() -> str:
    """The same recordings; a batch has an axis of samples in front."""
    nengo, model, network, _ = _pair()
    with nengo.Simulator(model, progress_bar=False) as theirs:
        theirs.run(0.3)
    ours = sw.Simulator(network, precision="float64", progress=False)
    ours.run(0.3)
    probe = network.of[model.found]
    np.testing.assert_allclose(ours.data[probe], theirs.data[model.found], atol=1e-9)
    batch = sw.Simulator(network, batch_size=16, progress=False)
    batch.run(0.01)
    assert batch.data[probe].shape == (16, 10, 1)
    return "recordings are equal"


@row(PAGE, "`nengo.Node(function)`", "nengo")
def node() -> str:
    """Functions that share something are called in turn; each sample has copies of its own."""

    def counter() -> Any:
        calls: list[float] = []

        def function(t: float) -> float:
            calls.append(t)
            return len(calls)

        return function

    with sw.Network(seed=0) as network:
        probe = sw.Probe(sw.Node(counter()))
    simulator = sw.Simulator(network, batch_size=3, progress=False)
    simulator.run_steps(4)
    counts = simulator.data[probe][..., 0]
    np.testing.assert_array_equal(counts - counts[:, :1], [[0, 1, 2, 3]] * 3)
    np.testing.assert_array_equal(counts, counts[:1].repeat(3, axis=0))
    return "three samples count for themselves"


@row(PAGE, "`nengo.dists`, `nengo.solvers`, `nengo.processes`, `nengo.networks`", "nengo")
def modules() -> str:
    """Classes of Nengo's modules, and which of them have no counterpart of the same name."""
    import nengo

    missing = []
    pairs = {"dists": sw.distributions, "solvers": sw.solvers, "processes": sw.processes,
             "networks": sw.networks}  # fmt: skip
    for name, ours in pairs.items():
        theirs = getattr(nengo, name)
        missing += [f"{name}.{n}" for n in _public(theirs, nengo) if not hasattr(ours, n)]
    return f"not here: {', '.join(missing) or 'nothing'}"


def _public(module: Any, nengo: Any) -> list[str]:
    base = {"Distribution", "Solver", "Process"}
    return [
        name
        for name, found in vars(module).items()
        if name[0].isupper() and inspect.isclass(found) | inspect.isfunction(found)
        and found.__module__.startswith(module.__name__) and name not in base
        and not name.endswith("Param")
    ]  # fmt: skip


@row(PAGE, "`nengo.solvers.LstsqL2(weights=True)`", "nengo")
def full_weights() -> str:
    """Matrices from neurons to neurons, of the same sizes."""
    import nengo

    with nengo.Network(seed=0) as model:
        a, b = nengo.Ensemble(20, 1), nengo.Ensemble(30, 1)
        connection = nengo.Connection(a, b, solver=nengo.solvers.LstsqL2(weights=True))
    with nengo.Simulator(model, progress_bar=False) as theirs:
        size = theirs.data[connection].weights.shape
    with sw.NengoSimulator(model, progress_bar=False) as ours:
        assert ours.data[connection].weights.shape == size == (30, 20)
    assert sw.solvers.LstsqL2(weights=True).weights is True
    return f"{size[0]} x {size[1]}"


@row(PAGE, "`AssociativeMemory` of `nengo.networks`", "nengo")
def associative_memory() -> str:
    """The same utilities of the best key."""
    import nengo

    keys = np.eye(3)
    with nengo.Network(seed=1) as model:
        memory = nengo.networks.AssociativeMemory(keys, n_neurons=60, threshold=0.3)
        nengo.Connection(nengo.Node([0.9, 0.1, 0]), memory.input, synapse=None)
        probe = nengo.Probe(memory.output, synapse=0.03)
    with nengo.Simulator(model, progress_bar=False) as sim:
        sim.run(0.3)
        theirs = sim.data[probe][-100:].mean(axis=0)
    with sw.Network(seed=1) as network:
        memory = sw.networks.AssociativeMemory(keys, n_neurons=60, threshold=0.3)
        sw.Connection(sw.Node([0.9, 0.1, 0.0]), memory.input, synapse=None)
        found = sw.Probe(memory.output, synapse=0.03)
    simulator = sw.Simulator(network, progress=False)
    simulator.run(0.3)
    ours = simulator.data[found][-100:].mean(axis=0)
    np.testing.assert_allclose(ours, theirs, atol=0.1)
    assert hasattr(sw.networks, "ThresholdingAssociativeMemory")
    return f"{ours[0]:.2f} and {theirs[0]:.2f} for 0.9"


@row(PAGE, "`nengo.utils.ensemble.tuning_curves(ens, sim)`", "nengo")
def tuning_curves() -> str:
    """The same curves, with the arguments the other way round."""
    nengo, model, network, a = _pair()
    from nengo.utils.ensemble import tuning_curves as curves_there

    points = np.linspace(-1, 1, 21)[:, None]
    with nengo.Simulator(model, progress_bar=False) as sim:
        _, theirs = curves_there(a, sim, inputs=points)
    simulator = sw.Simulator(network, progress=False, precision="float64")
    _, ours = sw.curves.tuning_curves(simulator, network.of[a], points)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    return f"{ours.shape[0]} points, {ours.shape[1]} neurons"


@row(PAGE, "`net.config[nengo.Ensemble].neuron_type = ...`", "nengo")
def config() -> str:
    """Ensembles that are made after it have that type."""
    import nengo

    for library in (nengo, sw):
        with library.Network() as network:
            network.config[library.Ensemble].neuron_type = library.LIFRate()
            found = library.Ensemble(5, 1)
        assert type(found.neuron_type).__name__ == "LIFRate"
    return "both"


@row(PAGE, "`nengo.utils.connection.eval_point_decoding(conn, sim)`", "nengo")
def decoded_function() -> str:
    """The function that a connection decodes, at given points."""
    nengo, model, network, _ = _pair()
    from nengo.utils.connection import eval_point_decoding

    points = np.linspace(-1, 1, 21)[:, None]
    with nengo.Simulator(model, progress_bar=False) as sim:
        _, _, theirs = eval_point_decoding(model.square, sim, eval_points=points)
    simulator = sw.Simulator(network, progress=False, precision="float64")
    _, _, ours = sw.curves.decoded_function(simulator, network.of[model.square], points)
    np.testing.assert_allclose(np.ravel(ours), np.ravel(theirs), atol=1e-6)
    return "the same function"
