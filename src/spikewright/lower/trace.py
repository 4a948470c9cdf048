"""The record of a conversion, layer by layer: its guarantees and messages."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from spikewright._base.formatting import format_table
from spikewright._base.markup import RichRepr, Rows
from spikewright._base.process import outside
from spikewright._base.schema import Where
from spikewright.errors import ConversionWarning
from spikewright.lower.choices import STEP

KINDS = ("refused", "", "approximated", "exact after", "convergent", "exact")
"""All kinds of guarantees, the weakest first; "" is one that is not known."""

_AFTER = re.compile(r"exact after (different numbers of steps \(.+\)|\d+ steps?)")
_WHOLE = 1e-6  # of a step: numbers of steps that differ by less are one


def steps_in(seconds: float, dt: float) -> int | None:
    """The whole number of steps of `dt` seconds that lasts so long, or None."""
    number = round(seconds / dt)
    return number if number >= 1 and abs(seconds / dt - number) <= _WHOLE * number else None


def exact_after(seconds: float) -> str | None:
    """The guarantee of a layer that has its source's value after so many seconds alone.

    None where no whole number of steps of 1 ms lasts so long.
    """
    steps = steps_in(seconds, STEP)
    return None if steps is None else f"exact after {steps} step{'s' * (steps != 1)}"


def kind_of(status: str) -> str:
    """The kind of a guarantee: "exact after 4 steps" is "exact after"; others are their own."""
    return "exact after" if _AFTER.fullmatch(status) else status


Status = Annotated[
    str,
    Where(
        lambda text: kind_of(text) in (*KINDS, "warning"),
        f"one of {', '.join(filter(None, KINDS))}, warning",
    ),
]
"""A guarantee in words, or "warning"."""


def weakest(statuses: Iterable[str]) -> str:
    """The guarantee of a whole, from those of its parts: the weakest of them.

    Parts that are exact after a number of steps do not tend to their source with more of them. So
    beside a convergent part, which has an error then, the whole is approximated; and where their
    numbers differ, it is exact after none.
    """
    found = dict.fromkeys(statuses)
    kind = next((kind for kind in KINDS if any(kind_of(s) == kind for s in found)), "exact")
    if kind != "exact after":
        return kind
    if "convergent" in found:
        return "approximated"
    lengths = [status for status in found if kind_of(status) == kind]
    if len(lengths) == 1:
        return lengths[0]
    numbers = sorted({int(number) for status in lengths for number in re.findall(r"\d+", status)})
    return f"exact after different numbers of steps ({', '.join(map(str, numbers))})"


_LOGGER = logging.getLogger(__name__.partition(".")[0])
_LOGGER.addHandler(logging.NullHandler())  # the warning is on the screen already
_suppressed: ContextVar[bool] = ContextVar("suppressed", default=False)


@contextmanager
def suppress_warnings() -> Iterator[None]:
    """A context without warnings of conversions, such as those of the candidates of a search."""
    token = _suppressed.set(True)
    try:
        yield
    finally:
        _suppressed.reset(token)


def warn_and_log(text: str) -> bool:
    """Raise a `ConversionWarning` at the line outside this package that led here, and log it.

    Returns False where warnings are suppressed.
    """
    if _suppressed.get():
        return False
    _LOGGER.warning(text)
    warn(text)
    return True


def warnings_suppressed() -> bool:
    """True within `suppress_warnings`, where no warning of a conversion is given."""
    return _suppressed.get()


def warn(text: str) -> None:
    """Raise a `ConversionWarning` at the line outside this package that led here."""
    warnings.warn(text, ConversionWarning, stacklevel=outside())


class Entry(NamedTuple):
    """One change: its stage, its layer, and its guarantee.

    "exact" leaves every value as it was; "exact after 4 steps" has the source's values at that
    number of steps and at no other; "convergent" spiking forms tend to them as scale times steps
    grows; "approximated" ones do not, and were requested.
    """

    stage: str
    layer: str
    text: str
    status: Status


@dataclass(repr=False)
class Trace(RichRepr):
    """All entries in order; `print(trace)` shows them as a table."""

    entries: list[Entry] = field(default_factory=list)
    _warned: set[str] = field(default_factory=set, repr=False, compare=False)
    _known: set[Entry] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._known = set(self.entries)

    def add(self, stage: str, layer: str, text: str, status: Status) -> None:
        """Append an entry, once."""
        entry = Entry(stage, layer, text, status)
        if entry not in self._known:
            self._known.add(entry)
            self.entries.append(entry)

    def followed_by(self, other: Trace) -> Trace:
        """A trace of these entries, followed by those of another."""
        return Trace([*self.entries, *other.entries], self._warned | other._warned)

    def warn(self, stage: str, sentence: str) -> None:
        """Warn with a sentence, unless this stage has warned already."""
        if stage not in self._warned and warn_and_log(sentence):
            self._warned.add(stage)

    @property
    def has_warned(self) -> bool:
        """True once a stage has warned, or was marked."""
        return bool(self._warned)

    def mark(self, stage: str) -> None:
        """Count a stage as warned about: no further warning of it comes."""
        self._warned.add(stage)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def warnings(self) -> list[Entry]:
        """Entries that a user should look at: warnings and approximations."""
        return [e for e in self.entries if e.status in ("warning", "approximated")]

    @property
    def guarantee(self) -> Status:
        """The weakest guarantee of all layers, which is the network's."""
        return weakest(e.status for e in self.entries if e.status != "warning")

    def status(self, layer: str) -> Status:
        """The guarantee of one layer: exact unless an entry says otherwise."""
        return weakest(e.status for e in self.entries if e.layer == layer and e.status != "warning")

    def __str__(self) -> str:
        return format_table(self._summary()[1])

    def _summary(self) -> tuple[str, Rows]:
        rows = [(e.stage, e.layer, e.status, e.text) for e in self.entries]
        sentence = f"{len(self)} steps of a conversion; as a whole it is {self.guarantee}."
        return sentence, [("stage", "layer", "status", "what"), *rows]
