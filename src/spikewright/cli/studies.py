"""`spikewright sweep` and `tune`: see `spikewright.sweep` and `spikewright.tune`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from spikewright._base.options import options_of
from spikewright.cli import files
from spikewright.cli.files import FileSamples
from spikewright.cli.given import Given
from spikewright.cli.option_texts import SEVERAL
from spikewright.cli.options import SampleOptions, command, in_steps_of
from spikewright.cli.output import print_parts, print_text
from spikewright.conversion.options import SpikeOptions
from spikewright.measure import neuron_rates
from spikewright.report import figures
from spikewright.study.options import SCALES, SweepOptions, TuneOptions
from spikewright.study.point import OperatingPoint
from spikewright.study.programs import ProgramWriter
from spikewright.study.result import StudyResult
from spikewright.study.search.tune import tune as library_tune
from spikewright.study.sweep import sweep as library_sweep


def _check_picture(path: Path, *, overwrite: bool) -> None:
    """Raise where no picture is drawn, or where it or its data would replace another file."""
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise click.BadParameter(f"{path} ends in none of .png, .svg and .pdf")
    figures.check_picture(path, figures.SweepInfo.columns, overwrite=overwrite)


@command(
    files.model(),
    files.data("x, (samples, *shape), and perhaps y: labels, or targets"),
    files.written(
        "Draw the sweep here (.png, .svg, .pdf), and save its data as CSV next to it.",
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

    MODEL is a .keras, .h5, .onnx or .pt2 file. Every scale is run with every synapse, for the
    largest number of steps, and read after each number; settings that fail are listed with their
    reason. The last lines are the cheapest setting close to the source, and the call of sw.convert
    that makes it.
    """
    samples, settings = given.samples, given.settings
    for name, left_out in (("scales", SCALES), ("coding", None)):
        if settings[name] is not left_out:
            settings[name] = [in_steps_of(settings["dt"], value) for value in settings[name]]
    found = library_sweep(given.model, samples.x, samples.y, **settings, **given.choices)
    if given.paths["picture"] is not None:
        info = figures.sweep_info(found.records)
        drawn = figures.draw(info)
        figures.save(drawn, info, given.paths["picture"], overwrite=files.forced())
        print_text(f"Picture: {given.paths['picture']}", err=True)
    if given.paths["report"] is not None:
        _write_sweep(given, found)
    given.answer(found.as_dict(), lambda: _print_sweep(found, given.model))


def _write_sweep(given: Given, found: StudyResult) -> None:
    """The page: every setting, and the best (or nearest) one in detail, which is run once more."""
    point, facts = found.best_or_closest, found.facts
    run = {"steps": point.steps, "dt": point.dt, "seed": facts["seed"], "engine": facts["engine"]}
    measured_model = given.measured_model(conversion=point.conversion, run=run, choices={})
    how = ("encoder", "precision", "batch_size", "threads")
    evaluation = measured_model.measured(None, **{name: given.settings[name] for name in how})
    measured_model.write(
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


def _print_sweep(found: StudyResult, model: Path) -> None:
    print_text(model.name)
    print_parts(found.parts())
    if found.call:
        print_text(found.call)


_SHOWN = 2000
"""Samples that a report's figures over time are of, at most."""


_CODES = (
    "The coding of values in spikes: rate (default) or digits:STEPS, which runs for that many "
    "steps; repeat the option for more."
)
_LEFT_OUT = {*options_of(SpikeOptions), "sequence_step", "neurons"} - {"coding"}


@command(
    files.model(),
    files.data("x, (samples, *shape), and class labels y"),
    files.read(
        "--validation", "Samples held back, a file like --data (default: half of the data)."
    ),
    files.read(
        "--train-data",
        "Samples to train on, a file like --data; without y training imitates MODEL.",
    ),
    files.out("the chosen network here"),
    files.report,
    groups=(TuneOptions, SampleOptions),
    forms={"coding": replace(SEVERAL["coding"], help=_CODES)},
    without=_LEFT_OUT,
)
def tune(given: Given) -> None:
    """Search for the cheapest setting of MODEL that loses little accuracy.

    MODEL is a .keras, .h5, .onnx or .pt2 file. Prints the chosen setting, the costs of others, and
    the call of sw.convert that makes the network.
    """
    settings, samples, out = given.settings, given.samples, given.paths["out"]
    held, taught = given.others("validation"), given.others("train_data")
    if taught is not None:
        settings["train"] = (taught.x, taught.y)
    if settings["train"] is not False and out is None:
        raise click.UsageError("--train: weights that are trained need a place, -o FILE")
    if held is not None:
        settings["validation"] = (held.x, held.y)
    if settings["coding"] is not None:
        settings["coding"] = [in_steps_of(settings["dt"], code) for code in settings["coding"]]
    found = library_tune(given.model, samples.x, samples.y, **settings, **given.choices)
    given.save(found.best_or_closest.conversion)
    if given.paths["report"] is not None:
        _write_search(given, found, held)
    given.answer(found.as_dict(), lambda: _print_search(found, out))


def _print_search(found: StudyResult, out: Path | None) -> None:
    print_parts(found.parts())
    print_text(_lines(found.best_or_closest, out))
    if out is not None:
        print_text(f"\nSaved as {out}")


def _lines(best: OperatingPoint, out: Path | None) -> str:
    """The code that makes the network again and reads it out."""
    if best.training is None:
        return best.call
    run = ProgramWriter().run(best.steps, best.dt, best.readout)
    return f"import spikewright as sw\nconversion = sw.Conversion.load({str(out)!r})\n{run}"


def _write_search(given: Given, found: StudyResult, held: FileSamples | None) -> None:
    """The page: the search, the held-back check, and the choice's results over time.

    They are those on the samples held back, or where no file has these on those of the search.
    """
    best, settings = found.best_or_closest, given.settings
    run = {**best.run, "seed": settings["seed"], "engine": settings["engine"]}
    file = "data" if held is None else "validation"
    measured_model = given.measured_model(
        conversion=best.conversion, run=run, choices={}, data=given.paths[file],
        samples=given.samples if held is None else held,
    )  # fmt: skip
    how = {"readouts": (best.readout,), "threads": settings["threads"], "progress": False}
    evaluation = measured_model.measured(_SHOWN, **how)
    among = ", some of which were searched on" if held is None else ""
    facts = {
        **run,
        "readout": best.readout,
        "searched on": found.facts["searched_on"],
        "held back": found.facts["held_back"],
        "trials": found.trials,
        "figures over time": (
            f"{evaluation.settings['samples']} samples of {measured_model.data.name}{among}"
        ),
    }
    measured_model.write(
        given.paths["report"],
        "Search",
        facts,
        _lines(best, given.paths["out"]),
        summary=found.conclusion,
        search=found.records,
        records=evaluation.records,
        rates=neuron_rates(evaluation),
    )
