"""`spikewright reconstruct`: see `Conversion.reconstruct`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spikewright.cli import options, outputs
from spikewright.cli.opening import is_model, open_conversion
from spikewright.cli.output import emit, tell
from spikewright.cli.samples import load_samples


@click.command()
@options.model
@options.data("x, (samples, *shape)")
@options.steps("Steps of the run that it is fitted to.", required=True)
@click.option(
    "--timeout", type=float, default=300.0, show_default=True, help="Seconds after which it ends."
)
@options.thresholds
@options.frozen
@options.epochs(1000)
@options.learning_rate(1e-3, "Of biases; thresholds and starts learn faster.")
@options.training_batch
@options.device
@outputs.out("the network here", required=True)
@outputs.force
@options.limit
@options.seed
@options.dt
@options.conversion_but(
    "scale_firing_rates", "calibration", "bias_correction", "initial_voltage", "fission"
)
@options.as_json
def reconstruct(
    model: Path,
    data: Path,
    limit: int | None,
    out: Path,
    choices: dict[str, Any],
    as_json: bool,
    **settings: Any,
) -> None:
    """Fit biases, thresholds and starts of MODEL to few steps, without labels; weights stay.

    MODEL is a .keras, .h5, .onnx or .pt2 file, or a network that was saved here. Prints what became
    of each layer.
    """
    options.check_thresholds(settings["thresholds"], model)
    samples = load_samples(data, limit)
    spikes = {"spiking": True} if is_model(model) else {}
    conversion = open_conversion(model, {**spikes, **choices})
    made = conversion.reconstruct(samples.x, **settings)
    made.save(out, overwrite=outputs.forced())
    told = [entry for entry in made.trace if entry.stage == "reconstruct"]
    if as_json:
        emit({"layers": {e.layer: e.text for e in told}, "saved": str(out)})
        return
    for entry in told:
        tell(f"{entry.layer}: {entry.text}")
    tell(f"Saved as {out}")
