"""Models of the kinds that Nengo's users write, in words that Nengo and Spikewright share.

Each, by name, fills the network around it with the objects of a module `n`: Nengo, or `Ours()`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import spikewright as sw

Fill = Callable[[Any], None]
MODELS: dict[str, Fill] = {}
ONLY_READ: dict[str, str] = {}
"""Models that are not compared object by object when made here, with the reason."""


OTHER_PARTS = "the ready-made network consists of other objects than Nengo's"


class Ours:
    """Spikewright's names where Nengo has them."""

    dists, presets = sw.distributions, sw.networks

    def __getattr__(self, name: str) -> Any:
        return getattr(sw, name)


def model(name: str, only_read: str = "") -> Callable[[Fill], Fill]:
    """Decorator of a function that fills the network around it."""

    def keep(fill: Fill) -> Fill:
        MODELS[name] = fill
        if only_read:
            ONLY_READ[name] = only_read
        return fill

    return keep


def _cells(n: Any, d: int = 1, size: int = 40, **given: Any) -> Any:
    return n.Ensemble(size, d, **given)


def _wave(n: Any, d: int = 1, speed: float = 9.0) -> Any:
    return n.Node(lambda t: [np.sin(speed * t + i) for i in range(d)], size_out=d)


def _driven(n: Any, d: int = 1, **given: Any) -> Any:
    cells = _cells(n, d, **given)
    n.Connection(_wave(n, d), cells)
    return cells


@model("two neurons")
def _pair(n: Any) -> None:
    both = n.Ensemble(2, 1, intercepts=[-0.5, -0.5], max_rates=[90, 110], encoders=[[1], [-1]])
    n.Connection(n.Node(lambda t: np.sin(8 * t)), both, synapse=None)


@model("addition and a squared value")
def _addition(n: Any) -> None:
    a, b, total = _driven(n), _driven(n, radius=0.5), _cells(n, radius=2.0)
    n.Connection(a, total)
    n.Connection(b, total, transform=-2.0)
    n.Connection(total, _cells(n), function=np.square, transform=[[0.25]])


@model("combining and reversing parts")
def _combining(n: Any) -> None:
    pair, other = _cells(n, 3), _cells(n, 3)
    n.Connection(_wave(n), pair[0])
    n.Connection(_wave(n, 2), pair[[2, 1]])
    n.Connection(pair[::-1], other)
    n.Connection(pair[[1, 0]], other[:2], transform=[0.5, -1.0], synapse=0.02)
    n.Connection(pair.neurons[::-1], other.neurons, transform=1e-4)
    n.Connection(pair.neurons[[5, 3]], other[1:], transform=1e-3 * np.eye(2))


@model("an integrator")
def _integrator(n: Any) -> None:
    store = _cells(n, size=80)
    n.Connection(n.Node(lambda t: float(t < 0.05)), store, transform=0.1, synapse=0.1)
    n.Connection(store, store, synapse=0.1)


@model("an oscillator")
def _oscillator(n: Any) -> None:
    circle = _cells(n, 2, size=80)
    n.Connection(n.Node(lambda t: [float(t < 0.02), 0]), circle)
    n.Connection(circle, circle, transform=[[1, 1], [-1, 1]], synapse=0.1)


@model("a controlled oscillator")
def _controlled_oscillator(n: Any) -> None:
    def turn(x: Any) -> list[float]:
        return [x[0] - x[2] * x[1], x[1] + x[2] * x[0]]

    state = _cells(n, 3, size=100, radius=1.7)
    n.Connection(n.Node(lambda t: [float(t < 0.03), 0, 2.0]), state)
    n.Connection(state, state[:2], function=turn, synapse=0.1)


@model("the Lorenz attractor")
def _lorenz(n: Any) -> None:
    def flow(x: Any) -> list[float]:
        change = 10 * (x[1] - x[0]), -x[0] * x[2] - x[1], x[0] * x[1] - 8 / 3 * (x[2] + 28) - 28
        return [0.1 * d + v for d, v in zip(change, x, strict=True)]

    state = _cells(n, 3, size=150, radius=60.0)
    n.Connection(state, state, function=flow, synapse=0.1)


