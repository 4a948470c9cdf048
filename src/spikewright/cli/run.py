"""`spikewright run`: see `spikewright.Conversion.run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from spikewright._base.amounts import number
from spikewright.cli import options, outputs
from spikewright.cli.opening import open_conversion
from spikewright.cli.output import duration, emit, show, tell, warnings_of
from spikewright.cli.reporting import Subject, report_option, write_report
from spikewright.cli.samples import load_samples
from spikewright.engines import Precision
from spikewright.measure import accuracy, activity, neuron_rates
from spikewright.measure.readout import named
from spikewright.records import Record, select
from spikewright.report.tables import accuracy_table, layer_table
from spikewright.running.encoders import Encoder


@click.command()
@options.model
@options.data("x, (samples, *shape) or (samples, steps, *shape), and perhaps labels y")
@options.steps("Time steps for each sample; needed where x has no time axis.")
@options.dt
@options.encoder
@options.sampled
@options.precision
@report_option
@outputs.force
@options.conversion
@options.as_json
def run(
    model: Path,
    data: Path,
    steps: int | None,
    dt: float,
    encoder: Encoder | dict[str, Encoder] | None,
    limit: int | None,
    seed: int,
    engine: str,
    precision: Precision,
    report: Path | None,
    choices: dict[str, Any],
    as_json: bool,
) -> None:
    """Run MODEL on data and print accuracy, firing rates and spikes.

    MODEL is a .keras, .h5, .onnx or .pt2 file, or a network that `spikewright convert -o` saved;
    either is converted as the options say.
    """
    samples = load_samples(data, limit)
    conversion = open_conversion(model, choices)
    result = conversion.run(
        samples.x, steps, dt, seed=seed, engine=engine, precision=precision, encoder=encoder
    )
    records = activity(result)
    if samples.y is not None:
        records += [accuracy(result, samples.y, readout) for readout in sorted(named())]
    if report is not None:
        subject = Subject(model, data, conversion, choices, samples)
        write_report(
            report,
            subject,
            "Run",
            {"steps": result.steps, "dt": dt, **result.record},
            records=records,
            rates=neuron_rates(result),
            raster=subject.raster(result.steps, dt, seed, engine) if encoder is None else None,
        )
    if as_json:
        emit(
            {
                "run": {**result.record, "steps": result.steps, "dt": result.dt},
                "records": [record.as_dict() for record in records],
                "warnings": warnings_of(conversion),
            }
        )
        return
    _print(records, f"{duration(result.steps, dt)}, {result.record['engine']} engine")


def _print(records: list[Record], title: str) -> None:
    if select(records, "accuracy"):
        show(accuracy_table(records, title))
    show(layer_table(records, title))
    total = [r for r in select(records, "spikes per sample") if "layer" not in r.how]
    for record in total:
        tell(f"{number(record.value)} spikes per sample over {record.n} samples")
