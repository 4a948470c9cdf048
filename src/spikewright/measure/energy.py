"""Energy: operations times the prices of published cost tables, beside fair rivals.

Rivals of a run are its source at 32 and 8 bits, and its quantised twin. A spiking network of
`steps` steps with at most one spike a step tells `steps + 1` values apart. So does a network whose
activations have `ceil(log2(steps + 1))` bits (Yan, Bai and Wong 2024, arXiv:2409.08290). Signed
digits of `steps` steps tell as many apart as `steps` bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_number, is_whole
from spikewright.errors import SimulationError
from spikewright.measure.operations import Operations
from spikewright.records import DEFAULT_TABLE, OwnNetwork, Record

__all__ = [
    "CMOS_45NM_FP32",
    "CMOS_45NM_FP32_SRAM",
    "CMOS_45NM_INT8",
    "DEFAULT_TABLE",
    "LOIHI",
    "SPINNAKER2",
    "TABLES",
    "CostTable",
    "Energy",
    "cost_table",
    "energy",
    "energy_records",
    "register",
    "rival_records",
    "rivals",
    "twin_bits",
]

_registry: dict[str, CostTable] = {}
TABLES: Mapping[str, CostTable] = MappingProxyType(_registry)
"""Every registered cost table, by name (read only)."""


@dataclass(frozen=True)
class CostTable:
    """The costs of operations, in joules: one source's numbers, and the assumptions behind them.

    `accumulate` is the cost of a spike that meets a weight, `multiply_accumulate` of an analog
    value that does, `neuron_update` of a neuron (or a synaptic filter) in a step. Where a table
    prices memory, `weight_byte` is the cost of a byte of a weight, which is read once an operation.
    `state_byte` is that of a byte of a sum or of a neuron's state, which spikes and updates read
    and write. Weights and state have `number_bytes` each. `precision` names the arithmetic.
    `citation` and `assumptions` are printed wherever the table is used.

    Raises `SimulationError` for costs that are not numbers from 0, or a table without a citation.
    """

    name: str
    citation: str
    assumptions: str
    precision: str
    accumulate: float
    multiply_accumulate: float
    neuron_update: float
    weight_byte: float = 0.0
    state_byte: float = 0.0
    number_bytes: int = 4

    def __post_init__(self) -> None:
        for name in ("name", "citation", "assumptions", "precision"):
            value = getattr(self, name)
            if not (isinstance(value, str) and value.strip()):
                raise SimulationError(f"CostTable.{name} must be a text, got {value!r}")
        for name in (f.name for f in fields(self) if f.type == "float"):
            value = getattr(self, name)
            if not (is_number(value) and value >= 0):
                raise SimulationError(
                    f"CostTable {self.name!r}: {name} is joules, a number from 0, got {value!r}"
                )
        if not (is_whole(self.number_bytes) and self.number_bytes >= 1):
            raise SimulationError(
                f"CostTable {self.name!r}: number_bytes must be a whole number from 1, got "
                f"{self.number_bytes!r}"
            )


def register(table: CostTable) -> CostTable:
    """Make a cost table known by its name; returns it.

    Raises `SimulationError` where the name is taken by another one.
    """
    known = _registry.setdefault(table.name, table)
    if known != table:
        raise SimulationError(f"a cost table named {table.name!r} is registered already: {known}")
    return table


def cost_table(table: CostTable | str) -> CostTable:
    """A table by its name, or as given; raises `SimulationError` for an unknown name."""
    if isinstance(table, CostTable):
        return table
    if table not in TABLES:
        raise SimulationError(f"no cost table is named {table!r}; there are {', '.join(TABLES)}")
    return TABLES[table]


PICO = 1e-12

_HOROWITZ = (
    "M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014, 10-14; "
    "secondary: numbers as later papers quote them"
)

CMOS_45NM_FP32 = register(
    CostTable(
        name="45nm-fp32",
        citation=_HOROWITZ,
        assumptions=(
            "32-bit floating point in 45 nm at 0.9 V: addition 0.9 pJ, multiplication 3.7 pJ. "
            "Arithmetic only: no memory, no movement of data, no control, no leakage. A neuron's "
            "update is an addition and a comparison, priced as two additions, whatever its "
            "equation. The choice of most papers, and flattering: at int8 a multiply-accumulate "
            "costs 0.23 pJ, less than this accumulate"
        ),
        precision="fp32",
        accumulate=0.9 * PICO,
        multiply_accumulate=4.6 * PICO,
        neuron_update=1.8 * PICO,
    )
)

CMOS_45NM_INT8 = register(
    CostTable(
        name="45nm-int8",
        citation=_HOROWITZ,
        assumptions=(
            "8-bit integers in 45 nm at 0.9 V: addition 0.03 pJ, multiplication 0.2 pJ. Arithmetic"
            " only, as in 45nm-fp32. The spiking network's weights and voltages are taken to have "
            "8 bits; what that does to its accuracy was not measured"
        ),
        precision="int8",
        accumulate=0.03 * PICO,
        multiply_accumulate=0.23 * PICO,
        neuron_update=0.06 * PICO,
        number_bytes=1,
    )
)

CMOS_45NM_FP32_SRAM = register(
    replace(
        CMOS_45NM_FP32,
        name="45nm-fp32-sram",
        assumptions=(
            "45nm-fp32, and 5 pJ for every 32 bits that are read or written (half of the 10 pJ of "
            "a 64-bit access to a cache of 8 KB; larger memories cost ten to hundreds of times as "
            "much). Every operation reads its weight; a spike also reads and writes the sum that "
            "it is added to, an update the neuron's state; layers that are not spiking keep their "
            "sums in registers. No weight is used twice for one read"
        ),
        weight_byte=1.25 * PICO,
        state_byte=1.25 * PICO,
    )
)

LOIHI = register(
    CostTable(
        name="loihi",
        citation=(
            "M. Davies et al., Loihi: a neuromorphic manycore processor with on-chip learning, "
            "IEEE Micro 38(1), 2018, 82-99; secondary: the paper was not consulted"
        ),
        assumptions=(
            "14 nm: 23.6 pJ + 3.5 pJ a synaptic operation, as one tool adds them up, and 81 pJ a "
            "neuron update. The 23.6 pJ is widely quoted as measured; an audit reports that it "
            "could not find it in the paper, so treat it as unverified. The chip has no multiply-"
            "accumulate: one is priced as a synaptic operation. The rivals beside it are priced as"
            " arithmetic in 45 nm, without memory, which is not the same thing"
        ),
        precision="chip",
        accumulate=27.1 * PICO,
        multiply_accumulate=27.1 * PICO,
        neuron_update=81 * PICO,
    )
)

SPINNAKER2 = register(
    CostTable(
        name="spinnaker2",
        citation=(
            "S. Hoeppner et al., Dynamic power management for neuromorphic many-core systems, IEEE"
            " TCAS-I 66(8), 2019, 2973-2986; secondary: the paper was not consulted"
        ),
        assumptions=(
            "A prototype of SpiNNaker 2 in 28 nm: 450 pJ a synaptic event, 2.19 nJ a neuron "
            "update, as quoted by later software; the original was not consulted, nor what the "
            "figures include. A multiply-accumulate is priced as a synaptic event. The rivals "
            "beside it are priced as arithmetic in 45 nm, without memory, which is not the same "
            "thing"
        ),
        precision="chip",
        accumulate=450 * PICO,
        multiply_accumulate=450 * PICO,
        neuron_update=2190 * PICO,
    )
)


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
        details = {
            **(how or {}),
            "table": self.table.name,
            "network": self.network,
            "precision": self.table.precision,
            "steps": self.steps,
            "input": self.input,
        }
        parts = [
            Record(
                "energy part", float(v.sum()) / self.n, "J", self.n, how={**details, "part": name}
            )
            for name, v in self.parts.items()
        ]
        source = {"citation": self.table.citation, "assumptions": self.table.assumptions}
        return [Record("energy", self.mean, "J", self.n, how={**details, **source}), *parts]


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


def rivals(steps: int, bits: int | None = None) -> tuple[Rival, ...]:
    """The rivals of a run of `steps` steps, whose twin has as many `bits`, or those of `twin_bits`.

    Raises `SimulationError` for no number of steps.
    """
    bits = twin_bits(steps) if bits is None else bits
    eight, few = integer_multiply_accumulate(8), integer_multiply_accumulate(bits)
    return (
        Rival("source", "fp32", CMOS_45NM_FP32.multiply_accumulate, 4.0),
        Rival("source", "int8", eight, 1.0),
        Rival("quantised twin", f"int{bits}", few, WEIGHT_BITS / 8),
    )


def rival_records(
    products: float,
    steps: int,
    table: CostTable | str,
    how: Mapping[str, Any] | None = None,
    bits: int | None = None,
) -> list[Record]:
    """Joules a sample of each rival, to stand beside a spiking network's under `table`.

    `bits` as for `rivals`. The source has so many `products`, its multiply-accumulates. Arithmetic
    is priced at 45 nm whatever the table; where the table prices memory, each of them reads its
    weight.
    """
    costs = cost_table(table)
    found = []
    for rival in rivals(steps, bits):
        each = rival.multiply_accumulate + rival.weight_bytes * costs.weight_byte
        details = {
            **(how or {}),
            "table": costs.name,
            "network": rival.network,
            "precision": rival.precision,
            "steps": steps,
        }
        found.append(Record("energy", products * each, "J", how=details))
    return found


def energy_records(
    operations: Operations,
    products: float,
    tables: Iterable[CostTable | str] | None = None,
    how: Mapping[str, Any] | None = None,
) -> list[Record]:
    """Joules a sample under each table (default: all), in parts, and those of rivals beside it.

    `products` are the source's multiply-accumulates.
    Raises `SimulationError` for an unknown table.
    """
    found = []
    for table in TABLES.values() if tables is None else tables:
        found += energy(operations, table).records(how)
        found += rival_records(products, operations.steps, table, how, operations.bits)
    return found
