"""`spikewright tune`: see `spikewright.tune`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from spikewright._base.options import options_of
from spikewright.cli import files
from spikewright.cli.options import SampleOptions, command
from spikewright.cli.output import duration, emit, say, show, tell
from spikewright.cli.reporting import Subject, diagnosed, write_report
from spikewright.cli.samples import Samples, load_samples
from spikewright.conversion.options import SpikeOptions
from spikewright.measure import neuron_rates
from spikewright.report.tables import powers_of_two
from spikewright.study.options import TuneOptions
from spikewright.study.point import OperatingPoint
from spikewright.study.programs import ProgramWriter
from spikewright.study.result import StudyResult
from spikewright.study.search.tune import tune as library

_SHOWN = 2000
"""Samples that a report's figures over time are of, at most."""


class _Options(TuneOptions, SampleOptions, total=False):
    pass


_LEFT_OUT = {*options_of(SpikeOptions), "sequence_step", "neurons", "chip"}


@command(
    files.model(),
    files.data("x, (samples, *shape), and class labels y"),
    files.read(
        "--validation", "Samples held back, a file like --data (default: half of the data)."
    ),
    files.read(
        "--train-data", "Train it on these, a file like --data; without y it imitates MODEL."
    ),
    files.out("the chosen network here"),
    files.report,
    files.force,
    group=_Options,
    without=_LEFT_OUT,
)
def tune(
    model: Path,
    data: Path,
    validation: Path | None,
    train_data: Path | None,
    out: Path | None,
    report: Path | None,
    choices: dict[str, Any],
    limit: int | None,
    train: bool,
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
        train=train if taught is None else (taught.x, taught.y),
        **settings,
        **choices,
    )
    best = found.shown
    if out is not None:
        best.conversion.save(out, overwrite=files.forced())
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
    run = ProgramWriter().run(best.steps, best.dt, best.readout)
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
    samples = evaluation.settings["samples"]
    facts = {
        **run,
        "readout": best.readout,
        "searched on": found.facts["searched_on"],
        "held back": found.facts["held_back"],
        "trials": _trials(found),
        "figures over time": f"{samples} samples of {shown.data.name}{among}",
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
