"""`spikewright run`: see `spikewright.Conversion.run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from spikewright._base.amounts import number
from spikewright._base.options import Option, whole
from spikewright.cli import files
from spikewright.cli.opening import open_conversion
from spikewright.cli.options import SampleOptions, command
from spikewright.cli.output import (
    duration,
    emit,
    introduce,
    network_of,
    show,
    tell,
    warnings_of,
)
from spikewright.cli.reporting import Subject, write_report
from spikewright.cli.samples import load_samples
from spikewright.engines.settings import StepOptions
from spikewright.measure import accuracy, activity, neuron_rates
from spikewright.measure.readout import named
from spikewright.records import Record, select
from spikewright.report.tables import accuracy_table, layer_table
from spikewright.running.encoding import EncodedOptions


class _Options(StepOptions, SampleOptions, EncodedOptions, total=False):
    steps: Annotated[
        int | None,
        Option(None, "Time steps for each sample; needed where x has no time axis.", whole(1)),
    ]


@command(
    files.model(),
    files.data("x, (samples, *shape) or (samples, steps, *shape), and perhaps labels y"),
    files.report,
    files.force,
    group=_Options,
    without=(),
    spiking=True,
)
def run(
    model: Path,
    data: Path,
    report: Path | None,
    choices: dict[str, Any],
    limit: int | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Run MODEL on data and print accuracy, firing rates and spikes.

    MODEL is a .keras, .h5, .onnx or .pt2 file, converted as the options say and spiking unless they
    say --rate, or a network that `spikewright convert -o` saved.
    """
    samples = load_samples(data, limit)
    conversion = open_conversion(model, choices, spiking=True)
    result = conversion.run(samples.x, **settings)
    records = activity(result)
    if samples.y is not None:
        records += [accuracy(result, samples.y, readout) for readout in sorted(named())]
    if report is not None:
        subject = Subject(model, data, conversion, choices, samples)
        again = {"steps": result.steps, **{n: settings[n] for n in ("dt", "seed", "engine")}}
        write_report(
            report,
            subject,
            "Run",
            {"steps": result.steps, "dt": result.dt, **result.record},
            records=records,
            rates=neuron_rates(result),
            raster=subject.raster(**again) if settings["encoder"] is None else None,
        )
    if as_json:
        emit(
            {
                "network": network_of(conversion),
                "run": {**result.record, "steps": result.steps, "dt": result.dt},
                "records": [record.as_dict() for record in records],
                "warnings": warnings_of(conversion),
            }
        )
        return
    introduce(conversion, model.name)
    _print(records, f"{duration(result.steps, result.dt)}, {result.record['engine']} engine")


def _print(records: list[Record], title: str) -> None:
    if select(records, "accuracy"):
        show(accuracy_table(records, title))
    show(layer_table(records, title))
    total = [r for r in select(records, "spikes per sample") if "layer" not in r.how]
    for record in total:
        tell(f"{number(record.value)} spikes per sample over {record.n} samples")
