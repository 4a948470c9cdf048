"""`spikewright convert`: see `spikewright.convert`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from spikewright.cli.options import conversion_options, json_option, model_argument
from spikewright.cli.output import emit
from spikewright.conversion import Conversion
from spikewright.pipeline import convert as library


@click.command()
@model_argument
@conversion_options
@json_option
def convert(model: Path, choices: dict[str, Any], as_json: bool) -> None:
    """Convert MODEL to a network and print what was done, layer by layer.

    MODEL is a .keras, .h5, .onnx or .pt2 file.
    """
    conversion = library(model, **choices)
    if as_json:
        emit(_plain(conversion))
        return
    click.echo(str(conversion.trace))
    click.echo(f"\n{conversion.network.n_neurons:,} neurons")


def _plain(conversion: Conversion) -> dict[str, Any]:
    return {
        "neurons": conversion.network.n_neurons,
        "inputs": {name: list(node.shape_out) for name, node in conversion.inputs.items()},
        "outputs": list(conversion.outputs),
        "trace": [asdict(entry) for entry in conversion.trace],
    }
