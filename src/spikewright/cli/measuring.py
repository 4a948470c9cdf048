"""`spikewright run`, `evaluate` and `diagnose`: see those methods of `spikewright.Conversion`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypedDict

from spikewright._base.amounts import number
from spikewright._base.options import Option, whole
from spikewright.cli import files
from spikewright.cli.given import Given
from spikewright.cli.options import RunStepOptions, SampleOptions, command
from spikewright.cli.output import duration, print_parts, print_table, print_text, warnings_of
from spikewright.diagnosis.diagnosis import DiagnoseOptions
from spikewright.engines.settings import StepOptions
from spikewright.evaluation.settings import EvaluateOptions
from spikewright.measure import Evaluation, accuracy, activity, neuron_rates
from spikewright.measure.evaluation import KIND as EVALUATION
from spikewright.records import Record, select
from spikewright.report.tables import (
    accuracy_table,
    layer_table,
    powers_of_two,
)
from spikewright.running.inputs import EncodedOptions


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

    MODEL is a .keras, .h5, .onnx or .pt2 file, converted with the options given here (spiking
    without --rate), or a network that `spikewright convert -o` saved.
    """
    samples, conversion = given.samples, given.conversion
    result = conversion.run(samples.x, **given.settings)
    records = activity(result)
    if samples.y is not None:
        records += [accuracy(result, samples.y, readout) for readout in result.named_readouts]
    length = {"steps": result.steps, "dt": result.dt}
    if result.network_steps != result.steps:
        length["network_steps"] = result.network_steps
    about = {**length, **result.record}
    if given.paths["report"] is not None:
        measured_model = given.measured_model(run={**given.run, "steps": result.steps})
        path, rates = given.paths["report"], neuron_rates(result)
        measured_model.write(path, "Run", about, records=records, rates=rates, diagnosis=())
    lasts = duration(result.steps, result.dt, result.network_steps)
    title = f"{lasts}, {result.record['engine']} engine"
    given.answer_of_network(
        {
            "run": {**result.record, **length},
            "records": [record.as_dict() for record in records],
            "warnings": warnings_of(conversion),
        },
        lambda: _print_run(records, title),
    )


def _print_run(records: list[Record], title: str) -> None:
    if select(records, "accuracy"):
        print_table(accuracy_table(records, title))
    print_table(layer_table(records, title))
    total = [r for r in select(records, "spikes per sample") if "layer" not in r.how]
    for record in total:
        print_text(f"{number(record.value)} spikes per sample over {record.n} samples")


@command(
    files.model(),
    files.data("x, (samples, *shape), and perhaps y: labels, or targets"),
    files.out("as JSON here", EVALUATION),
    files.report,
    groups=(RunStepOptions, EvaluateOptions, SampleOptions),
    without=(),
    spiking=True,
)
def evaluate(given: Given) -> None:
    """Measure MODEL on a data set: accuracy at every step, accuracy lost, spikes and energy.

    MODEL is a .keras, .h5, .onnx or .pt2 file, converted with the options given here (spiking
    without --rate), or a network that `spikewright convert -o` saved. Results are the
    same with every executor, and after an interruption.
    """
    samples, settings = given.samples, given.settings
    steps = given.run["steps"]
    if given.paths["report"] is not None and steps is not None:
        settings["at"] = settings["at"] or powers_of_two(steps)
    found = given.conversion.evaluate(samples.x, samples.y, **settings)
    given.save(found)
    if given.paths["report"] is not None:
        rates, path = neuron_rates(found), given.paths["report"]
        about, records = found.settings, found.records
        given.measured_model().write(path, "Evaluation", about, records=records, rates=rates)
    document = {**found.as_dict(), "warnings": warnings_of(given.conversion)}
    given.answer_of_network(document, lambda: _print_evaluation(found, given.paths["out"]))


def _print_evaluation(found: Evaluation, out: Path | None) -> None:
    print_parts(found.parts())
    if out is not None:
        print_text(f"Saved as {out}")


@command(
    files.model(),
    files.data("x, (samples, *shape), and perhaps y: labels, or targets"),
    files.report,
    groups=(RunStepOptions, DiagnoseOptions, SampleOptions),
    without=(),
    spiking=True,
)
def diagnose(given: Given) -> None:
    """Print the accuracy that each layer of MODEL loses, and changes that would help.

    MODEL is a .keras, .h5, .onnx or .pt2 file, converted with the options given here (spiking
    without --rate), or a network that `spikewright convert -o` saved. Some hundred samples are
    enough.
    """
    samples = given.samples
    found = given.conversion.diagnose(samples.x, samples.y, **given.settings)
    if given.paths["report"] is not None:
        facts = {"samples": found.samples, **given.run}
        given.measured_model().write(
            given.paths["report"], "Diagnosis", facts, diagnosis=found.records
        )
    given.answer_of_network(found.as_dict(), lambda: print_text(str(found)))
