"""`spikewright sweep`: see `spikewright.sweep`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from spikewright.choosing.rules.text import is_rule
from spikewright.cli import options, outputs
from spikewright.cli.output import emit, say, show, tell
from spikewright.cli.reporting import Subject, diagnosed, report_option, write_report
from spikewright.cli.samples import load_samples
from spikewright.measure import neuron_rates
from spikewright.records import select, worths
from spikewright.report import figures
from spikewright.report.over_time import powers_of_two
from spikewright.report.sweeps import rates_table
from spikewright.report.tables import shown
from spikewright.study.grid.sweep import SCALES, STEPS
from spikewright.study.grid.sweep import sweep as library
from spikewright.study.result import StudyResult

_OWN = ("spiking", "scale_firing_rates", "synapse", "sequence_step")


def _several(what: str, of: Callable[[str], Any], default: Any) -> Callable[..., Any]:
    """A callback that reads values between commas, of an option that may be repeated."""

    def callback(ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> Any:
        texts = [part for text in given for part in ([text] if is_rule(text) else text.split(","))]
        try:
            return [of(text.strip()) for text in texts] or default
        except ValueError as error:
            raise click.BadParameter(f"{error}; give {what}, or several with commas") from error

    return callback


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is not a whole number from 1")
    return int(text)


def _check_picture(path: Path, *, overwrite: bool) -> None:
    """Raise where no picture is drawn, or where it or its data would replace another file."""
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise click.BadParameter(f"{path} ends in none of .png, .svg and .pdf")
    figures.check_picture(path, figures.SweepInfo.columns, overwrite=overwrite)


@click.command()
@options.model
@options.data("x, (samples, *shape), and perhaps y: labels, or targets")
@click.option(
    "--scale",
    "scales",
    multiple=True,
    metavar="SCALE,...",
    callback=_several("a scale", options.scale_of, list(SCALES)),
    help="Firing-rate scales, such as 1,2,5,10,50 (default); repeat it for rules, such as "
    "minimum-error:8.",
)
@click.option(
    "--synapse",
    multiple=True,
    metavar="TAU,...",
    callback=_several("a time constant", options.synapse_of, [None]),
    help="Time constants in seconds of a lowpass filter on what leaves neurons, such as none,0.005 "
    "(default none).",
)
@click.option(
    "--steps",
    multiple=True,
    metavar="STEPS,...",
    callback=_several("a number of steps", _whole, list(STEPS)),
    help="Steps after which outputs are read, such as 8,16,30 (default 1,2,4,8,16,32).",
)
@click.option(
    "--within",
    type=click.FloatRange(min=0),
    default=0.01,
    show_default=True,
    help="The largest loss of the cheapest setting against the source: 0.01 is a point.",
)
@options.minimise
@options.energy_table
@options.dt
@options.sharded
@click.option(
    "--picture",
    type=outputs.OutputPath(_check_picture),
    help="Draw it here (.png, .svg, .pdf), with its data beside it as CSV.",
)
@report_option
@outputs.force
@options.conversion_but(*_OWN)
@options.as_json
def sweep(
    model: Path,
    data: Path,
    limit: int | None,
    scales: list[Any],
    dt: float,
    picture: Path | None,
    report: Path | None,
    choices: dict[str, Any],
    as_json: bool,
    **settings: Any,
) -> None:
    """Measure MODEL at several firing-rate scales: accuracy, rates, spikes, energy, latency.

    MODEL is a .keras, .h5, .onnx or .pt2 file. Every scale is run with every synapse, for the most
    of the steps, and read after each of them; settings that fail are listed with their reason. Ends
    with the cheapest setting near the source, and the call of sw.convert that makes it.
    """
    samples = load_samples(data, limit)
    scales = [options.in_steps_of(dt, scale) for scale in scales]
    found = library(model, samples.x, samples.y, scales=scales, dt=dt, **settings, **choices)
    if picture is not None:
        info = figures.sweep_info(found.records)
        figures.save(figures.draw(info), info, picture, overwrite=outputs.forced())
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
