"""The worked example: what a firing-rate scale changes, and what it leaves as it is.

Input 1 reaches population A with weight 1 and A reaches B with weight 2, one integrate-and-fire
neuron each, in steps of 0.1 s, without a synapse, from an empty start.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.network import Connection, Ensemble, Network, Node, Probe
from spikewright.network.neurons import NeuronType, RectifiedLinear, SpikingRectifiedLinear
from spikewright.simulator import Simulator

DT = 0.1
STEPS = 12
WEIGHTS = (1.0, 2.0)
_MEAN = 10  # steps over which the mean is shown: one second


@dataclass(frozen=True, eq=False)
class WorkedExample:
    """The outputs of A and B at every step, `(steps,)`, and the parameters as built.

    `scale` is None for the rate network. `gain`, `amplitude` (of the neurons, so that one spike has
    the height `amplitude / dt`) and `max_rate_hz` (at an input of 1) are those of A; B has the
    same. `weights` are those of the two connections as a probe of them reads.
    """

    scale: float | None
    a: NDArray
    b: NDArray
    gain: float
    amplitude: float
    max_rate_hz: float
    weights: tuple[float, float]

    @property
    def name(self) -> str:
        """The head of its column: the scale, or "rate"."""
        return "rate" if self.scale is None else f"s = {self.scale:g}"

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """Rows of the table: `("s = 5: A", ["0", "2", ...])`; one where nothing changes in time."""
        a, b = ([f"{value:g}" for value in values] for values in (self.a, self.b))
        head = f"{self.name}{':' * (self.scale is not None)}"
        if self.scale is None or len(set(a)) == len(set(b)) == 1:
            return [(f"{head} A / B", [f"{p}/{q}" for p, q in zip(a, b, strict=True)])]
        return [(f"{head} A", a), (f"{head} B", b)]


def worked_example(
    scale: float | None, steps: int = STEPS, *, dt: float = DT, engine: str = "auto"
) -> WorkedExample:
    """Run the worked example at a firing-rate scale, or as a rate network with None.

    Raises `NetworkError` for a scale that is not above 0, `BuildError` for an unknown engine.
    """
    neuron_type: NeuronType = RectifiedLinear() if scale is None else SpikingRectifiedLinear()
    alike: dict[str, Any] = {"neuron_type": neuron_type, "gain": [1.0], "bias": [0.0]}
    alike |= {"rate_scale": 1.0 if scale is None else scale, "initial_voltage": "zero"}
    with Network(label="worked example", seed=0) as network:
        stimulus = Node(1.0, label="input")
        a, b = (Ensemble(1, label=name, **alike) for name in "AB")
        first = Connection(stimulus, a.neurons, transform=WEIGHTS[0], synapse=None)
        second = Connection(a.neurons, b.neurons, transform=WEIGHTS[1], synapse=None)
        probes = Probe(a.neurons), Probe(b.neurons)
    with Simulator(network, dt, engine=engine, progress=False) as simulator:
        simulator.run_steps(steps)
        over_time = [simulator.data[probe][:, 0] for probe in probes]
        weights = [float(np.squeeze(simulator.data[c].weights)) for c in (first, second)]
        built = simulator.data[a]
    values = (built.gain, built.amplitude, built.max_rates)
    gain, amplitude, rate = (float(np.squeeze(value)) for value in values)
    sent, received = over_time
    both = weights[0], weights[1]
    return WorkedExample(scale, sent, received, gain, amplitude, max_rate_hz=rate, weights=both)


def in_words(examples: Sequence[WorkedExample]) -> str:
    """The tables of some examples, the rate network first: values, parameters, and means."""
    first, second = examples[0].weights
    same = all(example.weights == examples[0].weights for example in examples)
    steps = ("step", [str(step) for step in range(1, STEPS + 1)])
    rows = [steps, *(row for example in examples for row in example.rows)]
    names = ["", *(example.name for example in examples)]
    changed = [
        ["gain", *(f"{e.gain:g}" for e in examples)],
        ["amplitude", *(f"{e.amplitude:g}" for e in examples)],
        ["max rate (Hz)", *(f"{e.max_rate_hz:g}" for e in examples)],
    ]
    means = [
        ["mean of A", *(f"{e.a[:_MEAN].mean():.4g}" for e in examples)],
        ["mean of B", *(f"{e.b[:_MEAN].mean():.4g}" for e in examples)],
    ]
    parts = [
        "input --(x1)--> A --(x2)--> B --> output",
        f"constant input 1, dt = {DT} s, no synapse, v(0) = 0\n",
        _pipes([name, *cells] for name, cells in rows),
        "\nWhat changed (A and B alike):",
        _pipes([names, *changed]),
        f"\nWhat did not: the weights are {first:g} and {second:g}"
        f"{' at every scale' if same else ' in the rate network alone'}; means over one second:",
        _pipes([names, *means]),
    ]
    return "\n".join(parts)


def _pipes(rows: Iterable[Iterable[str]]) -> str:
    """Rows as text between vertical bars, columns aligned."""
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    )
