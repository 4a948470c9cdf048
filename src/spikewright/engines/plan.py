"""A program by operators, with the kernel that runs each and the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

from spikewright._base.markup import Rows, Shown


class PlanRow(NamedTuple):
    """An operator's label, the kernel that runs it, the reason, and its multiply-adds a step.

    These are an estimate, of one sample: weights times the values that they meet, spikes or not.
    """

    operator: str
    kernel: str
    why: str
    work: int


@dataclass(frozen=True)
class Plan(Shown, Sequence[PlanRow]):
    """The operators of a program in order; printed, a table with what each costs."""

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

    def share(self, kernel: str) -> float:
        """The share of the multiply-adds of a step that such kernels do: 0 where there are none.

        `kernel` is how their names begin; "reference" are those off the native engine's fast path.
        """
        total = sum(row.work for row in self.rows)
        return sum(row.work for row in self.rows if row.kernel.startswith(kernel)) / max(1, total)

    def _told(self) -> tuple[str, Rows]:
        total = max(1, sum(row.work for row in self.rows))
        lines = [("operator", f"kernel ({self.engine})", "work", "why")]
        lines += [(row[0], row[1], f"{row.work / total:.1%}", row.why) for row in self.rows]
        return f"{len(self)} operators on the {self.engine} engine.", lines

    def __str__(self) -> str:
        lines = self._told()[1]
        widths = [max(len(line[i]) for line in lines) for i in range(3)]
        return "\n".join(
            f"{label:<{widths[0]}}  {kernel:<{widths[1]}}  {work:>{widths[2]}}  {why}".rstrip()
            for label, kernel, work, why in lines
        )
