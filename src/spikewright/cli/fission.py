"""`spikewright fission`: see `Conversion.fission`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spikewright.choosing.correction import looks_at_data
from spikewright.choosing.rules import MinimumError
from spikewright.cli import options, outputs
from spikewright.cli.opening import is_model, open_conversion
from spikewright.cli.output import emit, tell
from spikewright.cli.samples import load_samples


@click.command()
@options.model
@options.data("x, (samples, *shape)")
@options.steps("Steps in which rounding is to cost less.", required=True)
@click.option(
    "--extra", type=float, default=0.5, show_default=True,
    help="Neurons that are added for each one, at most.",
)  # fmt: skip
@outputs.out("the network here", required=True)
@outputs.force
@options.limit
@options.dt
@options.conversion_but("calibration", "fission")
@options.as_json
def fission(
    model: Path,
    data: Path,
    steps: int,
    extra: float,
    limit: int | None,
    out: Path,
    dt: float,
    choices: dict[str, Any],
    as_json: bool,
) -> None:
    """Split neurons of MODEL that round badly into several, for few steps with few spikes each.

    MODEL is a .keras, .h5, .onnx or .pt2 file, or a network that was saved here. It needs a cap on
    spikes a step. Of a model thresholds are those of smallest error at so many steps, unless
    --scale says otherwise; rules and corrections are measured on the data. Prints the channels that
    became several.
    """
    samples = load_samples(data, limit)
    if is_model(model):
        rule = MinimumError(steps, dt=dt)
        choices = {"spiking": True, "scale_firing_rates": rule, **choices}
    if looks_at_data(choices):
        choices["calibration"] = samples.x
    conversion = open_conversion(model, choices)
    made = conversion.fission(samples.x, steps=steps, extra=extra, dt=dt)
    made.save(out, overwrite=outputs.forced())
    before, after = (_neurons(one) for one in (conversion, made))
    told = [entry for entry in made.trace if entry.stage == "fission"]
    if as_json:
        layers = {entry.layer: entry.text for entry in told}
        emit({"layers": layers, "neurons": {"before": before, "after": after}, "saved": str(out)})
        return
    for entry in told:
        tell(f"{entry.layer}: {entry.text}")
    tell(f"{before} neurons before, {after} now")
    tell(f"Saved as {out}")


def _neurons(conversion: Any) -> int:
    return sum(ensemble.n_neurons for ensemble in conversion.populations().values())
