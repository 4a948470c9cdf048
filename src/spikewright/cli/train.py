"""`spikewright train`: see `Conversion.train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import click
from click.core import ParameterSource

from spikewright._base.amounts import number, percent
from spikewright._base.options import Option, options_of
from spikewright._base.writing import file_kind, write_file
from spikewright.cli import files
from spikewright.cli.opening import is_model, open_conversion, with_spikes
from spikewright.cli.option_texts import flag
from spikewright.cli.options import SampleOptions, command
from spikewright.cli.output import duration, emit, say, show, tell
from spikewright.cli.reporting import Subject, diagnosed, write_report
from spikewright.cli.samples import Samples, load_samples
from spikewright.conversion import Conversion
from spikewright.conversion.pipeline import convert
from spikewright.frontends.live import check_ending, live, packed
from spikewright.measure import neuron_rates
from spikewright.report.tables import Column, Table, powers_of_two
from spikewright.training import Training
from spikewright.training.frozen import in_words
from spikewright.training.options import ReconstructOptions, TrainOptions

_SHOWN = 2000
"""Samples that a report measures the trained network on, at most."""

_MODEL = file_kind("a model with trained weights", lambda path: False)
"""Models are a user's own: nothing tells one that was written here."""


class _Options(TrainOptions, SampleOptions, total=False):
    labels: Annotated[bool, Option(False, "Train on y too (default: imitate MODEL).")]
    reconstruct: Annotated[
        bool,
        Option(
            False,
            "Fit biases, thresholds and starts alone, without labels; weights stay (1000 epochs "
            "or 300 seconds at most and a learning rate of 0.001, unless options say otherwise).",
        ),
    ]


