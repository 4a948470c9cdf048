"""Inspections and checkups as they are printed, by `print` and by commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from spikewright._base.amounts import percent
from spikewright.report.printed import Part
from spikewright.report.tables import Column, table_of

if TYPE_CHECKING:
    from spikewright.showing.doctor import Checkup
    from spikewright.showing.inspection import Inspection

_COLUMNS = (
    Column("name", "layer"),
    Column("kind", "kind"),
    Column("shape", "shape", lambda shape: ", ".join(map(str, shape))),
    Column("parameters", "parameters", lambda value: f"{value:,}"),
    Column("operations", "operations", lambda value: f"{value:,}"),
    Column("analog", "of numbers", lambda value: f"{value:,}"),
    Column("becomes", "becomes"),
    Column("status", "status"),
    Column("why", "why"),
)


def parts_of_inspection(found: Inspection, title: str = "") -> Iterator[Part]:
    """The layers, and the sentences on the whole model."""
    yield table_of(title, found.layers, *_COLUMNS)
    yield _summary(found)


def _summary(found: Inspection) -> str:
    if found.convertible:
        return (
            f"{found.parameters:,} parameters, {found.operations:,} multiply-accumulates a sample; "
            f"{_analog(found)}. {_places(found.places)}. "
            f"Every layer can be converted; the network is {found.guarantee}, as the weakest of "
            "its layers."
        )
    reasons = len(found.refusals)
    layers = len({refusal.layer for refusal in found.refusals})
    return (
        f"{layers} layer{'s' * (layers != 1)} refused, for {reasons} reason{'s' * (reasons != 1)}; "
        "what cannot be known before they are mended is empty (-). "
        "The model cannot be converted as it is."
    )


def _places(names: Sequence[str]) -> str:
    """How many places send spikes, and which."""
    if not names:
        return "No place sends spikes"
    several = len(names) > 1
    return f"{len(names)} place{'s send' if several else ' sends'} spikes: {', '.join(names)}"


def _analog(found: Inspection) -> str:
    """How many multiplications are of two numbers, and in which layers most of them."""
    total = found.operations or 0
    if not (total and found.analog):
        return "none of them multiplies two numbers"
    layers = sorted((r for r in found.layers if r.analog), key=lambda r: -(r.analog or 0))
    shares = [f"{layer.name} {percent((layer.analog or 0) / total)}" for layer in layers[:_SHOWN]]
    more = f" and {len(layers) - _SHOWN} more layers" if len(layers) > _SHOWN else ""
    return (
        f"{percent(found.analog / total)} of them multiply two numbers, neither of them a spike "
        f"({', '.join(shares)}{more})"
    )


_SHOWN = 6  # layers in a sentence


def parts_of_checkup(found: Checkup) -> Iterator[Part]:
    """Everything that was looked at, and the sentence on what works."""
    title = (
        f"spikewright {found.version}, Python {found.python}, {found.machine}, "
        f"{found.processors} processors"
    )
    columns = (
        Column("what", ""),
        Column("name", "name"),
        Column("state", "state"),
        Column("detail", "version or instruction sets"),
        Column("advice", "what to do"),
    )
    yield table_of(title, found.findings, *columns)
    absent = sum(f.state == "absent" for f in found.findings)
    if found.broken:
        yield f"Broken: {', '.join(f.name for f in found.broken)}."
    elif absent:
        yield f"What is installed works; {absent} are absent."
    else:
        yield "Everything works."
