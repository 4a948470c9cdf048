"""Cost tables: the published cost of an operation, its source and its assumptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType

from spikewright._base.arguments import is_number, is_whole
from spikewright.errors import SimulationError

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
