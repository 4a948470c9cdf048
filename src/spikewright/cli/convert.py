"""`spikewright convert`: see `spikewright.convert`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from spikewright._base.writing import check_target
from spikewright.cli import options, outputs
from spikewright.cli.opening import open_conversion
from spikewright.cli.output import emit, tell
from spikewright.conversion import Conversion
from spikewright.conversion.verified import Verification


def _check_step(path: Path, *, overwrite: bool) -> None:
    from spikewright.exchange.onnx.saving import STEP  # late: it imports onnx

    check_target(path, STEP, overwrite=overwrite)


@click.command()
@options.model
@options.conversion
@outputs.out("the result here")
@click.option(
    "--step",
    type=outputs.OutputPath(_check_step),
    help="Write one time step here, an ONNX model that runs without spikewright.",
)
@outputs.force
@options.dt
@click.option(
    "--verify", is_flag=True, help="Compare the model's own values with the network's, first."
)
@options.as_json
def convert(
    model: Path,
    choices: dict[str, Any],
    out: Path | None,
    step: Path | None,
    dt: float,
    verify: bool,
    as_json: bool,
) -> None:
    """Convert MODEL to a network and print every step of the conversion, layer by layer.

    MODEL is a .keras, .h5, .onnx or .pt2 file, or a network that was saved here. A file saved with
    -o can be run with `spikewright run`, without the framework that MODEL came from. With --verify
    nothing is saved unless every output and layer agrees with the model's own within rounding.
    """
    conversion = open_conversion(model, choices)
    verification = conversion.verify() if verify else None
    if out is not None:
        conversion.save(out, overwrite=outputs.forced())
    if step is not None:
        _save_step(conversion, step, dt)
    if as_json:
        emit(_plain(conversion, verification, out, step))
        return
    tell(str(conversion.trace))
    neurons, guarantee = conversion.network.n_neurons, conversion.trace.guarantee
    tell(f"\n{neurons:,} neurons; the network is {guarantee}, as the weakest of its layers.")
    if verification is not None:
        tell(f"Verified: {verification}.")
    if out is not None:
        tell(f"Saved as {out}")
    if step is not None:
        tell(f"One time step saved as {step}")


def _save_step(conversion: Conversion, path: Path, dt: float) -> None:
    from spikewright.exchange.onnx import save_step  # late: it imports onnx

    save_step(conversion, path, dt=dt, spikes=True, overwrite=outputs.forced())


def _plain(
    conversion: Conversion, verification: Verification | None, out: Path | None, step: Path | None
) -> dict[str, Any]:
    return {
        "neurons": conversion.network.n_neurons,
        "inputs": {name: list(node.shape_out) for name, node in conversion.inputs.items()},
        "outputs": list(conversion.outputs),
        "guarantee": conversion.trace.guarantee,
        "trace": [asdict(entry) for entry in conversion.trace],
        "verification": None if verification is None else verification.as_dict(),
        "saved": None if out is None else str(out),
        "step": None if step is None else str(step),
    }