@model("PES on a channel")
def _pes(n: Any) -> None:
    pre, post, error = _driven(n, 2), _cells(n, 2), _cells(n, 2)
    learned = n.Connection(pre, post, function=lambda x: [0, 0], learning_rule_type=n.PES(3e-4))
    n.Connection(post, error)
    n.Connection(pre, error, function=np.square, transform=-1)
    n.Connection(error, learned.learning_rule)


@model("PES with a part, switched off")
def _pes_part(n: Any) -> None:
    pre, post, error = _driven(n, 2), _cells(n, 2), _cells(n, 2)
    learned = n.Connection(pre[::-1], post, learning_rule_type=n.PES(1e-4, None))
    n.Connection(post, error[::-1])
    n.Connection(error, learned.learning_rule, transform=[[0, 1], [1, 0]])
    inhibit = n.Node(lambda t: float(t > 0.05))
    n.Connection(inhibit, error.neurons, transform=[[-2.0]] * 40)


@model("RLS")
def _rls(n: Any) -> None:
    pre, target = _driven(n), n.Node(size_in=1)
    learned = n.Connection(
        pre, target, function=lambda x: 0, learning_rule_type=n.RLS(1e-3), synapse=0.01
    )
    error = n.Node(size_in=1)
    n.Connection(target, error)
    n.Connection(_wave(n), error, transform=-1)
    n.Connection(error, learned.learning_rule)


def _unsupervised(n: Any, rule: Any) -> None:
    pre, post = _driven(n), _cells(n)
    solver = n.solvers.LstsqL2(weights=True)
    n.Connection(pre, post, solver=solver, learning_rule_type=rule)


@model("two rules that add up")
def _two_rules(n: Any) -> None:
    _unsupervised(n, [n.BCM(5e-10), n.Oja(1e-8)])


@model("Voja and a learned association")
def _voja(n: Any) -> None:
    stimulus, memory, answer = _driven(n, 2), _cells(n, 2, intercepts=[0.1] * 40), _cells(n)
    voja = n.Connection(stimulus, memory, synapse=None, learning_rule_type=n.Voja(5e-2, None))
    recalled = n.Connection(memory, answer, function=lambda x: 0, learning_rule_type=n.PES())
    learning = n.Node(lambda t: -float(t > 0.05))
    n.Connection(learning, voja.learning_rule, synapse=None)
    error = n.Node(size_in=1)
    n.Connection(answer, error)
    n.Connection(n.Node(0.7), error, transform=-1)
    n.Connection(error, recalled.learning_rule)


@model("an adaptive plant")
def _plant(n: Any) -> None:
    state = {"x": 0.3}

    def plant(t: float, u: Any) -> float:
        state["x"] = 0.3 if t < 0.0015 else state["x"] + 0.001 * (4 * float(u[0]) - 2.0)
        return state["x"]

    body, adaptive = n.Node(plant, size_in=1, size_out=1), _cells(n, 2)
    control = n.Node(size_in=1)
    n.Connection(_wave(n), control)
    n.Connection(body, control, transform=-1)
    n.Connection(control, body, transform=3.0, synapse=0.005)
    n.Connection(body, adaptive[0], synapse=None)
    learned = n.Connection(adaptive, body, function=lambda x: 0, learning_rule_type=n.PES(1e-3))
    n.Connection(control, learned.learning_rule, transform=-1)


@model("basal ganglia and thalamus", OTHER_PARTS)
def _ganglia(n: Any) -> None:
    ganglia = n.networks.BasalGanglia(3, 20)
    thalamus = n.networks.Thalamus(3, 20)
    n.Connection(n.Node(lambda t: [0.8, 0.5, 10 * t]), ganglia.input, synapse=None)
    n.Connection(ganglia.output, thalamus.input)


