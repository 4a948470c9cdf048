"""`spikewright fits`: see `spikewright.Conversion.fits`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypedDict

import click

from spikewright._base.amounts import number, percent
from spikewright._base.options import REQUIRED, Option
from spikewright.chips import Fit, names
from spikewright.cli import files
from spikewright.cli.given import Given
from spikewright.cli.options import command
from spikewright.cli.output import show, tell
from spikewright.report.tables import Column, Table

_ALL = "all"


class _ChipOptions(TypedDict, total=False):
    chips: Annotated[
        Sequence[str],
        Option(
            REQUIRED, f"{', '.join(names())}, a .toml file of your own, or all; repeat for more."
        ),
    ]


@command(files.model(), groups=(_ChipOptions,), without=(), spiking=True)
def fits(given: Given) -> None:
    """Say whether MODEL fits on chips: cores, memory, and what would help where it does not.

    MODEL is a .keras, .h5, .onnx or .pt2 file, or a network that `spikewright convert -o` saved.
    A model is converted with spiking neurons unless options say otherwise; nothing is run. For one
    chip every layer is listed, for several one row a chip. Exits with 2 where it fits on none.
    """
    found = [given.conversion.fits(chip) for chip in _asked(given.settings["chips"])]
    given.answer({"chips": [fit.as_dict() for fit in found]}, lambda: _print(found, given.model))
    if not any(fit.fits for fit in found):
        click.get_current_context().exit(2)


def _asked(chips: Sequence[str]) -> list[str]:
    """The chips by name, each once."""
    listed = [name for chip in chips for name in (names() if chip == _ALL else (chip,))]
    return list(dict.fromkeys(listed))


def _print(found: list[Fit], model: Path) -> None:
    if len(found) > 1:
        show(_overview(found, model.name))
        return
    (fit,) = found
    tell(f"{fit.chip.title}\n\n{fit.table}\n\n{fit!r}")
    for broken in fit.broken:
        tell(f"  {broken.rule}: {broken.source}")


def _overview(found: list[Fit], title: str) -> Table:
    columns = (
        Column("chip", "chip"),
        Column("verdict", "verdict"),
        Column("cores", "cores", number),
        Column("cores_there", "of", number),
        Column("bottleneck", "scarcest"),
        Column("share", "share", percent),
        Column("remedy", "first remedy"),
    )
    return Table(title, columns, tuple(map(_row, found)))


def _row(fit: Fit) -> tuple[Any, ...]:
    scarcest = fit.bottleneck
    told = (None, None) if scarcest is None else (scarcest.place, scarcest.share)
    remedy = str(fit.broken[0]) if fit.broken else None
    return (fit.chip.name, fit.verdict, fit.cores, fit.cores_there, *told, remedy)
