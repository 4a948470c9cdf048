"""`spikewright sweep`: see `spikewright.sweep`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from spikewright.cli import files
from spikewright.cli.option_texts import FORMS
from spikewright.cli.options import SampleOptions, command, in_steps_of
from spikewright.cli.output import emit, say, show, tell
from spikewright.cli.reporting import Subject, diagnosed, write_report
from spikewright.cli.samples import load_samples
from spikewright.measure import neuron_rates
from spikewright.records import select, worths
from spikewright.report import figures
from spikewright.report.sweeps import rates_table
from spikewright.report.tables import powers_of_two, shown
from spikewright.study.grid.sweep import sweep as library
from spikewright.study.options import SweepOptions
from spikewright.study.result import StudyResult


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
    without=("spiking", "scale_firing_rates", "sequence_step"),
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
        made = found.shown.conversion
        _write(report, Subject(model, data, made, {}, samples), found, settings)
    if as_json:
        emit(found.as_dict())
        return
    _print(found, model)


def _write(path: Path, subject: Subject, found: StudyResult, settings: dict[str, Any]) -> None:
    """The page: every setting, and the best (or nearest) one in detail, which is run once more."""
    point, given = found.shown, found.facts
    run = {"steps": point.steps, "dt": point.dt, "seed": given["seed"]}
    run["engine"] = given["engine"]
    held = given["encoder"] is None
    more = {name: settings[name] for name in ("encoder", "precision", "batch_size", "threads")}
    x, y = subject.samples.x, subject.samples.y
    evaluation = subject.conversion.evaluate(x, y, **run, at=powers_of_two(point.steps), **more)
    write_report(
        path,
        subject,
        "Sweep",
        {"shown in detail": point.name, **evaluation.settings},
        python=point.call,
        summary=found.conclusion,
        records=evaluation.records,
        sweep=found.records,
        search=found.trade_off,
        rates=neuron_rates(evaluation),
        diagnosis=diagnosed(subject, **run) if held else (),
        raster=subject.raster(**run) if held else None,
    )


def _print(found: StudyResult, model: Path) -> None:
    given = found.facts
    source = [
        f"source {r.name.removeprefix('source ')} {shown(worth)(r.value)}"
        for worth in worths(found.records)[:1]
        for r in select(found.records, f"source {worth.name}")
    ]
    samples = f"{model.name} on {given['samples']} samples, steps of {1000 * given['dt']:g} ms"
    show(replace(found.table, title=", ".join([samples, *source])))
    steps = max(given["at"])
    rates = rates_table(found.records, steps, f"Mean firing rates in Hz, after {steps} steps")
    if rates is not None:
        show(rates)
    for name, reason in found.failed.items():
        say(f"failed: {name}: {reason}\n")
    say(f"{found.conclusion}\n")
    if found.call:
        tell(found.call)
