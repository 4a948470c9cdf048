"""`spikewright diagnose`: see `spikewright.Conversion.diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spikewright.cli import options, outputs
from spikewright.cli.opening import is_model, open_conversion
from spikewright.cli.output import emit, tell
from spikewright.cli.reporting import Subject, report_option, write_report
from spikewright.cli.samples import load_samples


@click.command()
@options.model
@options.data("x, (samples, *shape), and perhaps y: labels, or targets")
@options.steps("Time steps for each sample.", required=True)
@options.dt
@options.sampled
@click.option("--verify", is_flag=True, help="Run every change that is proposed, and measure it.")
@report_option
@outputs.force
@options.conversion
@options.as_json
def diagnose(
    model: Path,
    data: Path,
    steps: int,
    dt: float,
    limit: int | None,
    seed: int,
    engine: str,
    verify: bool,
    report: Path | None,
    choices: dict[str, Any],
    as_json: bool,
) -> None:
    """Print the losses of accuracy of MODEL, layer by layer, and changes against them.

    MODEL is a .keras, .h5, .onnx or .pt2 file, spiking unless the options say --rate, or a network
    that `spikewright convert -o` saved; either is converted as the options say. Some hundred
    samples are enough.
    """
    samples = load_samples(data, limit)
    if is_model(model):
        choices = {"spiking": True, **choices}
    conversion = open_conversion(model, choices)
    found = conversion.diagnose(
        samples.x, samples.y, steps, dt, verify=verify, seed=seed, engine=engine
    )
    if report is not None:
        subject = Subject(model, data, conversion, choices, samples)
        facts = {"samples": found.samples, "steps": steps, "dt": dt, "seed": seed, "engine": engine}
        write_report(
            report,
            subject,
            "Diagnosis",
            facts,
            diagnosis=found.records,
            raster=subject.raster(steps, dt, seed, engine),
        )
    if as_json:
        emit(found.as_dict())
    else:
        tell(str(found))
