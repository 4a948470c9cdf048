"""Ten of Nengo's models, run by Nengo and by Spikewright on the very same parameters.

    python -m benchmarks.nengo_models [--seconds 1] [--document]

Needs `nengo>=4.1,<4.2` beside Spikewright. Each model is built by `nengo.Simulator`, read by
`sw.from_nengo(model, built=...)` and run in float64. Printed are, over all neurons and all steps,
the largest difference of the number of spikes sent so far, and of decoded outputs behind their
filters as a share of the radius. Where a model is chaotic, both until its outputs are a thousandth
of the radius apart, if they ever are.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import nengo
import numpy as np

import spikewright as sw
from benchmarks.marked import add_document, write_section
from benchmarks.results import markdown_table

MODELS: dict[str, Callable[[], list[Any]]] = {}
CHAOTIC = ("Lorenz attractor",)
TOLERANCE = 1e-3  # of the radius


def model(name: str) -> Callable[[Callable[[], list[Any]]], Callable[[], list[Any]]]:
    """Decorator: a function that fills a network and returns its probes of decoded outputs."""

    def keep(fill: Callable[[], list[Any]]) -> Callable[[], list[Any]]:
        MODELS[name] = fill
        return fill

    return keep


@model("communication channel")
def _channel() -> list[Any]:
    a, b = nengo.Ensemble(100, 1), nengo.Ensemble(100, 1)
    nengo.Connection(nengo.Node(lambda t: np.sin(6 * t)), a)
    nengo.Connection(a, b)
    return [nengo.Probe(b, synapse=0.01)]


@model("addition")
def _addition() -> list[Any]:
    a, b, c = (nengo.Ensemble(100, 1, radius=r) for r in (1, 1, 2))
    nengo.Connection(nengo.Node(lambda t: np.sin(6 * t)), a)
    nengo.Connection(nengo.Node(0.5), b)
    nengo.Connection(a, c)
    nengo.Connection(b, c)
    return [nengo.Probe(c, synapse=0.01)]


@model("product")
def _product() -> list[Any]:
    product = nengo.networks.Product(100, 1)
    nengo.Connection(nengo.Node(lambda t: np.sin(6 * t)), product.input_a)
    nengo.Connection(nengo.Node(lambda t: np.cos(4 * t)), product.input_b)
    return [nengo.Probe(product.output, synapse=0.01)]


@model("2-D representation")
def _plane() -> list[Any]:
    plane = nengo.Ensemble(200, 2)
    nengo.Connection(nengo.Node(lambda t: np.sin(6 * t)), plane[0])
    nengo.Connection(nengo.Node(lambda t: np.cos(6 * t)), plane[1])
    return [nengo.Probe(plane, synapse=0.01)]


@model("integrator")
def _integrator() -> list[Any]:
    store = nengo.Ensemble(200, 1)
    stimulus = nengo.Node(nengo.processes.Piecewise({0: 0, 0.2: 1, 0.6: 0, 0.8: -2}))
    nengo.Connection(stimulus, store, transform=0.1, synapse=0.1)
    nengo.Connection(store, store, synapse=0.1)
    return [nengo.Probe(store, synapse=0.01)]


@model("controlled oscillator")
def _oscillator() -> list[Any]:
    state = nengo.Ensemble(500, 3, radius=1.7)
    speed = nengo.Node(nengo.processes.Piecewise({0: 1, 0.5: -0.5}))
    kick = nengo.Node(lambda t: 1.0 if t < 0.05 else 0.0)

    def turn(x: Any) -> list[float]:
        return [x[0] - 2 * x[2] * x[1], x[1] + 2 * x[2] * x[0]]

    nengo.Connection(state, state[:2], function=turn, synapse=0.1)
    nengo.Connection(kick, state[0])
    nengo.Connection(speed, state[2])
    return [nengo.Probe(state, synapse=0.01)]


@model("Lorenz attractor")
def _lorenz() -> list[Any]:
    state = nengo.Ensemble(600, 3, radius=60)

    def flow(x: Any) -> list[float]:
        rho, sigma, beta, tau = 28.0, 10.0, 8.0 / 3.0, 0.1
        change = (
            sigma * (x[1] - x[0]),
            -x[0] * x[2] - x[1],
            x[0] * x[1] - beta * (x[2] + rho) - rho,
        )
        return [tau * d + v for d, v in zip(change, x, strict=True)]

    nengo.Connection(state, state, function=flow, synapse=0.1)
    return [nengo.Probe(state, synapse=0.03)]


@model("PES channel")
def _learning() -> list[Any]:
    pre, post, error = (nengo.Ensemble(100, 1) for _ in range(3))
    stimulus = nengo.Node(nengo.processes.WhiteSignal(2, high=5, seed=1))
    nengo.Connection(stimulus, pre)
    learned = nengo.Connection(
        pre, post, function=lambda x: 0.0, learning_rule_type=nengo.PES(2e-4)
    )
    nengo.Connection(post, error)
    nengo.Connection(pre, error, transform=-1)
    nengo.Connection(error, learned.learning_rule)
    return [nengo.Probe(post, synapse=0.01), nengo.Probe(error, synapse=0.03)]


@model("basal ganglia choice")
def _choice() -> list[Any]:
    ganglia, thalamus = nengo.networks.BasalGanglia(3), nengo.networks.Thalamus(3)
    stimulus = nengo.Node(lambda t: [0.8, 0.5, 0.3] if t < 0.5 else [0.3, 0.9, 0.5])
    nengo.Connection(stimulus, ganglia.input, synapse=None)
    nengo.Connection(ganglia.output, thalamus.input)
    return [nengo.Probe(thalamus.output, synapse=0.01)]


@model("Izhikevich")
def _izhikevich() -> list[Any]:
    a, b = (nengo.Ensemble(60, 1, neuron_type=nengo.Izhikevich()) for _ in range(2))
    nengo.Connection(nengo.Node(lambda t: np.sin(6 * t)), a)
    nengo.Connection(a, b, synapse=0.1)
    return [nengo.Probe(b, synapse=0.1)]


class Difference(NamedTuple):
    """What two runs of one model differ by; `apart` is the first step at which outputs did."""

    neurons: int
    spikes: int
    counts: float
    outputs: float
    apart: int | None


def compare(name: str, seconds: float) -> Difference:
    """Run one model both ways."""
    with nengo.Network(seed=7) as network:
        outputs = MODELS[name]()
        spikes = [nengo.Probe(ensemble.neurons) for ensemble in network.all_ensembles]
    with nengo.Simulator(network, progress_bar=False) as theirs:
        ours = sw.from_nengo(network, built=theirs)
        theirs.run(seconds)
    with sw.Simulator(ours, precision="float64", progress=False) as simulator:
        simulator.run(seconds)

    def pairs(probe: Any) -> tuple[Any, Any]:
        return theirs.data[probe], simulator.data[ours.of[probe]]

    radius = max(float(ensemble.radius) for ensemble in network.all_ensembles)
    gaps = [np.abs(a - b).max(axis=1) / radius for a, b in map(pairs, outputs)]
    over = np.flatnonzero(np.max(gaps, axis=0) > TOLERANCE)
    apart = int(over[0]) if len(over) else None
    stop = apart if name in CHAOTIC else None
    counted = [(np.cumsum(a[:stop] > 0, 0), np.cumsum(b[:stop] > 0, 0)) for a, b in
               map(pairs, spikes)]  # fmt: skip
    return Difference(
        sum(a.shape[1] for a, _ in counted),
        int(sum(a[-1].sum() for a, _ in counted)),
        float(max(np.abs(a - b).max() for a, b in counted)),
        float(max(gap[:stop].max() for gap in gaps)),
        apart,
    )


def _size(difference: float) -> str:
    """A difference; what rounding makes of the last digits is another on every processor."""
    return "below 1e-12" if difference < 1e-12 else f"{difference:.1e}"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0)
    add_document(parser, "nengo.md")
    options = parser.parse_args()
    rows = []
    for name in MODELS:
        found = compare(name, options.seconds)
        rows.append(
            [
                name, str(found.neurons), str(found.spikes), f"{found.counts:g}",
                _size(found.outputs), "no" if found.apart is None else f"step {found.apart + 1}",
            ]
        )  # fmt: skip
    head = ["model", "neurons", "spikes", "spike counts differ by", "outputs differ by (of the "
            "radius)", "more than 1e-3 apart"]  # fmt: skip
    text = f"Over {options.seconds:g} s, float64:\n\n{markdown_table(head, rows)}"
    write_section("models", text, options.document)


if __name__ == "__main__":
    main()
