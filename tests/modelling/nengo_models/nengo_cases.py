"""Small models of Nengo's, one for each thing that it can say: what is compared with Nengo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import nengo
import numpy as np

nengo.rc.set("decoder_cache", "enabled", "False")  # decoders are solved here, by this NumPy
Fill = Callable[[], list[Any]]
SEED = 11


def _population(d: int = 1, **given: Any) -> Any:
    return nengo.Ensemble(40, d, **given)


def _moving(d: int = 1) -> Any:
    return nengo.Node(lambda t: [np.sin(9 * t + i) for i in range(d)], size_out=d)


def _solver(make: Callable[[], Any]) -> list[Any]:
    a, b = _population(), _population(radius=2.0)
    nengo.Connection(_moving(), a)
    solved = nengo.Connection(a, b, solver=make(), transform=1.5, function=np.square)
    return [nengo.Probe(b, synapse=0.01), nengo.Probe(b.neurons), nengo.Probe(solved)]


SOLVERS: dict[str, Callable[[], Any]] = {
    "Lstsq": nengo.solvers.Lstsq,
    "LstsqL2, weights": partial(nengo.solvers.LstsqL2, weights=True),
    "LstsqL2nz": nengo.solvers.LstsqL2nz,
    "LstsqL1": nengo.solvers.LstsqL1,
    "LstsqL1, weights": partial(nengo.solvers.LstsqL1, weights=True),
    "LstsqDrop": nengo.solvers.LstsqDrop,
    "LstsqDrop, weights": partial(nengo.solvers.LstsqDrop, weights=True),
    "LstsqNoise": nengo.solvers.LstsqNoise,
    "LstsqMultNoise, weights": partial(nengo.solvers.LstsqMultNoise, weights=True),
    "NnlsL2, weights": partial(nengo.solvers.NnlsL2, weights=True),
    "NnlsL2nz": nengo.solvers.NnlsL2nz,
    "NoSolver": lambda: nengo.solvers.NoSolver(np.full((40, 1), 1e-3)),
}


def _learned(connect: Callable[[Any, Any, Any], Any], rule: Any, has_error: bool) -> list[Any]:
    a, b = _population(), _population(radius=2.0)
    nengo.Connection(_moving(), a)
    learned = connect(a, b, rule)
    probes = [nengo.Probe(b, synapse=0.01), nengo.Probe(b.neurons)]
    probes.append(nengo.Probe(learned, "weights", sample_every=0.05))
    if has_error:
        error = nengo.Node(size_in=1)
        nengo.Connection(a, error, transform=-1)
        nengo.Connection(b, error)
        nengo.Connection(error, learned.learning_rule)
        probes.append(nengo.Probe(learned.learning_rule, "delta", sample_every=0.05))
        probes.append(nengo.Probe(learned.learning_rule, "error"))
    return probes


def _decoded(a: Any, b: Any, rule: Any) -> Any:
    return nengo.Connection(a, b, function=lambda x: 0, learning_rule_type=rule)


def _between(a: Any, b: Any, rule: Any) -> Any:
    weights = np.random.RandomState(0).normal(size=(40, 40)) * 1e-3
    return nengo.Connection(a.neurons, b.neurons, transform=weights, learning_rule_type=rule)


def _full(a: Any, b: Any, rule: Any) -> Any:
    solver = nengo.solvers.LstsqL2(weights=True)
    return nengo.Connection(a, b, solver=solver, learning_rule_type=rule)


RULES: dict[str, Fill] = {
    "PES, decoders": lambda: _learned(_decoded, nengo.PES(), True),
    "PES, neurons": lambda: _learned(_between, nengo.PES(), True),
    "PES, weights": lambda: _learned(_full, nengo.PES(), True),
    "RLS": lambda: _learned(_decoded, nengo.RLS(), True),
    "BCM": lambda: _learned(_full, nengo.BCM(), False),
    "Oja": lambda: _learned(_full, nengo.Oja(), False),
    "two rules": lambda: _learned(_full, [nengo.BCM(), nengo.Oja()], False),
    "named rules": lambda: _learned(_full, {"a": nengo.BCM(), "b": nengo.PES()}, False),
}


def _voja() -> list[Any]:
    a, b = _population(2), _population(2, radius=1.5)
    nengo.Connection(_moving(2), a)
    learned = nengo.Connection(a, b, learning_rule_type=nengo.Voja(5e-2))
    nengo.Connection(nengo.Node(-0.3), learned.learning_rule)
    encoders = nengo.Probe(learned.learning_rule, "scaled_encoders", sample_every=0.05)
    return [nengo.Probe(b, synapse=0.01), nengo.Probe(b.neurons), encoders]


NEURONS = (
    nengo.LIFRate(), nengo.AdaptiveLIF(), nengo.AdaptiveLIFRate(), nengo.RectifiedLinear(0.5),
    nengo.SpikingRectifiedLinear(), nengo.Sigmoid(), nengo.Tanh(),
    nengo.RegularSpiking(nengo.Sigmoid()), nengo.LIF(amplitude=2, min_voltage=-1),
    nengo.LIF(initial_state={"refractory_time": nengo.dists.Uniform(0, 0.01)}),
)  # fmt: skip


def _neurons(kind: Any) -> list[Any]:
    rates = nengo.dists.Uniform(210, 300)
    a, b = (_population(d, neuron_type=kind, max_rates=rates) for d in (1, 2))
    nengo.Connection(_moving(), a)
    nengo.Connection(a, b, function=lambda x: [x[0], x[0] ** 2])
    nengo.Connection(b, b[1:], function=lambda x: x[0] * x[1], synapse=0.05)
    states = [name for name in kind.probeable if name != "output"]
    probes = [nengo.Probe(b, synapse=0.01), nengo.Probe(b.neurons), nengo.Probe(a.neurons, "input")]
    return [*probes, *(nengo.Probe(b.neurons[::3], name) for name in states)]


def _transforms() -> list[Any]:
    image = _moving(16)
    ends = [nengo.Node(size_in=n) for n in (8, 36, 16, 16)]
    small = nengo.Convolution(2, (4, 4, 1), strides=(2, 2), kernel_size=(2, 2))
    large = nengo.ConvolutionTranspose(1, (2, 2, 2), strides=(4, 4), kernel_size=(2, 2))
    sparse = nengo.Sparse((16, 16), indices=[[0, 1], [3, 4], [5, 5]], init=[1.0, 2.0, 3.0])
    nengo.Connection(image, ends[0], transform=small)
    nengo.Connection(ends[0], ends[1], transform=large, synapse=nengo.Alpha(0.01))
    nengo.Connection(image, ends[2], transform=sparse, synapse=nengo.synapses.Triangle(0.005))
    drawn, second = nengo.dists.Gaussian(0, 1), nengo.LinearFilter([1, 2], [0.1, 0.2, 1])
    nengo.Connection(image[::-1], ends[3], transform=drawn, synapse=second)
    nengo.Connection(image[[3, 1]], ends[3][[0, 0]], synapse=None)
    nengo.Connection(image[-1], ends[3][-2], synapse=0, function=lambda x: x**3)
    return [nengo.Probe(end) for end in ends]


def _direct() -> list[Any]:
    a, b = _population(2, neuron_type=nengo.Direct()), _population()
    nengo.Connection(_moving(2), a)
    nengo.Connection(a, b, function=lambda x: x[0] * x[1])
    nengo.Connection(a[1], b.neurons, transform=np.ones((40, 1)), synapse=0.02)
    return [nengo.Probe(a), nengo.Probe(a, "input"), nengo.Probe(b, synapse=0.01)]


def _points() -> list[Any]:
    uniform, normal = nengo.dists.Uniform(-1, 1), nengo.dists.Gaussian(0, 1)
    a = _population(
        2, radius=3.0, eval_points=uniform, n_eval_points=77, normalize_encoders=False,
        encoders=normal,
    )  # fmt: skip
    b, points = _population(), np.random.RandomState(0).uniform(-1, 1, (50, 2))
    nengo.Connection(_moving(2), a)
    nengo.Connection(a, b, function=points[:, :1] ** 2, eval_points=points)
    given = {"eval_points": points * 2, "scale_eval_points": False}
    nengo.Connection(a, b, function=lambda x: x[1], **given)
    solver = nengo.solvers.LstsqL2(reg=0.5)
    return [nengo.Probe(b, synapse=0.01), nengo.Probe(a, solver=solver)]


def _processes() -> list[Any]:
    made = nengo.processes
    pieces = {0: 0, 0.05: 1, 0.1: -1}
    processes = (
        made.PresentInput([[1, 2], [3, 4]], 0.01), made.Piecewise(pieces),
        made.Piecewise(pieces, interpolation="linear"), made.WhiteNoise(), made.BrownNoise(),
        made.FilteredNoise(seed=2), made.WhiteSignal(1, high=5),
    )  # fmt: skip
    return [nengo.Probe(nengo.Node(process)) for process in processes]


def _noise() -> list[Any]:
    quiet, loud = _population(), _population(noise=nengo.processes.WhiteNoise())
    nengo.Connection(_moving(), quiet)
    nengo.Connection(quiet, loud)
    return [nengo.Probe(loud, synapse=0.01), nengo.Probe(loud.neurons, "input")]


def _networks() -> list[Any]:
    made = nengo.networks
    array, memory = made.EnsembleArray(20, 3), made.InputGatedMemory(20, 2)
    array.add_output("squared", np.square)
    circular, associative = made.CircularConvolution(20, 4), made.AssociativeMemory(np.eye(3))
    associative.add_wta_network()
    for end in (array.input, memory.input, circular.input_a, circular.input_b, associative.input):
        nengo.Connection(_moving(end.size_in), end)
    outputs = (array.squared, memory.output, circular.output, associative.output)
    return [nengo.Probe(output, synapse=0.01) for output in outputs]


def cases() -> Iterator[tuple[str, Fill]]:
    """Every case by name: a function that fills a network and returns its probes."""
    for name, make in SOLVERS.items():
        yield name, partial(_solver, make)
    yield from RULES.items()
    for kind in NEURONS:
        yield repr(kind), partial(_neurons, kind)
    for fill in (_voja, _transforms, _direct, _points, _processes, _noise, _networks):
        yield fill.__name__[1:], fill