@model("routing", OTHER_PARTS)
def _routing(n: Any) -> None:
    ganglia, thalamus = n.networks.BasalGanglia(2, 20), n.networks.Thalamus(2, 20)
    n.Connection(ganglia.output, thalamus.input)
    n.Connection(n.Node([0.9, 0.4]), ganglia.input)
    source, target = _driven(n, 2), _cells(n, 2)
    gate = n.networks.EnsembleArray(20, 2)
    n.Connection(source, gate.input, synapse=None)
    n.Connection(gate.output, target)
    for i, cells in enumerate(gate.ea_ensembles):
        inhibit = [[-2.0]] * cells.n_neurons
        n.Connection(thalamus.output[i], cells.neurons, transform=inhibit)


@model("a Legendre memory")
def _legendre(n: Any) -> None:
    order, theta, tau = 4, 0.1, 0.05
    i, j = np.mgrid[:order, :order]
    a = np.where(i < j, -1.0, (-1.0) ** (i - j + 1)) * (2 * i + 1) / theta
    b = ((-1.0) ** np.arange(order) * (2 * np.arange(order) + 1))[:, None] / theta
    memory = n.networks.EnsembleArray(30, order)
    n.Connection(_wave(n), memory.input, transform=tau * b, synapse=tau)
    n.Connection(memory.output, memory.input, transform=tau * a + np.eye(order), synapse=tau)


@model("a cleanup memory", OTHER_PARTS)
def _cleanup(n: Any) -> None:
    memory = n.networks.AssociativeMemory(np.eye(3, 4), n_neurons=20, inhibitable=True)
    memory.add_default_output_vector(np.full(4, 0.5), n_neurons=20)
    memory.add_wta_network(1.5)
    memory.add_threshold_to_outputs(20)
    n.Connection(_wave(n, 4), memory.input)
    n.Connection(n.Node(lambda t: float(t > 0.08)), memory.inhibit)


@model("an array of ensembles")
def _array(n: Any) -> None:
    array = n.networks.EnsembleArray(20, 3, ens_dimensions=2)
    array.add_output("product", lambda x: x[0] * x[1])
    array.add_neuron_input()
    array.add_neuron_output()
    n.Connection(_wave(n, 6), array.input)
    n.Connection(n.Node(np.full(60, 0.1)), array.neuron_input)


@model("presented images through a convolution")
def _images(n: Any) -> None:
    rng = np.random.RandomState(1)
    shown = n.Node(n.processes.PresentInput(rng.uniform(-1, 1, (3, 36)), 0.03))
    first = n.Convolution(2, (6, 6, 1), kernel_size=(3, 3), init=rng.normal(size=(3, 3, 1, 2)))
    layer = n.Ensemble(32, 1, neuron_type=n.SpikingRectifiedLinear(), max_rates=[100] * 32)
    n.Connection(shown, layer.neurons, transform=first, synapse=None)
    n.Connection(layer.neurons, n.Node(size_in=2), transform=np.ones((2, 32)), synapse=0.01)


@model("a transposed convolution")
def _transposed(n: Any) -> None:
    kernel = np.random.RandomState(3).normal(size=(3, 3, 2, 1))
    back = n.ConvolutionTranspose(1, (4, 4, 2), kernel_size=(3, 3), init=kernel)
    n.Connection(_wave(n, 32), n.Node(size_in=36), transform=back, synapse=0.01)


@model("sparse weights")
def _sparse(n: Any) -> None:
    a, b = _driven(n), _cells(n)
    rng = np.random.RandomState(2)
    at = np.stack([rng.permutation(40)[:20], rng.permutation(40)[:20]], axis=1)
    weights = n.Sparse((40, 40), indices=at, init=rng.normal(0, 1e-3, 20))
    n.Connection(a.neurons, b.neurons, transform=weights, synapse=0.01)
    drawn = n.Dense((40, 1), init=n.dists.Gaussian(0, 0.1))
    n.Connection(_wave(n), b.neurons, transform=drawn)


