"""Ready-made networks of Nengo's names beside Nengo's own: the same inputs, equal within noise."""

from __future__ import annotations

import pytest

pytest.importorskip("nengo.exceptions", reason="Nengo is not installed: pip install 'nengo>=4.1'")

from collections.abc import Callable
from typing import Any

import nengo
import numpy as np
from documented_models import Ours
from numpy.typing import NDArray

import spikewright as sw

nengo.rc.set("decoder_cache", "enabled", "False")  # decoders are solved here, by this NumPy
VECTORS = np.eye(3)
METHODS: dict[str, Callable[[Any], None]] = {
    "as it is": lambda memory: None,
    "wta": lambda memory: memory.add_wta_network(),
    "thresholds": lambda memory: memory.add_threshold_to_outputs(),
    "default": lambda memory: memory.add_default_output_vector(VECTORS[2]),
}
LEVELS = [0.0, 0.25, 0.35, 0.4, 0.5, 0.7, 1.0]


def recalled(n: Any, network: Any, level: float, threshold: float, method: str) -> Any:
    """A probe of a memory that is shown its first vector, and .6 of that of its second."""
    with network:
        memory = n.networks.AssociativeMemory(VECTORS, threshold=threshold)
        METHODS[method](memory)
        shown = n.Node([level, 0.6 * level, 0.0])
        n.Connection(shown, memory.input, synapse=None)
        return n.Probe(memory.output, synapse=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.6])
def test_an_associative_memory_recalls_the_same(method: str, threshold: float) -> None:
    """Outputs over inputs from 0 to 1, thresholds, with and without each of its methods."""
    found: list[NDArray] = []
    for level in LEVELS:
        model, network = nengo.Network(seed=1), sw.Network(seed=1)
        theirs = recalled(nengo, model, level, threshold, method)
        ours = recalled(Ours(), network, level, threshold, method)
        with nengo.Simulator(model, progress_bar=False) as built:
            built.run(0.3)
        with sw.Simulator(network, progress=False) as simulator:
            simulator.run(0.3)
        means = built.data[theirs][150:].mean(axis=0), simulator.data[ours][150:].mean(axis=0)
        found.append(np.array(means))
    np.testing.assert_allclose(*np.array(found).swapaxes(0, 1), atol=0.06)
    assert max(one[0].max() for one in found) > 0.9
