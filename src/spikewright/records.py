"""What was measured: name, value, unit, sample count, interval, and how.

Measuring produces records, reports and searches read them; nothing else passes between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Record:
    """One measured value.

    `interval` is the confidence interval `(low, high)` in the same unit, or None where the value
    is a count; `n` is the number of samples behind it; `how` holds the settings that it holds for.
    """

    name: str
    value: float
    unit: str
    n: int = 1
    interval: tuple[float, float] | None = None
    how: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The record as plain data, ready for JSON."""
        return asdict(self)


def select(records: Iterable[Record], name: str, **how: Any) -> list[Record]:
    """Records of that name whose settings include all of `how`, in order."""
    return [
        record
        for record in records
        if record.name == name and all(record.how.get(k) == v for k, v in how.items())
    ]
