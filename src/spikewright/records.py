"""Measured values: name, value, unit, sample count, interval, and how.

Measuring produces records, reports and searches read them; nothing else passes between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from spikewright._base.amounts import (
    Unit,
    format_difference,
    format_interval,
    joules,
    loss_unit,
    percent,
)


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

    def __str__(self) -> str:
        """Name, value and interval; a drop is lost or gained, an energy has its cost table."""
        kind, unit = interval_kind(self), _unit_of_loss(self)
        if unit is not None:
            return f"{self.name}: {format_difference(self.value, self.interval, unit, kind)}"
        table = f" ({self.how['table']})" if self.unit == "J" and "table" in self.how else ""
        ends = f" ({kind} {_interval(self)})" if self.interval is not None else ""
        return f"{self.name}: {_text(self, self.value)}{_unit(self)}{table}{ends}"


def select(records: Iterable[Record], name: str, **how: Any) -> list[Record]:
    """Records of that name whose settings include all of `how`, in order."""
    return [
        record
        for record in records
        if record.name == name and all(record.how.get(k) == v for k, v in how.items())
    ]


DEFAULT_TABLE = "45nm-fp32"
"""The cost table of every energy for which no other is named."""

OwnNetwork = Literal["spiking", "rate"]
OWN_NETWORKS: tuple[OwnNetwork, ...] = ("spiking", "rate")
"""`how["network"]` of energies of the measured network itself; others are those of rivals."""


def own_energies(records: Iterable[Record], **how: Any) -> list[Record]:
    """Energies of the measured network, without those of its rivals."""
    found = select(records, "energy", **how)
    return [record for record in found if record.how.get("network") in OWN_NETWORKS]


SCORE = "score"
"""The unit of a metric of a user's own, in whatever that counts."""


@dataclass(frozen=True)
class Worth:
    """A measure of answers: its name, whether more is better, whether it is a fraction."""

    name: str
    rising: bool = True
    fraction: bool = True

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if self.rising else -1


_WORTHS = (
    Worth("accuracy"),
    Worth("relative error", rising=False),
    Worth("agreement"),
    Worth("relative difference", rising=False),
)


def worths(records: Iterable[Record]) -> list[Worth]:
    """The measures that answers were judged by, the one that says most first.

    That is a metric of the user's own, accuracy, the error of targets, agreement with the source or
    the difference from it.
    """
    found = list(records)  # of a metric's records that of the mean alone has a name of one word
    metrics = dict.fromkeys(r.name for r in found if r.unit == SCORE and " " not in r.name)
    names = {r.name for r in found if r.unit != SCORE}
    known = [worth for worth in _WORTHS if worth.name in names]
    return [*(Worth(name, fraction=False) for name in metrics), *known]


def table_of(records: Iterable[Record]) -> list[tuple[str, ...]]:
    """Headings, and a row of text for each record: fractions as percent."""
    rows = [
        (record.name, _place(record), _text(record, record.value), _interval(record))
        for record in records
    ]
    return [("measure", "of", "value", "95 % interval"), *rows]


def interval_kind(record: Record) -> str:
    """The kind of a record's interval: of confidence, or all values of some draws."""
    draws = record.how.get("draws")
    return "95 % interval" if draws is None else f"range of {draws} draws"


def _unit_of_loss(record: Record) -> Unit | None:
    """The unit of a loss against the source, None of any other record."""
    return loss_unit(record.unit == "fraction") if record.name.endswith(" drop") else None


def _unit(record: Record) -> str:
    """The unit behind a value that is no percentage and has no prefix."""
    return "" if record.unit in ("fraction", "J", "value", "ratio", SCORE) else f" {record.unit}"


def _place(record: Record) -> str:
    kinds = ("output", "readout", "network", "table")
    return ", ".join(str(record.how[k]) for k in kinds if k in record.how)


def _text(record: Record, value: float) -> str:
    if (unit := _unit_of_loss(record)) is not None:
        return unit.format(value)
    if record.unit == "J":
        return joules(value)
    return percent(value) if record.unit == "fraction" else f"{value:.4g}"


def _interval(record: Record) -> str:
    ends = record.interval or ()
    unit = _unit_of_loss(record)
    if ends and unit is not None:
        return format_interval(record.value, ends, unit)
    return " to ".join(_text(record, end) for end in ends)


def plain(value: Any) -> Any:
    """Plain data for JSON: arrays as lists, objects as text."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)
