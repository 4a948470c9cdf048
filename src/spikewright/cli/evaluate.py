"""`spikewright evaluate`: see `spikewright.Conversion.evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spikewright._base.amounts import number
from spikewright.cli import files
from spikewright.cli.opening import open_conversion
from spikewright.cli.options import RunStepOptions, SampleOptions, command
from spikewright.cli.output import (
    duration,
    emit,
    introduce,
    network_of,
    show,
    tell,
    warnings_of,
)
from spikewright.cli.reporting import Subject, diagnosed, write_report
from spikewright.cli.samples import load_samples
from spikewright.evaluation import EvaluateOptions
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


class _Options(RunStepOptions, SampleOptions, EvaluateOptions, total=False):
    pass


@command(
    files.model(),
    files.data("x, (samples, *shape), and perhaps y: labels, or targets"),
    files.out("as JSON here", EVALUATION),
    files.report,
    files.force,
    group=_Options,
    without=(),
    spiking=True,
)
def evaluate(
    model: Path,
    data: Path,
    out: Path | None,
    report: Path | None,
    choices: dict[str, Any],
    limit: int | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Measure MODEL on a data set: accuracy at every step, its loss, spikes, energy.

    MODEL is a .keras, .h5, .onnx or .pt2 file, converted as the options say and spiking unless they
    say --rate, or a network that `spikewright convert -o` saved. Results are the same wherever the
    work is done, and after an interruption.
    """
    samples = load_samples(data, limit)
    conversion = open_conversion(model, choices, spiking=True)
    if report is not None:
        settings["at"] = settings["at"] or powers_of_two(settings["steps"])
    found = conversion.evaluate(samples.x, samples.y, **settings)
    if out is not None:
        found.save(out, overwrite=files.forced())
    if report is not None:
        _write(report, Subject(model, data, conversion, choices, samples), found, settings)
    if as_json:
        network, warnings = network_of(conversion), warnings_of(conversion)
        emit({"network": network, **found.as_dict(), "warnings": warnings})
        return
    introduce(conversion, model.name)
    _print(found)
    if out is not None:
        tell(f"Saved as {out}")


def _write(path: Path, subject: Subject, found: Evaluation, settings: dict[str, Any]) -> None:
    """The page, with a diagnosis and one sample where values are held."""
    run = {name: settings[name] for name in ("steps", "dt", "seed", "engine")}
    held = found.settings["encoder"] is None
    write_report(
        path,
        subject,
        "Evaluation",
        found.settings,
        records=found.records,
        rates=neuron_rates(found),
        diagnosis=diagnosed(subject, **run) if held else (),
        raster=subject.raster(**run) if held else None,
    )


def _print(found: Evaluation) -> None:
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
