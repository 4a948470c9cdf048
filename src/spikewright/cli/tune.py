"""`spikewright tune`: see `spikewright.tune`."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from spikewright.cli import options, outputs
from spikewright.cli.output import duration, emit, say, show, tell
from spikewright.cli.reporting import Subject, diagnosed, report_option, write_report
from spikewright.cli.samples import Samples, load_samples
from spikewright.engines import Precision
from spikewright.measure import neuron_rates
from spikewright.report.over_time import powers_of_two
from spikewright.study.code import run_line
from spikewright.study.point import OperatingPoint
from spikewright.study.result import StudyResult
from spikewright.study.search.tune import tune as library

_SHOWN = 2000
"""Samples that a report's figures over time are of, at most."""


def _space(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> Any:
    """`NAME=JSON` texts as a dict; a list of two numbers may be a range."""
    found = {}
    for value in values:
        name, separator, text = value.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"give NAME=VALUE, got {value!r}")
        try:
            found[name] = json.loads(text)
        except json.JSONDecodeError:
            found[name] = text
    return found


@click.command()
@options.model
@options.data("x, (samples, *shape), and class labels y")
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    help="Samples held back, a file like --data (default: half of the data).",
)
@click.option(
    "--max-drop",
    type=float,
    default=0.005,
    show_default=True,
    help="Accuracy that may be lost, a fraction: 0.005 is half a point.",
)
@options.minimise
@options.energy_table
@click.option(
    "--timeout", type=float, default=300.0, show_default=True, help="Seconds for the whole search."
)
@click.option("--trials", type=click.IntRange(min=1), help="Trials in the study (default: many).")
@click.option(
    "--confidence", type=float, default=0.95, show_default=True, help="Of the certificate."
)
@click.option(
    "--searched",
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    help="Samples searched on, at most.",
)
@click.option(
    "--study",
    help="Keep the search here, a path (SQLite) or an Optuna URL, and go on from there; start the "
    "command several times for several workers.",
)
@click.option(
    "--space",
    multiple=True,
    callback=_space,
    metavar="NAME=VALUE",
    help="Restrict a parameter, such as max_spikes_per_step=1 or steps=[4,8]; repeat for more.",
)
@click.option(
    "--train",
    is_flag=True,
    help="Train the best setting for less than it costs, on the samples searched on.",
)
@click.option(
    "--train-data",
    type=click.Path(path_type=Path),
    help="Train it on these, a file like --data; without y it imitates MODEL.",
)
@options.trainable
@outputs.out("the chosen network here")
@options.dt
@options.sampled
@options.precision
@options.threads
@options.max_pool
@options.example_input
@options.outputs
@report_option
@outputs.force
@options.as_json
def tune(
    model: Path,
    data: Path,
    validation: Path | None,
    limit: int | None,
    precision: Precision,
    max_pool: Any,
    train: bool,
    train_data: Path | None,
    out: Path | None,
    report: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Search for the cheapest setting of MODEL that loses little accuracy.

    MODEL is a .keras, .h5, .onnx or .pt2 file. Prints the chosen setting, the costs of others, and
    the call of sw.convert that makes the network again.
    """
    if (train or train_data is not None) and out is None:
        raise click.UsageError("--train: weights that are trained need a place, -o FILE")
    samples = load_samples(data, limit)
    held = None if validation is None else load_samples(validation)
    if held is not None:
        settings["validation"] = (held.x, held.y)
    taught = None if train_data is None else load_samples(train_data)
    found = library(
        model,
        samples.x,
        samples.y,
        precision=precision,
        max_pool=max_pool or "gate",
        train=train if taught is None else (taught.x, taught.y),
        **settings,
    )
    best = found.shown
    if out is not None:
        best.conversion.save(out, overwrite=outputs.forced())
    if report is not None:
        shown = Shown(data, samples, searched=True)
        if validation is not None and held is not None:
            shown = Shown(validation, held, searched=False)
        subject = Subject(model, shown.data, best.conversion, {}, shown.samples)
        _write(report, subject, shown, found, settings, _lines(best, out))
    if as_json:
        emit(found.as_dict())
        return
    steps = duration(best.steps, best.dt)
    lost = f"at most {100 * (found.limit or 0.0):g} points may be lost; the best runs {steps}"
    show(replace(found.table, title=f"{found.facts['held_back']} held-back samples, {lost}"))
    say(f"{found.conclusion}\n")
    for reason, count in found.facts["failures"].items():
        say(f"{count} x failed: {reason}")
    say(
        f"Searched on {found.facts['searched_on']} samples; trials: {_trials(found)}. To make the "
        "network again:\n"
    )
    tell(_lines(best, out))
    if out is not None:
        say(f"\nSaved as {out}")


def _trials(found: StudyResult) -> str:
    """The trials by state."""
    return ", ".join(f"{n} {state.lower()}" for state, n in found.facts["trials"].items())


def _lines(best: OperatingPoint, out: Path | None) -> str:
    """The code that makes the network again and reads it out."""
    if best.training is None:
        return best.call
    run = run_line(best.steps, best.dt, best.readout)
    return f"import spikewright as sw\nconversion = sw.Conversion.load({str(out)!r})\n{run}"


@dataclass(frozen=True)
class Shown:
    """Samples that the page shows the choice on; `searched` where it was chosen by some of them."""

    data: Path
    samples: Samples
    searched: bool


def _write(
    path: Path,
    subject: Subject,
    shown: Shown,
    found: StudyResult,
    settings: dict[str, Any],
    code: str,
) -> None:
    """The page: the search, the held-back check, and the choice's results over time."""
    best = found.shown
    run = {**best.run, "seed": settings["seed"], "engine": settings["engine"]}
    x, y = subject.first(_SHOWN)
    evaluation = subject.conversion.evaluate(
        x,
        y,
        **run,
        at=powers_of_two(best.steps),
        readouts=(best.readout,),
        threads=settings["threads"],
        progress=False,
    )
    among = ", some of which were searched on" if shown.searched else ""
    facts = {
        **run,
        "readout": best.readout,
        "searched on": found.facts["searched_on"],
        "held back": found.facts["held_back"],
        "trials": _trials(found),
        "figures over time": f"{len(x)} samples of {shown.data.name}{among}",
    }
    write_report(
        path,
        subject,
        "Search",
        facts,
        python=code,
        summary=found.conclusion,
        search=found.records,
        records=evaluation.records,
        rates=neuron_rates(evaluation),
        diagnosis=diagnosed(subject, **run),
        raster=subject.raster(**run),
    )
