"""An example of every ready-made network, small."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from running import directions

import spikewright as sw

DIRECTIONS = directions(3, 8, 0)
EXAMPLES: dict[str, Callable[[], sw.Network]] = {
    "EnsembleArray": lambda: sw.networks.EnsembleArray(10, 3, 2),
    "Product": lambda: sw.networks.Product(20, 2),
    "CircularConvolution": lambda: sw.networks.CircularConvolution(8, 5, invert_a=True),
    "Integrator": lambda: sw.networks.Integrator(0.1, 30, 2),
    "Oscillator": lambda: sw.networks.Oscillator(0.1, 5.0, 30),
    "IndependentAccumulator": lambda: sw.networks.IndependentAccumulator(3, 20, 0.3, 0.005),
    "InputGatedMemory": lambda: sw.networks.InputGatedMemory(10, 2),
    "BasalGanglia": lambda: sw.networks.BasalGanglia(2, 20, input_bias=0.1),
    "Thalamus": lambda: sw.networks.Thalamus(3, 20),
    "AssociativeMemory": lambda: sw.networks.AssociativeMemory(
        [*DIRECTIONS, *-DIRECTIONS], threshold=[0.1, 0.2, 0.3] * 2, inhibitable=True
    ),
    "ThresholdingAssociativeMemory": lambda: sw.networks.ThresholdingAssociativeMemory(
        [*DIRECTIONS, *-DIRECTIONS], threshold=[0.1, 0.2, 0.3] * 2, inhibitable=True
    ),
}


def driven(name: str) -> tuple[sw.Network, sw.Probe]:
    """An example with random constant input, and a probe of its output behind a filter."""
    with sw.Network(seed=5) as net:
        part = EXAMPLES[name]()
        rng = np.random.default_rng(1)
        for end in ("input", "input_a", "input_b"):
            node = getattr(part, end, None)
            if node is not None:
                sw.Connection(sw.Node(rng.uniform(-1, 1, node.size_in)), node, None)
        probe = sw.Probe(part.output, synapse=0.01)  # type: ignore[attr-defined]
    return net, probe
