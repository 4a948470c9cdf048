"""Energy of a run under a cost table: operations times joules, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.measure.energy.tables import CostTable, cost_table
from spikewright.measure.operations import Operations
from spikewright.records import OwnNetwork, Record


@dataclass(frozen=True, eq=False)
class Energy:
    """Joules by part: "synapses", "input", "neurons", "memory".

    Arrays are `(samples,)`, or `(1,)` sums over the `n` samples, as the operations' were. `network`
    says whether a neuron of the network spikes.
    """

    table: CostTable
    parts: Mapping[str, NDArray]
    n: int
    steps: int
    input: str
    network: OwnNetwork = "spiking"

    @property
    def total(self) -> NDArray:
        """Joules of all parts."""
        found: NDArray = sum(self.parts.values(), start=np.zeros(()))
        return found

    @property
    def mean(self) -> float:
        """Joules of a sample, on average."""
        return float(self.total.sum()) / self.n

    def records(self, how: Mapping[str, Any] | None = None) -> list[Record]:
        """Joules a sample as "energy", and each part as "energy part" (`how["part"]`)."""
        told = {
            **(how or {}),
            "table": self.table.name,
            "network": self.network,
            "precision": self.table.precision,
            "steps": self.steps,
            "input": self.input,
        }
        parts = [
            Record("energy part", float(v.sum()) / self.n, "J", self.n, how={**told, "part": name})
            for name, v in self.parts.items()
        ]
        source = {"citation": self.table.citation, "assumptions": self.table.assumptions}
        return [Record("energy", self.mean, "J", self.n, how={**told, **source}), *parts]


def energy(operations: Operations, table: CostTable | str) -> Energy:
    """Joules of a run under a cost table, by its name or as an object.

    Several spikes of a neuron in one step count as one accumulate each. The analog input is
    computed once where it is held. Raises `SimulationError` for an unknown table.
    """
    costs = cost_table(table)
    total = operations.total()
    sums, products, analog = total.accumulates, total.multiply_accumulates, operations.analog(total)
    # Arrays may hold sums over samples: what every sample has in common counts that often.
    samples = operations.n / len(analog)
    updates = samples * (operations.neuron_updates + operations.filter_updates)
    read = costs.number_bytes * (sums + products + analog) * costs.weight_byte
    kept = 2 * costs.number_bytes * (sums + products + updates) * costs.state_byte
    parts = {
        "synapses": costs.accumulate * sums + costs.multiply_accumulate * products,
        "input": costs.multiply_accumulate * analog,
        "neurons": np.full(len(analog), costs.neuron_update * updates),
        "memory": read + kept,
    }
    network: OwnNetwork = "spiking" if operations.spiking else "rate"
    return Energy(costs, parts, operations.n, operations.steps, operations.input, network)