@command(
    files.model(),
    files.data("x, (samples, *shape), and with --labels y"),
    files.read(
        "--validation", "Samples held back, a file like --data (default: a tenth of the data)."
    ),
    files.out("the trained network here", required=True),
    files.written(
        "Write MODEL with the trained weights here, a .keras or .onnx file.",
        _MODEL,
        "--write-back",
    ),
    files.report,
    files.force,
    group=_Options,
    without=("scale_firing_rates", "calibration", "bias_correction"),
    spiking=True,
)
def train(
    model: Path,
    data: Path,
    validation: Path | None,
    out: Path,
    write_back: Path | None,
    report: Path | None,
    choices: dict[str, Any],
    limit: int | None,
    labels: bool,
    reconstruct: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Fit the weights and thresholds of MODEL to few steps, and save the trained network.

    MODEL is a .keras, .h5, .onnx or .pt2 file, or a network that was saved here. Prints the epochs;
    budgets are met on the samples that are held back.
    """
    if settings["thresholds"] == "kept" and is_model(model):
        raise click.UsageError(
            f"--thresholds kept: {model} is a model, which has none. Give a network saved with -o"
        )
    if reconstruct:
        _check_reconstruction()
    samples = load_samples(data, limit)
    if labels and samples.y is None:
        raise click.UsageError(f"--labels: {data} holds no y")
    if validation is not None:
        held = load_samples(validation)
        settings["validation"] = (held.x, held.y if labels else None)
    source = None if write_back is None else live(model)
    if write_back is not None:
        check_ending(source, write_back.name)
    if "fission" in choices:
        choices["calibration"] = samples.x
    conversion = _opened(model, source, choices)
    if reconstruct:
        _reconstruct(conversion, samples, out, settings, as_json)
        return
    trained = conversion.train(samples.x, samples.y if labels else None, **settings)
    trained.conversion.save(out, overwrite=files.forced())
    if write_back is not None:
        content = packed(trained.write_back(source))
        write_file(write_back, content, _MODEL, overwrite=files.forced())
    if report is not None:
        _write(report, Subject(out, data, trained.conversion, {}, samples), trained, settings)
    if as_json:
        emit(_plain(trained, out, write_back))
        return
    show(table_of(trained, f"{model.name}, {duration(settings['steps'], settings['dt'])}"))
    kept = trained.kept
    say(f"Learning rate: {trained.learning_rate:g}.")
    say("No epoch was better than the beginning." if not kept else f"Kept: epoch {kept}.")
    if trained.frozen:
        say(f"Frozen: {in_words(trained.frozen)}.")
    tell(f"Saved as {out}")
    if write_back is not None:
        tell(f"Weights written to {write_back}")


def _given() -> list[str]:
    """The parameters of the running command that were given."""
    ctx = click.get_current_context()
    return [n for n in ctx.params if ctx.get_parameter_source(n) is ParameterSource.COMMANDLINE]


def _check_reconstruction() -> None:
    """Raise `click.UsageError` for options that a training has and a reconstruction has not."""
    training = {*options_of(TrainOptions), "labels", "validation", "write_back", "report"}
    for name in _given():
        if name in training - {*options_of(ReconstructOptions)} | {"validation"}:
            raise click.UsageError(f"{flag(name)}: --reconstruct has no use for it. Leave it out")


def _reconstruct(
    conversion: Conversion, samples: Samples, out: Path, settings: dict[str, Any], as_json: bool
) -> None:
    """Fit biases, thresholds and starts; options that were not given have values of its own."""
    given = {n: settings[n] for n in ("steps", "dt", *_given()) if n in settings}
    made = conversion.reconstruct(samples.x, **given)
    made.save(out, overwrite=files.forced())
    told = [entry for entry in made.trace if entry.stage == "reconstruct"]
    if as_json:
        emit({"layers": {e.layer: e.text for e in told}, "saved": str(out)})
        return
    for entry in told:
        tell(f"{entry.layer}: {entry.text}")
    tell(f"Saved as {out}")


def _write(
    path: Path, subject: Subject, trained: Training[Conversion], settings: Mapping[str, Any]
) -> None:
    """The page: the training, and the trained network's results over time on some samples."""
    conversion, steps, dt = trained.conversion, settings["steps"], settings["dt"]
    seed, engine = settings["seed"], "auto"
    x, y = subject.first(_SHOWN)
    found = conversion.evaluate(x, y, steps, dt, seed=seed, at=powers_of_two(steps), progress=False)
    told = ("method", "epochs", "batch_size", "spikes", "joules")
    write_report(
        path,
        subject,
        "Training",
        {
            "steps": steps,
            "dt": dt,
            "seed": seed,
            **{name: settings.get(name) for name in told},
            "learning_rate": trained.learning_rate,
            "epoch that was kept": trained.kept,
            "frozen layers": in_words(trained.frozen) or "none",
            "figures over time": f"{found.settings['samples']} samples of {subject.data.name}",
        },
        training=trained.records,
        records=found.records,
        rates=neuron_rates(found),
        diagnosis=diagnosed(subject, steps, dt, seed, engine),
        raster=subject.raster(steps, dt, seed, engine),
    )


def _opened(model: Path, source: Any, choices: Mapping[str, Any]) -> Conversion:
    """The network to train, with spiking neurons; of a live source where there is one."""
    chosen = {"spiking": True, **choices} if is_model(model) else dict(choices)
    return (
        open_conversion(model, chosen) if source is None else convert(source, **with_spikes(chosen))
    )


def table_of(trained: Training[Conversion], title: str) -> Table:
    """The epochs; the one that was kept is marked."""
    rows = [
        (
            "kept" if epoch.number == trained.kept else None,
            epoch.number,
            epoch.way,
            epoch.loss,
            None if epoch.held_back is None else epoch.held_back.loss,
            None if epoch.held_back is None else epoch.held_back.accuracy,
            None if epoch.held_back is None else epoch.held_back.spikes,
        )
        for epoch in trained.history
    ]
    columns = (
        Column("kept", ""),
        Column("epoch", "epoch"),
        Column("way", "way"),
        Column("loss", "loss", number),
        Column("held back", "loss,\nheld back", number),
        Column("accuracy", "accuracy", percent),
        Column("spikes", "spikes\na sample", number),
    )
    return Table(title, columns, tuple(rows))


def _plain(trained: Training[Conversion], out: Path, write_back: Path | None) -> dict[str, Any]:
    return {
        "kept": trained.kept,
        "learning_rate": trained.learning_rate,
        "frozen": {layer: list(arrays) for layer, arrays in trained.frozen.items()},
        "history": [asdict(epoch) for epoch in trained.history],
        "saved": str(out),
        "written_back": None if write_back is None else str(write_back),
    }
