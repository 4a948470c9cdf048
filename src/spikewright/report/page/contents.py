"""The contents of a page: records and plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import ArrayLike

from spikewright._base.markup import Child, Markup, el
from spikewright.records import Record
from spikewright.report.figures import RasterInfo


class Traced(Protocol):
    """A step of a conversion on one layer: an entry of its trace."""

    @property
    def stage(self) -> str:
        """The stage."""

    @property
    def layer(self) -> str:
        """The name of the layer."""

    @property
    def text(self) -> str:
        """The change or the form, in words."""

    @property
    def status(self) -> str:
        """The guarantee of the step: "exact", "exact after 4 steps", "convergent", "approximated";
        or "warning"."""


@dataclass(frozen=True, eq=False)
class Contents:
    """Everything that `write_html` was given."""

    records: tuple[Record, ...] = ()
    trace: tuple[Traced, ...] = ()
    diagnosis: tuple[Record, ...] = ()
    search: tuple[Record, ...] = ()
    rates: Mapping[str, ArrayLike] = field(default_factory=dict)
    raster: RasterInfo | None = None
    reproduce: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    sweep: tuple[Record, ...] = ()
    training: tuple[Record, ...] = ()


def section(key: str, title: str, *children: Child) -> Markup | None:
    """A section of the page, None where it would be empty."""
    if all(child is None or child == [] for child in children):
        return None
    return el("section", el("h2", title, id=key), children, aria_labelledby=key)
