"""`spikewright inspect`, `fits` and `doctor`: what a model, a chip and this machine can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypedDict

import click

from spikewright._base.amounts import number, percent
from spikewright._base.options import REQUIRED, Option, options_of
from spikewright.chips import Fit, names
from spikewright.cli import files
from spikewright.cli.given import Given
from spikewright.cli.options import command
from spikewright.cli.output import print_parts, print_table, print_text
from spikewright.conversion.options import SpikeOptions
from spikewright.report.tables import Column, Table
from spikewright.showing.doctor import doctor as library_doctor
from spikewright.showing.inspection import inspect as library_inspect

_LEFT_OUT = {*options_of(SpikeOptions), "sequence_step", "neurons"} - {
    "max_spikes_per_step",
    "coding",
}


@command(files.model(), without=_LEFT_OUT)
def inspect(given: Given) -> None:
    """List the layers of MODEL and the form of each in a spiking network.

    MODEL is a .keras, .h5, .onnx or .pt2 file; nothing is run. Each layer is exact (it has the
    source's value), exact after a certain number of steps only, convergent (its mean tends to the
    source's value), approximated or refused. The last line has the guarantee of the whole network,
    the layers that send spikes, and the share of multiplications that involve no spike. Exits with
    2 if a layer is refused; every reason is listed.
    """
    found = library_inspect(given.model, **given.choices)
    names = ("parameters", "operations", "analog", "guarantee")
    document = {**asdict(found), **{name: getattr(found, name) for name in names}}
    given.answer(document, lambda: print_parts(found.parts(given.model.name)))
    if not found.convertible:
        click.get_current_context().exit(2)


_ALL = "all"


class _ChipOptions(TypedDict, total=False):
    chips: Annotated[
        Sequence[str],
        Option(REQUIRED, f"{', '.join(names())}, a .toml file of your own, or all."),
    ]


@command(files.model(), groups=(_ChipOptions,), without=(), spiking=True)
def fits(given: Given) -> None:
    """Check whether MODEL fits on chips: cores, memory, and what would help if it does not.

    MODEL is a .keras, .h5, .onnx or .pt2 file, or a network that `spikewright convert -o` saved.
    A model is converted with spiking neurons unless options say otherwise; nothing is run. Lists
    every layer for one chip, and one row a chip for several. Exits with 1 if MODEL fits on none of
    them, and with 2 after a mistake, such as a misspelt chip.
    """
    found = [given.conversion.fits(chip) for chip in _asked(given.settings["chips"])]
    given.answer(
        {"chips": [fit.as_dict() for fit in found]}, lambda: _print_fits(found, given.model)
    )
    if not any(fit.fits for fit in found):
        click.get_current_context().exit(1)


def _asked(chips: Sequence[str]) -> list[str]:
    """The chips by name, each once."""
    listed = [name for chip in chips for name in (names() if chip == _ALL else (chip,))]
    return list(dict.fromkeys(listed))


def _print_fits(found: list[Fit], model: Path) -> None:
    if len(found) > 1:
        print_table(_overview(found, model.name))
        return
    (fit,) = found
    print_text(f"{fit.chip.title}\n\n{fit.table}\n\n{fit}")
    for broken in fit.broken:
        print_text(f"  {broken.rule}: {broken.source}")


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
    bottleneck = (None, None) if scarcest is None else (scarcest.place, scarcest.share)
    remedy = str(fit.broken[0]) if fit.broken else None
    return (fit.chip.name, fit.verdict, fit.cores, fit.cores_there, *bottleneck, remedy)


@command()
def doctor(given: Given) -> None:
    """List what works on this machine: engines, instruction sets, extras and their versions.

    Every optional package is imported. Exits with 2 if an installed one does not work; a missing
    one is no fault. Please add the output to bug reports.
    """
    found = library_doctor()
    given.answer(found.as_dict(), lambda: print_parts(found.parts()))
    if found.broken:
        click.get_current_context().exit(2)
