"""`spikewright evaluate`: see `spikewright.Conversion.evaluate`."""

from __future__ import annotations

from pathlib import Path

from spikewright._base.amounts import number
from spikewright.cli import files
from spikewright.cli.given import Given
from spikewright.cli.options import RunStepOptions, SampleOptions, command
from spikewright.cli.output import duration, show, tell, warnings_of
from spikewright.evaluation.settings import EvaluateOptions
from spikewright.measure import Evaluation, neuron_rates
from spikewright.measure.activity import BITS
from spikewright.measure.evaluation import KIND as EVALUATION
from spikewright.records import select
from spikewright.report.tables import (
    early_exit_table,
    energy_table,
    layer_table,
    over_time_table,
    powers_of_two,
)


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
    """Measure MODEL on a data set: accuracy at every step, its loss, spikes, energy.

    MODEL is a .keras, .h5, .onnx or .pt2 file, converted as the options say and spiking unless they
    say --rate, or a network that `spikewright convert -o` saved. Results are the same wherever the
    work is done, and after an interruption.
    """
    samples, settings = given.samples, given.settings
    if given.paths["report"] is not None:
        settings["at"] = settings["at"] or powers_of_two(settings["steps"])
    found = given.conversion.evaluate(samples.x, samples.y, **settings)
    given.save(found)
    if given.paths["report"] is not None:
        rates, path = neuron_rates(found), given.paths["report"]
        about, records = found.settings, found.records
        given.subject().write(path, "Evaluation", about, records=records, rates=rates)
    document = {**found.as_dict(), "warnings": warnings_of(given.conversion)}
    given.answer_of_network(document, lambda: _print(found, given.paths["out"]))


def _print(found: Evaluation, out: Path | None) -> None:
    steps = found.settings["steps"]
    title = f"{found.settings['samples']} samples, {duration(steps, found.settings['dt'])}"
    show(over_time_table(found.records, powers_of_two(steps), title))
    if select(found.records, "early exit steps"):
        show(early_exit_table(found.records, "Leaving early"))
    last = [record for record in found.records if record.how.get("steps") == steps]
    show(layer_table(last, f"Layers after step {steps}"))
    for record in found.records:
        ends = record.how.get("steps", steps) == steps
        if ends and record.name.startswith(("source ", "rounded ")):
            output = f" of {record.how['output']}" if "output" in record.how else ""
            value = f"{record.value:.2%}" if record.unit == "fraction" else number(record.value)
            tell(f"{record.name}{output} {value}")
    for name in ("spikes per sample", "spikes per active neuron", BITS):
        for record in select(last, name, layer=None):
            tell(f"{number(record.value)} {name}")
    if select(last, "energy"):
        show(energy_table(last, "Energy per sample"))
    if out is not None:
        tell(f"Saved as {out}")
