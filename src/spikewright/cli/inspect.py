"""`spikewright inspect`: see `spikewright.showing.inspection`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from spikewright._base.options import options_of
from spikewright.cli import files
from spikewright.cli.given import Given
from spikewright.cli.options import command
from spikewright.cli.output import say, show, table_of
from spikewright.conversion.options import SpikeOptions
from spikewright.report.tables import Column
from spikewright.showing.inspection import Inspection
from spikewright.showing.inspection import inspect as library

_LEFT_OUT = {*options_of(SpikeOptions), "sequence_step", "neurons"} - {"max_spikes_per_step"}


_COLUMNS = (
    Column("name", "layer"),
    Column("kind", "kind"),
    Column("shape", "shape", lambda shape: ", ".join(map(str, shape))),
    Column("parameters", "parameters", lambda value: f"{value:,}"),
    Column("operations", "operations", lambda value: f"{value:,}"),
    Column("becomes", "becomes"),
    Column("status", "status"),
    Column("why", "why"),
)


@command(files.model(), without=_LEFT_OUT)
def inspect(given: Given) -> None:
    """List the layers of MODEL and the form of each in a spiking network.

    MODEL is a .keras, .h5, .onnx or .pt2 file; nothing is run. Each layer is exact (as a spiking
    network it has the source's value), exact after a number of steps alone, convergent (its mean
    tends to it), approximated or refused; the last line gives the guarantee of the whole. Exits
    with 2 where a layer is refused; every reason is listed.
    """
    found = library(given.model, **given.choices)
    told = ("parameters", "operations", "guarantee")
    document = {**asdict(found), **{name: getattr(found, name) for name in told}}
    given.answer(document, lambda: _print(found, given.model))
    if not found.convertible:
        click.get_current_context().exit(2)


def _print(found: Inspection, model: Path) -> None:
    show(table_of(model.name, found.layers, *_COLUMNS))
    say(_summary(found))


def _summary(found: Inspection) -> str:
    if found.convertible:
        return (
            f"{found.parameters:,} parameters, {found.operations:,} multiply-accumulates a sample. "
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
