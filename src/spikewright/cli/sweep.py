"""`spikewright sweep`: see `spikewright.sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import click

from spikewright._base.options import Option, number
from spikewright.choosing.search.choice import Minimise
from spikewright.cli import files
from spikewright.cli.options import SampleOptions, command, in_steps_of
from spikewright.cli.output import emit, say, show, tell
from spikewright.cli.reporting import Subject, diagnosed, write_report
from spikewright.cli.samples import load_samples
from spikewright.cli.texts import FORMS
from spikewright.conversion.pipeline import convert
from spikewright.engines.settings import StepOptions
from spikewright.evaluation.sweeping import SCALES, STEPS, Sweep
from spikewright.evaluation.sweeping import sweep as library
from spikewright.executors.options import KeptOptions
from spikewright.measure import neuron_rates
from spikewright.records import DEFAULT_TABLE, select, worths
from spikewright.report import figures
from spikewright.report.over_time import powers_of_two
from spikewright.report.sweeps import rates_table
from spikewright.report.tables import shown
from spikewright.running.options import EncodedOptions


class SweepOptions(EncodedOptions, KeptOptions, StepOptions, total=False):
    """Options of a sweep."""

    scales: Annotated[Any, Option(SCALES, "Firing-rate scales, and rules for them.")]
    synapse: Annotated[Any, Option(None, "Filters on what leaves neurons, one or several.")]
    steps: Annotated[Any, Option(STEPS, "Steps after which outputs are read, one or several.")]
    within: Annotated[
        float,
        Option(
            0.01,
            "The largest loss of the cheapest setting against the source: 0.01 is a point.",
            number(least=0.0),
        ),
    ]
    minimise: Annotated[Minimise, Option("spikes", "The cost to minimise.")]
    energy_table: Annotated[str, Option(DEFAULT_TABLE, "The cost table of energies.")]


class _Options(SweepOptions, SampleOptions, total=False):
    pass


_FORMS = {"synapse": FORMS["several synapses"], "steps": FORMS["several steps"]}


def _check_picture(path: Path, *, overwrite: bool) -> None:
    """Raise where no picture is drawn, or where it or its data would replace another file."""
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise click.BadParameter(f"{path} ends in none of .png, .svg and .pdf")
    figures.check_picture(path, figures.SweepInfo.columns, overwrite=overwrite)


@command(
    files.model(),
    files.data("x, (samples, *shape), and perhaps y: labels, or targets"),
    files.written(
        "Draw it here (.png, .svg, .pdf), with its data beside it as CSV.",
        files.OutputPath(_check_picture),
        "--picture",
    ),
    files.report,
    files.force,
    group=_Options,
    forms=_FORMS,
    without=("spiking", "neurons", "scale_firing_rates", "sequence_step"),
)
def sweep(
    model: Path,
    data: Path,
    picture: Path | None,
    report: Path | None,
    choices: dict[str, Any],
    limit: int | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Measure MODEL at several firing-rate scales: accuracy, rates, spikes, energy, latency.

    MODEL is a .keras, .h5, .onnx or .pt2 file. Every scale is run with every synapse, for the most
    of the steps, and read after each of them; settings that fail are listed with their reason. Ends
    with the cheapest setting near the source, and the call of sw.convert that makes it.
    """
    samples = load_samples(data, limit)
    settings["scales"] = [in_steps_of(settings["dt"], scale) for scale in settings["scales"]]
    found = library(model, samples.x, samples.y, **settings, **choices)
    if picture is not None:
        info = figures.sweep_info(found.records)
        figures.save(figures.draw(info), info, picture, overwrite=files.forced())
        tell(f"Picture: {picture}", err=True)
    if report is not None:
        example = choices.get("example_input")
        made = convert(model, example_input=example, **found.shown.tried.resolved)
        _write(report, Subject(model, data, made, {}, samples), found, settings)
    if as_json:
        emit(found.as_dict())
        return
    _print(found, model)


def _write(path: Path, subject: Subject, found: Sweep, settings: dict[str, Any]) -> None:
    """The page: every setting, and the best (or nearest) one in detail, which is run once more."""
    reading, given = found.shown, found.settings
    run = {"steps": reading.steps, "dt": reading.dt, "seed": given["seed"]}
    run["engine"] = given["engine"]
    held = given["encoder"] is None
    more = {name: settings[name] for name in ("encoder", "precision", "batch_size", "threads")}
    x, y = subject.samples.x, subject.samples.y
    evaluation = subject.conversion.evaluate(x, y, **run, at=powers_of_two(reading.steps), **more)
    write_report(
        path,
        subject,
        "Sweep",
        {"shown in detail": reading.name, **evaluation.settings},
        python=found.call_of(reading),
        summary=found.conclusion,
        records=evaluation.records,
        sweep=found.records,
        search=found.trade_off,
        rates=neuron_rates(evaluation),
        diagnosis=diagnosed(subject, **run) if held else (),
        raster=subject.raster(**run) if held else None,
    )


def _print(found: Sweep, model: Path) -> None:
    given = found.settings
    source = [
        f"source {r.name.removeprefix('source ')} {shown(worth)(r.value)}"
        for worth in worths(found.records)[:1]
        for r in select(found.records, f"source {worth.name}")
    ]
    samples = f"{model.name} on {given['samples']} samples, steps of {1000 * given['dt']:g} ms"
    show(found.table(", ".join([samples, *source])))
    steps = max(given["at"])
    rates = rates_table(found.records, steps, f"Mean firing rates in Hz, after {steps} steps")
    if rates is not None:
        show(rates)
    for name, reason in found.failed.items():
        say(f"failed: {name}: {reason}\n")
    say(f"{found.conclusion}\n")
    if found.call:
        tell(found.call)
