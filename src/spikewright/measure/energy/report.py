"""Everything about the energy of a run, as records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from spikewright.measure.energy.accounting import Bursts, energy
from spikewright.measure.energy.rivals import rival_records
from spikewright.measure.energy.tables import TABLES, CostTable
from spikewright.measure.operations import Operations, SourceOperations
from spikewright.records import Record


def energy_records(
    operations: Operations,
    source: SourceOperations,
    tables: Iterable[CostTable | str] | None = None,
    how: Mapping[str, Any] | None = None,
    bursts: Bursts = "spikes",
) -> list[Record]:
    """Joules a sample under each table (default: all), in parts, and those of rivals beside it.

    Raises `SimulationError` for an unknown table.
    """
    found = []
    for table in TABLES.values() if tables is None else tables:
        found += energy(operations, table, bursts).records(how)
        found += rival_records(source, operations.steps, table, how)
    return found
