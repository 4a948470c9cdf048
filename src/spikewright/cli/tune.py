"""`spikewright tune`: see `spikewright.tune`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import click

from spikewright._base.amounts import number
from spikewright._base.options import Option, options_of, whole
from spikewright.choosing.search.choice import Choice, Minimise, unit_of
from spikewright.choosing.tuning import tune as library
from spikewright.choosing.tuning.reproduce import run_line
from spikewright.cli import files
from spikewright.cli.options import SampleOptions, command
from spikewright.cli.output import duration, emit, say, show, tell
from spikewright.cli.reporting import Subject, diagnosed, write_report
from spikewright.cli.samples import Samples, load_samples
from spikewright.conversion import Conversion
from spikewright.conversion.options import SpikeOptions
from spikewright.conversion.pipeline import convert
from spikewright.engines.settings import (
    EngineOptions,
    PrecisionOptions,
    SeedOptions,
    StepOptions,
)
from spikewright.measure import neuron_rates
from spikewright.records import DEFAULT_TABLE
from spikewright.report.over_time import powers_of_two
from spikewright.report.tables import Column, Table, energy_column
from spikewright.training.settings import TRAINABLE

_SHOWN = 2000
"""Samples that a report's figures over time are of, at most."""


class TuneOptions(StepOptions, SeedOptions, EngineOptions, PrecisionOptions, total=False):
    """Options of a search."""

    max_drop: Annotated[
        float, Option(0.005, "Accuracy that may be lost, a fraction: 0.005 is half a point.")
    ]
    minimise: Annotated[Minimise, Option("spikes", "The cost to minimise.")]
    energy_table: Annotated[str, Option(DEFAULT_TABLE, "The cost table of energies.")]
    timeout: Annotated[float, Option(300.0, "Seconds for the whole search.")]
    trials: Annotated[int | None, Option(None, "Trials in the study (default: many).", whole(1))]
    confidence: Annotated[float, Option(0.95, "Of the certificate.")]
    searched: Annotated[int, Option(2000, "Samples searched on, at most.", whole(1))]
    study: Annotated[
        str | Path | None,
        Option(
            None,
            "Keep the search here, a path (SQLite) or an Optuna URL, and go on from there; start "
            "the command several times for several workers.",
        ),
    ]
    space: Annotated[Mapping[str, Any] | None, Option(None, "Parameters that are restricted.")]
    trainable: Annotated[Sequence[str], Option(TRAINABLE, "What a training may change.")]


class _Options(TuneOptions, SampleOptions, total=False):
    train: Annotated[
        bool,
        Option(
            False,
            "Train the best setting for less than it costs, on the samples searched on.",
        ),
    ]


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
    choice = library(
        model,
        samples.x,
        samples.y,
        train=train if taught is None else (taught.x, taught.y),
        **settings,
        **choices,
    )
    if out is not None or report is not None:
        network = _network(model, choice, choices)
        if out is not None:
            network.save(out, overwrite=files.forced())
        if report is not None:
            shown = Shown(data, samples, searched=True)
            if validation is not None and held is not None:
                shown = Shown(validation, held, searched=False)
            subject = Subject(model, shown.data, network, {}, shown.samples)
            _write(report, subject, shown, choice, settings, _lines(choice, out))
    if as_json:
        emit(choice.as_dict())
        return
    show(_table(choice))
    say(f"{choice}\n")
    counts = ", ".join(f"{n} {state.lower()}" for state, n in choice.trials.items())
    for reason, count in choice.failures.items():
        say(f"{count} x failed: {reason}")
    say(f"Searched on {choice.searched_on} samples; trials: {counts}. To make the network again:\n")
    tell(_lines(choice, out))
    if out is not None:
        say(f"\nSaved as {out}")


def _network(model: Path, choice: Choice, choices: Mapping[str, Any]) -> Conversion:
    """The chosen network."""
    if choice.training is not None:
        trained: Conversion = choice.training.conversion
        return trained
    return convert(model, example_input=choices.get("example_input"), **choice.conversion)


def _lines(choice: Choice, out: Path | None) -> str:
    """The code that makes the network again and reads it out."""
    given = choice.arguments
    run = run_line(choice.steps, given["dt"], given["readout"])
    made = choice.reproduce if choice.training is None else f"sw.Conversion.load({str(out)!r})"
    return f"conversion = {made}\n{run}"


@dataclass(frozen=True)
class Shown:
    """Samples that the page shows the choice on; `searched` where it was chosen by some of them."""

    data: Path
    samples: Samples
    searched: bool


def _write(
    path: Path, subject: Subject, shown: Shown, choice: Choice, settings: dict[str, Any], code: str
) -> None:
    """The page: the search, the held-back check, and the choice's results over time."""
    run = {**choice.run, "seed": settings["seed"], "engine": settings["engine"]}
    x, y = subject.first(_SHOWN)
    found = subject.conversion.evaluate(
        x,
        y,
        **run,
        at=powers_of_two(choice.steps),
        readouts=(choice.arguments["readout"],),
        threads=settings["threads"],
        progress=False,
    )
    among = ", some of which were searched on" if shown.searched else ""
    facts = {
        **run,
        "readout": choice.arguments["readout"],
        "searched on": choice.searched_on,
        "held back": choice.held_back,
        "trials": ", ".join(f"{n} {state.lower()}" for state, n in choice.trials.items()),
        "figures over time": f"{found.settings['samples']} samples of {shown.data.name}{among}",
    }
    write_report(
        path,
        subject,
        "Search",
        facts,
        python=code,
        summary=str(choice),
        search=choice.records,
        records=found.records,
        rates=neuron_rates(found),
        diagnosis=diagnosed(subject, **run),
        raster=subject.raster(**run),
    )


def _table(choice: Choice) -> Table:
    """The settings checked on held-back samples, the cheapest first; the choice is marked."""
    checked = sorted((choice, *choice.runners_up), key=lambda item: item.costs[_cost(choice)])
    rows = [
        (
            "chosen" if item is choice else None,
            item.steps,
            item.spikes,
            item.energy,
            item.drop,
            item.interval[1],
            "yes" if item.certified else "no",
            item.needed,
        )
        for item in checked
    ]
    unit = unit_of(choice.worth)
    columns = (
        Column("chosen", ""),
        Column("steps", "steps"),
        Column("spikes", "spikes a sample", number),
        energy_column("energy", "energy", choice.energy_table),
        Column("drop", unit.name, unit.format_signed),
        Column("at most", f"at most ({100 * choice.confidence:g} %)", unit.format_signed),
        Column("certified", "certified"),
        Column("needed", "samples that would certify", number),
    )
    title = f"{choice.held_back} held-back samples, {_limit(choice)}"
    table = Table(title, columns, tuple(rows))
    if choice.energy is not None:
        return table
    kept = [i for i, column in enumerate(columns) if column.key != "energy"]
    chosen = tuple(tuple(row[i] for i in kept) for row in rows)
    return Table(title, tuple(columns[i] for i in kept), chosen)


def _cost(choice: Choice) -> str:
    return "energy" if choice.energy is not None else "spikes"


def _limit(choice: Choice) -> str:
    steps = duration(choice.chosen.steps, choice.arguments["dt"])
    return f"at most {100 * choice.limit:g} points may be lost; the choice runs {steps}"
