"""`spikewright run`: see `spikewright.Conversion.run`."""

from __future__ import annotations

from typing import Annotated, TypedDict

from spikewright._base.amounts import number
from spikewright._base.options import Option, whole
from spikewright.cli import files
from spikewright.cli.given import Given
from spikewright.cli.options import SampleOptions, command
from spikewright.cli.output import duration, show, tell, warnings_of
from spikewright.engines.settings import StepOptions
from spikewright.measure import accuracy, activity, neuron_rates
from spikewright.measure.readout import named
from spikewright.records import Record, select
from spikewright.report.tables import accuracy_table, layer_table
from spikewright.running.encoding import EncodedOptions


class _LengthOptions(TypedDict, total=False):
    steps: Annotated[
        int | None,
        Option(None, "Time steps for each sample; needed where x has no time axis.", whole(1)),
    ]


@command(
    files.model(),
    files.data("x, (samples, *shape) or (samples, steps, *shape), and perhaps labels y"),
    files.report,
    groups=(_LengthOptions, StepOptions, EncodedOptions, SampleOptions),
    without=(),
    spiking=True,
)
def run(given: Given) -> None:
    """Run MODEL on data and print accuracy, firing rates and spikes.

    MODEL is a .keras, .h5, .onnx or .pt2 file, converted as the options say and spiking unless they
    say --rate, or a network that `spikewright convert -o` saved.
    """
    samples, conversion = given.samples, given.conversion
    result = conversion.run(samples.x, **given.settings)
    records = activity(result)
    if samples.y is not None:
        records += [accuracy(result, samples.y, readout) for readout in sorted(named())]
    about = {"steps": result.steps, "dt": result.dt, **result.record}
    if given.paths["report"] is not None:
        subject = given.subject(run={**given.run, "steps": result.steps})
        path, rates = given.paths["report"], neuron_rates(result)
        subject.write(path, "Run", about, records=records, rates=rates, diagnosis=())
    title = f"{duration(result.steps, result.dt)}, {result.record['engine']} engine"
    given.answer_of_network(
        {
            "run": {**result.record, "steps": result.steps, "dt": result.dt},
            "records": [record.as_dict() for record in records],
            "warnings": warnings_of(conversion),
        },
        lambda: _print(records, title),
    )


def _print(records: list[Record], title: str) -> None:
    if select(records, "accuracy"):
        show(accuracy_table(records, title))
    show(layer_table(records, title))
    total = [r for r in select(records, "spikes per sample") if "layer" not in r.how]
    for record in total:
        tell(f"{number(record.value)} spikes per sample over {record.n} samples")
