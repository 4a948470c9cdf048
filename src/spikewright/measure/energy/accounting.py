"""Energy of a run under cost tables, and of its fair rivals: its source at 32 and 8 bits, its twin.

A spiking network of `steps` steps with at most one spike a step tells `steps + 1` values apart. So
does a network whose activations have `ceil(log2(steps + 1))` bits (Yan, Bai and Wong 2024,
arXiv:2409.08290).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_whole
from spikewright.errors import SimulationError
from spikewright.measure.energy.tables import CMOS_45NM_FP32, PICO, TABLES, CostTable, cost_table
from spikewright.measure.operations import Operations, SourceOperations
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


WEIGHT_BITS = 8
_MULTIPLY_8, _ADD_8 = 0.2 * PICO, 0.03 * PICO


def twin_bits(steps: int) -> int:
    """Bits that tell `steps + 1` values apart, `ceil(log2(steps + 1))`."""
    if not (is_whole(steps) and steps >= 1):
        raise SimulationError(f"steps must be a whole number from 1, got {steps!r}")
    return int(steps).bit_length()


def integer_multiply_accumulate(bits: int, weight_bits: int = WEIGHT_BITS) -> float:
    """Joules of an integer multiply-accumulate in 45 nm.

    A multiplier costs in proportion to the product of its operands' bits (0.2 pJ at 8 x 8, and so
    3.2 pJ at 32 x 32, for which 3.1 pJ is published), an adder to the wider operand's (0.03 pJ at
    8; 0.12 pJ at 32, for which 0.1 pJ is published).
    """
    return _MULTIPLY_8 * bits * weight_bits / 64 + _ADD_8 * max(bits, weight_bits) / 8


@dataclass(frozen=True)
class Rival:
    """A network that is not spiking: joules and bytes of a multiply-accumulate."""

    network: str
    precision: str
    multiply_accumulate: float
    weight_bytes: float


def rivals(steps: int) -> tuple[Rival, ...]:
    """The rivals of a run of `steps` steps; raises `SimulationError` for no number of steps."""
    bits = twin_bits(steps)
    eight, few = integer_multiply_accumulate(8), integer_multiply_accumulate(bits)
    return (
        Rival("source", "fp32", CMOS_45NM_FP32.multiply_accumulate, 4.0),
        Rival("source", "int8", eight, 1.0),
        Rival("quantised twin", f"int{bits}", few, WEIGHT_BITS / 8),
    )


def rival_records(
    source: SourceOperations,
    steps: int,
    table: CostTable | str,
    how: Mapping[str, Any] | None = None,
) -> list[Record]:
    """Joules a sample of each rival, to stand beside a spiking network's under `table`.

    Arithmetic is priced at 45 nm whatever the table; where the table prices memory, every
    multiply-accumulate reads its weight. `how["zeros skipped"]` is the same for hardware that
    computes with non-zero activations and weights alone, where that was counted.
    """
    costs = cost_table(table)
    found = []
    for rival in rivals(steps):
        each = rival.multiply_accumulate + rival.weight_bytes * costs.weight_byte
        told = {
            **(how or {}),
            "table": costs.name,
            "network": rival.network,
            "precision": rival.precision,
            "steps": steps,
        }
        few = source.effective_multiply_accumulates
        if few is not None:
            told["zeros skipped"] = float(few.mean()) * each
        found.append(Record("energy", source.multiply_accumulates * each, "J", how=told))
    return found


def energy_records(
    operations: Operations,
    source: SourceOperations,
    tables: Iterable[CostTable | str] | None = None,
    how: Mapping[str, Any] | None = None,
) -> list[Record]:
    """Joules a sample under each table (default: all), in parts, and those of rivals beside it.

    Raises `SimulationError` for an unknown table.
    """
    found = []
    for table in TABLES.values() if tables is None else tables:
        found += energy(operations, table).records(how)
        found += rival_records(source, operations.steps, table, how)
    return found
