"""`spikewright tune`: see `spikewright.tune`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from spikewright._base.options import options_of
from spikewright.cli import files
from spikewright.cli.given import Given
from spikewright.cli.options import SampleOptions, command
from spikewright.cli.output import duration, say, show, tell
from spikewright.cli.samples import FileSamples
from spikewright.conversion.options import SpikeOptions
from spikewright.measure import neuron_rates
from spikewright.study.options import TuneOptions
from spikewright.study.point import OperatingPoint
from spikewright.study.programs import ProgramWriter
from spikewright.study.result import StudyResult
from spikewright.study.search.tune import tune as library

_SHOWN = 2000
"""Samples that a report's figures over time are of, at most."""


_LEFT_OUT = {*options_of(SpikeOptions), "sequence_step", "neurons"}


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
    groups=(TuneOptions, SampleOptions),
    without=_LEFT_OUT,
)
def tune(given: Given) -> None:
    """Search for the cheapest setting of MODEL that loses little accuracy.

    MODEL is a .keras, .h5, .onnx or .pt2 file. Prints the chosen setting, the costs of others, and
    the call of sw.convert that makes the network again.
    """
    settings, samples, out = given.settings, given.samples, given.paths["out"]
    held, taught = given.others("validation"), given.others("train_data")
    if taught is not None:
        settings["train"] = (taught.x, taught.y)
    if settings["train"] is not False and out is None:
        raise click.UsageError("--train: weights that are trained need a place, -o FILE")
    if held is not None:
        settings["validation"] = (held.x, held.y)
    found = library(given.model, samples.x, samples.y, **settings, **given.choices)
    given.save(found.shown.conversion)
    if given.paths["report"] is not None:
        _write(given, found, held)
    given.answer(found.as_dict(), lambda: _print(found, out))


def _print(found: StudyResult, out: Path | None) -> None:
    best = found.shown
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


def _write(given: Given, found: StudyResult, held: FileSamples | None) -> None:
    """The page: the search, the held-back check, and the choice's results over time.

    They are those on the samples held back, or where no file has these on those of the search.
    """
    best, settings = found.shown, given.settings
    run = {**best.run, "seed": settings["seed"], "engine": settings["engine"]}
    file = "data" if held is None else "validation"
    subject = given.subject(
        conversion=best.conversion, run=run, choices={}, data=given.paths[file],
        samples=given.samples if held is None else held,
    )  # fmt: skip
    how = {"readouts": (best.readout,), "threads": settings["threads"], "progress": False}
    evaluation = subject.measured(_SHOWN, **how)
    among = ", some of which were searched on" if held is None else ""
    facts = {
        **run,
        "readout": best.readout,
        "searched on": found.facts["searched_on"],
        "held back": found.facts["held_back"],
        "trials": _trials(found),
        "figures over time": (
            f"{evaluation.settings['samples']} samples of {subject.data.name}{among}"
        ),
    }
    subject.write(
        given.paths["report"],
        "Search",
        facts,
        _lines(best, given.paths["out"]),
        summary=found.conclusion,
        search=found.records,
        records=evaluation.records,
        rates=neuron_rates(evaluation),
    )