@model("solvers")
def _solvers(n: Any) -> None:
    a, solvers = _driven(n), n.solvers
    for solver in (
        solvers.Lstsq(), solvers.LstsqL2(reg=0.05), solvers.LstsqL2nz(),
        solvers.LstsqDrop(drop=0.5), solvers.LstsqNoise(), solvers.LstsqMultNoise(),
        solvers.LstsqL2(weights=True), solvers.NoSolver(np.full((40, 1), 1e-3)),
    ):  # fmt: skip
        n.Connection(a, _cells(n, size=20), solver=solver, function=lambda x: x**2)


@model("synapses")
def _synapses(n: Any) -> None:
    a = _driven(n)
    for synapse in (
        None, 0, 0.01, n.Lowpass(0.002), n.Alpha(0.01), n.Triangle(0.01),
        n.LinearFilter([1.0], [1e-4, 0.02, 1.0]), n.LinearFilter([0, 1], [1, 0], analog=False),
        n.LinearFilter([1], [0.03, 1], method="euler"),
    ):  # fmt: skip
        n.Connection(a, _cells(n, size=20), synapse=synapse)


@model("defaults of a config")
def _config(n: Any) -> None:
    with n.Network() as inner:
        inner.config[n.Ensemble].neuron_type = n.AdaptiveLIF(tau_n=0.1, inc_n=0.02)
        inner.config[n.Ensemble].radius = 1.5
        inner.config[n.Connection].synapse = n.Alpha(0.008)
        inner.config[n.Probe].synapse = 0.02
        n.Connection(_driven(n, 2), _cells(n, 2), function=lambda x: x[::-1])
    preset = n.presets.ThresholdingEnsembles(0.3)
    with preset:
        n.Connection(_wave(n), n.Ensemble(30, 1))


@model("nodes that pass on and compute")
def _nodes(n: Any) -> None:
    through, function = n.Node(size_in=3), n.Node(lambda t, x: x * t, size_in=3)
    n.Connection(_wave(n, 3), through[[2, 0, 1]], synapse=None)
    n.Connection(through, function, synapse=None)
    n.Connection(function, _cells(n, 3), function=lambda x: [x[0], x[1], 1.0])
    n.Connection(through[::-2], n.Node(size_in=2), transform=[[1, 2], [3, 4]], synapse=0.01)


@model("a loop through a function")
def _loop(n: Any) -> None:
    store = n.Node(lambda t, x: 0.5 * x + 0.1, size_in=1)
    n.Connection(store, store, synapse=0)
    n.Connection(store, _cells(n))


NEURON_TYPES: dict[str, Callable[[Any], Any]] = {
    "LIF": lambda n: n.LIF(tau_rc=0.03, tau_ref=0.003, min_voltage=-1, amplitude=0.5),
    "LIFRate": lambda n: n.LIFRate(),
    "AdaptiveLIF": lambda n: n.AdaptiveLIF(),
    "AdaptiveLIFRate": lambda n: n.AdaptiveLIFRate(),
    "Izhikevich": lambda n: n.Izhikevich(),
    "RectifiedLinear": lambda n: n.RectifiedLinear(),
    "SpikingRectifiedLinear": lambda n: n.SpikingRectifiedLinear(),
    "Sigmoid": lambda n: n.Sigmoid(),
    "Tanh": lambda n: n.Tanh(),
    "RegularSpiking": lambda n: n.RegularSpiking(n.LIFRate()),
}


def _of_type(make: Callable[[Any], Any], n: Any) -> None:
    kind, rates = make(n), n.dists.Uniform(210, 250)
    a, b = (_cells(n, d, neuron_type=kind, max_rates=rates) for d in (1, 2))
    n.Connection(_wave(n), a)
    n.Connection(a, b, function=lambda x: [x[0], 0.5])


for _name, _make in NEURON_TYPES.items():
    model(f"neurons of type {_name}")(partial(_of_type, _make))


@model("neurons with an initial state")
def _initial_state(n: Any) -> None:
    refractory = {"refractory_time": n.dists.Uniform(0, 0.01)}
    _driven(n, neuron_type=n.LIF(initial_state=refractory))
