"""A program by operators, with the kernel that runs each and the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload


class PlanRow(NamedTuple):
    """An operator's label, the kernel that runs it, and the reason."""

    operator: str
    kernel: str
    why: str


@dataclass(frozen=True)
class Plan(Sequence[PlanRow]):
    """The operators of a program in order; printed, a table."""

    engine: str
    rows: tuple[PlanRow, ...]

    @overload
    def __getitem__(self, index: int) -> PlanRow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[PlanRow]: ...
    def __getitem__(self, index: int | slice) -> PlanRow | Sequence[PlanRow]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[PlanRow]:
        return iter(self.rows)

    def __str__(self) -> str:
        table = [PlanRow("operator", f"kernel ({self.engine})", "why"), *self.rows]
        widths = [max(len(row[i]) for row in table) for i in range(2)]
        return "\n".join(
            f"{row.operator:<{widths[0]}}  {row.kernel:<{widths[1]}}  {row.why}".rstrip()
            for row in table
        )
