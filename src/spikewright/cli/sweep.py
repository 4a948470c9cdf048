"""`spikewright sweep`: see `spikewright.sweep`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from spikewright.cli import files
from spikewright.cli.given import Given
from spikewright.cli.option_texts import SEVERAL
from spikewright.cli.options import SampleOptions, command, in_steps_of
from spikewright.cli.output import say, show, tell
from spikewright.measure import neuron_rates
from spikewright.records import select, worths
from spikewright.report import figures
from spikewright.report.sweeps import rates_table
from spikewright.report.tables import shown
from spikewright.study.options import SweepOptions
from spikewright.study.result import StudyResult
from spikewright.study.sweep import sweep as library


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
        _check_picture,
        "--picture",
    ),
    files.report,
    groups=(SweepOptions, SampleOptions),
    forms=SEVERAL,
    without=("spiking", "scale_firing_rates", "sequence_step"),
)
def sweep(given: Given) -> None:
    """Measure MODEL at several firing-rate scales: accuracy, rates, spikes, energy, latency.

    MODEL is a .keras, .h5, .onnx or .pt2 file. Every scale is run with every synapse, for the most
    of the steps, and read after each of them; settings that fail are listed with their reason. Ends
    with the cheapest setting near the source, and the call of sw.convert that makes it.
    """
    samples, settings = given.samples, given.settings
    settings["scales"] = [in_steps_of(settings["dt"], scale) for scale in settings["scales"]]
    found = library(given.model, samples.x, samples.y, **settings, **given.choices)
    if given.paths["picture"] is not None:
        info = figures.sweep_info(found.records)
        drawn = figures.draw(info)
        figures.save(drawn, info, given.paths["picture"], overwrite=files.forced())
        tell(f"Picture: {given.paths['picture']}", err=True)
    if given.paths["report"] is not None:
        _write(given, found)
    given.answer(found.as_dict(), lambda: _print(found, given.model))


def _write(given: Given, found: StudyResult) -> None:
    """The page: every setting, and the best (or nearest) one in detail, which is run once more."""
    point, told = found.shown, found.facts
    run = {"steps": point.steps, "dt": point.dt, "seed": told["seed"], "engine": told["engine"]}
    subject = given.subject(conversion=point.conversion, run=run, choices={})
    how = ("encoder", "precision", "batch_size", "threads")
    evaluation = subject.measured(None, **{name: given.settings[name] for name in how})
    subject.write(
        given.paths["report"],
        "Sweep",
        {"shown in detail": point.name, **evaluation.settings},
        point.call,
        summary=found.conclusion,
        records=evaluation.records,
        sweep=found.records,
        search=found.trade_off,
        rates=neuron_rates(evaluation),
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
