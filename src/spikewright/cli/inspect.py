"""`spikewright inspect`: see `spikewright.inspection`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from spikewright.cli.options import (
    example_shape_option,
    json_option,
    max_pool_option,
    model_argument,
)
from spikewright.cli.output import emit, show
from spikewright.inspection import Inspection
from spikewright.inspection import inspect as library
from spikewright.report.tables import Column, Table


@click.command()
@model_argument
@max_pool_option
@example_shape_option
@click.pass_context
@json_option
def inspect(
    ctx: click.Context, model: Path, max_pool: str | None, example_input: Any, as_json: bool
) -> None:
    """List the layers of MODEL and what each becomes in a spiking network.

    MODEL is a .keras, .h5, .onnx or .pt2 file. Exits with 2 where a layer is refused; every reason
    is listed.
    """
    found = library(model, example_input=example_input, max_pool=max_pool or "gate")  # type: ignore[arg-type]
    if as_json:
        emit(asdict(found))
    else:
        show(_table(found, model.name))
        click.echo(_summary(found))
    if not found.convertible:
        ctx.exit(2)


def _table(found: Inspection, title: str) -> Table:
    rows = [
        (
            layer.name,
            layer.kind,
            None if layer.shape is None else ", ".join(map(str, layer.shape)),
            layer.parameters,
            f"refused: {layer.refused}" if layer.refused else layer.becomes or None,
        )
        for layer in found.layers
    ]
    columns = (
        Column("layer", "layer"),
        Column("kind", "kind"),
        Column("shape", "shape"),
        Column("parameters", "parameters", lambda value: f"{value:,}"),
        Column("becomes", "becomes"),
    )
    return Table(title, columns, tuple(rows))


def _summary(found: Inspection) -> str:
    count = len(found.refusals)
    if count:
        return f"{count} layer{'s' * (count != 1)} refused: the model cannot be converted as it is."
    return f"{found.parameters:,} parameters. Every layer can be converted."
