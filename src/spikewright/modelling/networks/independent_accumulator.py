"""A race between accumulators, of which the first above a threshold wins."""

from __future__ import annotations

import numpy as np

from spikewright.errors import NetworkError
from spikewright.modelling.networks.checks import above_zero, count
from spikewright.modelling.networks.ensemble_array import EnsembleArray
from spikewright.modelling.networks.presets import ThresholdingEnsembles
from spikewright.network import Connection, Network, Node
from spikewright.network.pointwise import Step

_REACH = 2.0  # of a sum that has won: it saturates above 1


class IndependentAccumulator(Network):
    """Of `n_items` utilities, chooses the largest: `output` is 1 for it and 0 for all others.

    Each utility from 0 to 1 is integrated by itself, `1 / timescale` a second (behind a filter of
    `synapse` seconds). The first sum above `threshold` wins: it is held, and silences the others.
    So close utilities take longer to separate, and the choice is held for all inputs until `reset`
    is 1. `n_neurons` are for each of two ensembles an item. Gosmann, Voelker & Eliasmith (2017).
    Raises `NetworkError` naming the network.
    """

    def __init__(
        self,
        n_items: int,
        n_neurons: int = 50,
        threshold: float = 0.8,
        timescale: float = 0.2,
        synapse: float = 0.1,
        label: str | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(label, seed)
        self.n_items = count(n_items, f"{self!r}: n_items")
        n = count(n_neurons, f"{self!r}: n_neurons")
        least = above_zero(threshold, f"{self!r}: threshold")
        if least >= 1:
            raise NetworkError(f"{self!r}: threshold must be below 1, got {threshold!r}")
        pace = above_zero(synapse, f"{self!r}: synapse") / above_zero(
            timescale, f"{self!r}: timescale"
        )
        name = "choice" if label is None else label
        one = np.eye(self.n_items)
        with self:
            self.input = Node(size_in=self.n_items, label=f"input of {name}")
            self.reset = Node(size_in=1, label=f"reset of {name}")
            with ThresholdingEnsembles(0.0):
                self.accumulators = EnsembleArray(n, self.n_items, label=f"sums of {name}")
            with ThresholdingEnsembles(least, radius=_REACH):
                self.arrived = EnsembleArray(n, self.n_items, label=f"arrived of {name}")
            self.output = self.arrived.add_output("whole", Step(0.0))
            sums = self.accumulators
            Connection(self.input, sums.input, synapse, transform=pace)
            Connection(sums.output, sums.input, synapse)
            Connection(sums.output, self.arrived.input, 0.005)
            Connection(self.output, sums.input, 0.005, transform=2.0 * one - 1.0)
            sums.silenced_by(self.reset)
            self.arrived.silenced_by(self.reset)
