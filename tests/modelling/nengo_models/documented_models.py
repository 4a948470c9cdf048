"""Models of the kinds that Nengo's users write, by name: each fills a network of Nengo's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nengo
import numpy as np

Fill = Callable[[], None]
MODELS: dict[str, Fill] = {}


def model(name: str) -> Callable[[Fill], Fill]:
    """Decorator of a function that fills the network around it."""

    def keep(fill: Fill) -> Fill:
        MODELS[name] = fill
        return fill

    return keep


def _cells(d: int = 1, n: int = 40, **given: Any) -> Any:
    return nengo.Ensemble(n, d, **given)


def _wave(d: int = 1, speed: float = 9.0) -> Any:
    return nengo.Node(lambda t: [np.sin(speed * t + i) for i in range(d)], size_out=d)


def _driven(d: int = 1, **given: Any) -> Any:
    cells = _cells(d, **given)
    nengo.Connection(_wave(d), cells)
    return cells


@model("a single neuron")
def _single() -> None:
    one = nengo.Ensemble(1, 1, intercepts=[-0.5], max_rates=[100.0], encoders=[[1.0]])
    nengo.Connection(nengo.Node(lambda t: np.cos(8 * t)), one)


@model("two neurons")
def _pair() -> None:
    both = nengo.Ensemble(2, 1, intercepts=[-0.5, -0.5], max_rates=[90, 110], encoders=[[1], [-1]])
    nengo.Connection(nengo.Node(lambda t: np.sin(8 * t)), both, synapse=None)


@model("a communication channel")
def _channel() -> None:
    nengo.Connection(_driven(), _cells(), synapse=0.01)


@model("addition and a squared value")
def _addition() -> None:
    a, b, total = _driven(), _driven(radius=0.5), _cells(radius=2.0)
    nengo.Connection(a, total)
    nengo.Connection(b, total, transform=-2.0)
    nengo.Connection(total, _cells(), function=np.square, transform=[[0.25]])


@model("combining and reversing parts")
def _combining() -> None:
    pair, other = _cells(3), _cells(3)
    nengo.Connection(_wave(), pair[0])
    nengo.Connection(_wave(2), pair[[2, 1]])
    nengo.Connection(pair[::-1], other)
    nengo.Connection(pair[[1, 0]], other[:2], transform=[0.5, -1.0], synapse=0.02)
    nengo.Connection(pair.neurons[::-1], other.neurons, transform=1e-4)
    nengo.Connection(pair.neurons[[5, 3]], other[1:], transform=1e-3 * np.eye(2))


@model("a product")
def _product() -> None:
    product = nengo.networks.Product(40, 2)
    nengo.Connection(_wave(2), product.input_a)
    nengo.Connection(_wave(2, 5.0), product.input_b)


@model("multiplication in two dimensions")
def _multiplication() -> None:
    both = _driven(2, radius=1.5, n=80)
    nengo.Connection(both, _cells(), function=lambda x: x[0] * x[1])


@model("an integrator")
def _integrator() -> None:
    store = _cells(n=80)
    nengo.Connection(nengo.Node(lambda t: float(t < 0.05)), store, transform=0.1, synapse=0.1)
    nengo.Connection(store, store, synapse=0.1)


@model("a controlled integrator")
def _controlled() -> None:
    store = _cells(2, n=80, radius=1.5)
    nengo.Connection(_wave(), store, transform=[[0.1], [0]], synapse=0.1)
    nengo.Connection(nengo.Node(0.9), store[1], synapse=0.005)
    nengo.Connection(store, store[0], function=lambda x: x[0] * x[1], synapse=0.1)


@model("an oscillator")
def _oscillator() -> None:
    circle = _cells(2, n=80)
    nengo.Connection(nengo.Node(lambda t: [float(t < 0.02), 0]), circle)
    nengo.Connection(circle, circle, transform=[[1, 1], [-1, 1]], synapse=0.1)


@model("a controlled oscillator")
def _controlled_oscillator() -> None:
    def turn(x: Any) -> list[float]:
        return [x[0] - x[2] * x[1], x[1] + x[2] * x[0]]

    state = _cells(3, n=100, radius=1.7)
    nengo.Connection(nengo.Node(lambda t: [float(t < 0.03), 0, 2.0]), state)
    nengo.Connection(state, state[:2], function=turn, synapse=0.1)


@model("the Lorenz attractor")
def _lorenz() -> None:
    def flow(x: Any) -> list[float]:
        change = 10 * (x[1] - x[0]), -x[0] * x[2] - x[1], x[0] * x[1] - 8 / 3 * (x[2] + 28) - 28
        return [0.1 * d + v for d, v in zip(change, x, strict=True)]

    state = _cells(3, n=150, radius=60.0)
    nengo.Connection(state, state, function=flow, synapse=0.1)


@model("PES on a channel")
def _pes() -> None:
    pre, post, error = _driven(2), _cells(2), _cells(2)
    learned = nengo.Connection(
        pre, post, function=lambda x: [0, 0], learning_rule_type=nengo.PES(3e-4)
    )
    nengo.Connection(post, error)
    nengo.Connection(pre, error, function=np.square, transform=-1)
    nengo.Connection(error, learned.learning_rule)


@model("PES with a part, switched off")
def _pes_part() -> None:
    pre, post, error = _driven(2), _cells(2), _cells(2)
    learned = nengo.Connection(pre[::-1], post, learning_rule_type=nengo.PES(1e-4, None))
    nengo.Connection(post, error[::-1])
    nengo.Connection(error, learned.learning_rule, transform=[[0, 1], [1, 0]])
    inhibit = nengo.Node(lambda t: float(t > 0.05))
    nengo.Connection(inhibit, error.neurons, transform=[[-2.0]] * 40)


@model("RLS")
def _rls() -> None:
    pre, target = _driven(), nengo.Node(size_in=1)
    learned = nengo.Connection(
        pre, target, function=lambda x: 0, learning_rule_type=nengo.RLS(1e-3), synapse=0.01
    )
    error = nengo.Node(size_in=1)
    nengo.Connection(target, error)
    nengo.Connection(_wave(), error, transform=-1)
    nengo.Connection(error, learned.learning_rule)


def _unsupervised(rule: Any) -> None:
    pre, post = _driven(), _cells()
    solver = nengo.solvers.LstsqL2(weights=True)
    nengo.Connection(pre, post, solver=solver, learning_rule_type=rule)


@model("BCM")
def _bcm() -> None:
    _unsupervised(nengo.BCM(2e-10, theta_synapse=0.1))


@model("Oja")
def _oja() -> None:
    _unsupervised(nengo.Oja(6e-8, beta=0.7))


@model("two rules that add up")
def _two_rules() -> None:
    _unsupervised([nengo.BCM(5e-10), nengo.Oja(1e-8)])


@model("Voja and a learned association")
def _voja() -> None:
    stimulus, memory, answer = _driven(2), _cells(2, intercepts=[0.1] * 40), _cells()
    voja = nengo.Connection(
        stimulus, memory, synapse=None, learning_rule_type=nengo.Voja(5e-2, None)
    )
    recalled = nengo.Connection(memory, answer, function=lambda x: 0, learning_rule_type=nengo.PES())
    learning = nengo.Node(lambda t: -float(t > 0.05))
    nengo.Connection(learning, voja.learning_rule, synapse=None)
    error = nengo.Node(size_in=1)
    nengo.Connection(answer, error)
    nengo.Connection(nengo.Node(0.7), error, transform=-1)
    nengo.Connection(error, recalled.learning_rule)


@model("an adaptive plant")
def _plant() -> None:
    state = {"x": 0.3}

    def plant(t: float, u: Any) -> float:
        state["x"] = 0.3 if t < 0.0015 else state["x"] + 0.001 * (4 * float(u[0]) - 2.0)
        return state["x"]

    body, adaptive = nengo.Node(plant, size_in=1, size_out=1), _cells(2)
    control = nengo.Node(size_in=1)
    nengo.Connection(_wave(), control)
    nengo.Connection(body, control, transform=-1)
    nengo.Connection(control, body, transform=3.0, synapse=0.005)
    nengo.Connection(body, adaptive[0], synapse=None)
    learned = nengo.Connection(
        adaptive, body, function=lambda x: 0, learning_rule_type=nengo.PES(1e-3)
    )
    nengo.Connection(control, learned.learning_rule, transform=-1)


@model("basal ganglia and thalamus")
def _ganglia() -> None:
    ganglia = nengo.networks.BasalGanglia(3, 20)
    thalamus = nengo.networks.Thalamus(3, 20)
    nengo.Connection(nengo.Node(lambda t: [0.8, 0.5, 10 * t]), ganglia.input, synapse=None)
    nengo.Connection(ganglia.output, thalamus.input)


@model("routing")
def _routing() -> None:
    ganglia, thalamus = nengo.networks.BasalGanglia(2, 20), nengo.networks.Thalamus(2, 20)
    nengo.Connection(ganglia.output, thalamus.input)
    nengo.Connection(nengo.Node([0.9, 0.4]), ganglia.input)
    source, target = _driven(2), _cells(2)
    gate = nengo.networks.EnsembleArray(20, 2)
    nengo.Connection(source, gate.input, synapse=None)
    nengo.Connection(gate.output, target)
    for i, cells in enumerate(gate.ea_ensembles):
        inhibit = [[-2.0]] * cells.n_neurons
        nengo.Connection(thalamus.output[i], cells.neurons, transform=inhibit)


@model("a Legendre memory")
def _legendre() -> None:
    order, theta, tau = 4, 0.1, 0.05
    i, j = np.mgrid[:order, :order]
    a = np.where(i < j, -1.0, (-1.0) ** (i - j + 1)) * (2 * i + 1) / theta
    b = ((-1.0) ** np.arange(order) * (2 * np.arange(order) + 1))[:, None] / theta
    memory = nengo.networks.EnsembleArray(30, order)
    nengo.Connection(_wave(), memory.input, transform=tau * b, synapse=tau)
    nengo.Connection(memory.output, memory.input, transform=tau * a + np.eye(order), synapse=tau)


@model("circular convolution")
def _circular() -> None:
    bound = nengo.networks.CircularConvolution(20, 4, invert_b=True)
    nengo.Connection(_wave(4), bound.input_a)
    nengo.Connection(_wave(4, 6.0), bound.input_b)


@model("a cleanup memory")
def _cleanup() -> None:
    memory = nengo.networks.AssociativeMemory(np.eye(3, 4), n_neurons=20, inhibitable=True)
    memory.add_default_output_vector(np.full(4, 0.5), n_neurons=20)
    memory.add_wta_network(1.5)
    memory.add_threshold_to_outputs(20)
    nengo.Connection(_wave(4), memory.input)
    nengo.Connection(nengo.Node(lambda t: float(t > 0.08)), memory.inhibit)


@model("an input-gated memory")
def _gated() -> None:
    memory = nengo.networks.InputGatedMemory(20, 2)
    nengo.Connection(_wave(2), memory.input)
    nengo.Connection(nengo.Node(lambda t: float(t > 0.05)), memory.gate)


@model("an array of ensembles")
def _array() -> None:
    array = nengo.networks.EnsembleArray(20, 3, ens_dimensions=2)
    array.add_output("product", lambda x: x[0] * x[1])
    array.add_neuron_input()
    array.add_neuron_output()
    nengo.Connection(_wave(6), array.input)
    nengo.Connection(nengo.Node(np.full(60, 0.1)), array.neuron_input)


@model("presented images through a convolution")
def _images() -> None:
    rng = np.random.RandomState(1)
    shown = nengo.Node(nengo.processes.PresentInput(rng.uniform(-1, 1, (3, 36)), 0.03))
    first = nengo.Convolution(2, (6, 6, 1), kernel_size=(3, 3), strides=(1, 1))
    layer = nengo.Ensemble(32, 1, neuron_type=nengo.SpikingRectifiedLinear(), max_rates=[100] * 32)
    nengo.Connection(shown, layer.neurons, transform=first, synapse=None)
    back = nengo.ConvolutionTranspose(1, (4, 4, 2), kernel_size=(3, 3))
    nengo.Connection(layer.neurons, nengo.Node(size_in=36), transform=back, synapse=0.01)


@model("sparse weights")
def _sparse() -> None:
    a, b = _driven(), _cells()
    rng = np.random.RandomState(2)
    at = np.stack([rng.permutation(40)[:20], rng.permutation(40)[:20]], axis=1)
    weights = nengo.Sparse((40, 40), indices=at, init=rng.normal(0, 1e-3, 20))
    nengo.Connection(a.neurons, b.neurons, transform=weights, synapse=0.01)
    drawn = nengo.Dense((40, 1), init=nengo.dists.Gaussian(0, 0.1))
    nengo.Connection(_wave(), b.neurons, transform=drawn)


@model("solvers")
def _solvers() -> None:
    a, solvers = _driven(), nengo.solvers
    for solver in (
        solvers.Lstsq(), solvers.LstsqL2(reg=0.05), solvers.LstsqL2nz(), solvers.LstsqDrop(drop=0.5),
        solvers.LstsqNoise(), solvers.LstsqMultNoise(), solvers.LstsqL2(weights=True),
        solvers.NoSolver(np.full((40, 1), 1e-3)),
    ):  # fmt: skip
        nengo.Connection(a, _cells(n=20), solver=solver, function=lambda x: x**2)


@model("noise")
def _noise() -> None:
    made = nengo.processes
    noise = made.WhiteNoise(nengo.dists.Gaussian(0, 0.01), scale=False, seed=3)
    noisy = _driven(noise=noise)
    nengo.Connection(nengo.Node(made.WhiteSignal(0.5, high=10, seed=4)), noisy)
    nengo.Connection(nengo.Node(made.FilteredNoise(nengo.Lowpass(0.01), seed=5)), noisy)
    nengo.Connection(nengo.Node(made.BrownNoise(seed=6)), noisy, transform=0.1)


@model("processes of pieces")
def _pieces() -> None:
    made = nengo.processes
    steps, line = {0: 0.1, 0.03: [0.5], 0.06: -0.5}, {0.01: 0.0, 0.05: 1.0, 0.09: -1.0}
    cells = _cells()
    nengo.Connection(nengo.Node(made.Piecewise(steps)), cells)
    nengo.Connection(nengo.Node(made.Piecewise(line, interpolation="linear")), cells)


@model("synapses")
def _synapses() -> None:
    a, made = _driven(), nengo.synapses
    for synapse in (
        None, 0, 0.01, made.Lowpass(0.002), made.Alpha(0.01), made.Triangle(0.01),
        made.LinearFilter([1.0], [1e-4, 0.02, 1.0]), made.LinearFilter([0, 1], [1, 0], analog=False),
        made.LinearFilter([1], [0.03, 1], method="euler"),
    ):  # fmt: skip
        nengo.Connection(a, _cells(n=20), synapse=synapse)


@model("defaults of a config")
def _config() -> None:
    with nengo.Network() as inner:
        inner.config[nengo.Ensemble].neuron_type = nengo.AdaptiveLIF(tau_n=0.1, inc_n=0.02)
        inner.config[nengo.Ensemble].radius = 1.5
        inner.config[nengo.Connection].synapse = nengo.Alpha(0.008)
        inner.config[nengo.Probe].synapse = 0.02
        nengo.Connection(_driven(2), _cells(2), function=lambda x: x[::-1])
    preset = nengo.presets.ThresholdingEnsembles(0.3)
    with preset:
        nengo.Connection(_wave(), nengo.Ensemble(30, 1))


@model("gating by inhibition")
def _inhibition() -> None:
    a, b, gate = _driven(), _cells(), nengo.Node(lambda t: float(0.03 < t < 0.07))
    nengo.Connection(a, b)
    nengo.Connection(gate, b.neurons, transform=[[-2.5]] * 40, synapse=0.01)


@model("direct mode")
def _direct() -> None:
    exact = _driven(2, n=1, neuron_type=nengo.Direct())
    nengo.Connection(exact, _cells(), function=lambda x: x[0] * x[1])
    nengo.Connection(exact[::-1], exact, transform=[[0, 0.5], [-0.5, 0]], synapse=0.05)


@model("nodes that pass on and compute")
def _nodes() -> None:
    through, function = nengo.Node(size_in=3), nengo.Node(lambda t, x: x * t, size_in=3)
    nengo.Connection(_wave(3), through[[2, 0, 1]], synapse=None)
    nengo.Connection(through, function, synapse=None)
    nengo.Connection(function, _cells(3), function=lambda x: [x[0], x[1], 1.0])
    nengo.Connection(through[::-2], nengo.Node(size_in=2), transform=[[1, 2], [3, 4]], synapse=0.01)


@model("a loop through a function")
def _loop() -> None:
    store = nengo.Node(lambda t, x: 0.5 * x + 0.1, size_in=1)
    nengo.Connection(store, store, synapse=0)
    nengo.Connection(store, _cells())


NEURON_TYPES = (
    nengo.LIF(tau_rc=0.03, tau_ref=0.003, min_voltage=-1, amplitude=0.5), nengo.LIFRate(),
    nengo.AdaptiveLIF(), nengo.AdaptiveLIFRate(), nengo.Izhikevich(), nengo.RectifiedLinear(),
    nengo.SpikingRectifiedLinear(), nengo.Sigmoid(), nengo.Tanh(),
    nengo.RegularSpiking(nengo.LIFRate()),
    nengo.LIF(initial_state={"refractory_time": nengo.dists.Uniform(0, 0.01)}),
)  # fmt: skip


def _of_type(kind: Any) -> None:
    rates = nengo.dists.Uniform(210, 250)
    a, b = (_cells(d, neuron_type=kind, max_rates=rates) for d in (1, 2))
    nengo.Connection(_wave(), a)
    nengo.Connection(a, b, function=lambda x: [x[0], 0.5])


for _kind in NEURON_TYPES:
    model(f"neurons of type {_kind!r}")(lambda kind=_kind: _of_type(kind))  # type: ignore[misc]
