"""`spikewright train`: see `Conversion.train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click

from spikewright._base.amounts import number, percent
from spikewright._base.writing import file_kind, write_file
from spikewright.cli import options, outputs
from spikewright.cli.by_layer import by_layer
from spikewright.cli.opening import is_model, open_conversion, with_spikes
from spikewright.cli.output import duration, emit, say, show, tell
from spikewright.cli.reporting import Subject, diagnosed, report_option, write_report
from spikewright.cli.samples import load_samples
from spikewright.conversion import Conversion
from spikewright.conversion.pipeline import convert
from spikewright.frontends.live import check_ending, live, packed
from spikewright.measure import neuron_rates
from spikewright.report.over_time import powers_of_two
from spikewright.report.tables import Column, Table
from spikewright.training import Refitted, Training
from spikewright.training.frozen import in_words
from spikewright.training.settings import Method, Precision

_SHOWN = 2000
"""Samples that a report measures the trained network on, at most."""

_MODEL = file_kind("a model with trained weights", lambda path: False)
"""Models are a user's own: nothing tells one that was written here."""


def _rates(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, tuple[float, float]]:
    """`LAYER=LOW:HIGH` texts as ranges by layer."""
    found = by_layer(values, _range, "LOW:HIGH") or {}
    if not isinstance(found, dict):
        raise click.BadParameter(f"give LAYER=LOW:HIGH in Hz, got {values[0]!r}")
    return found


def _range(text: str) -> tuple[float, float]:
    low, _, high = text.partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise ValueError(f"give LAYER=LOW:HIGH in Hz, got LAYER={text}") from None


@click.command()
@options.model
@options.data("x, (samples, *shape), and with --labels y")
@options.steps("Steps of the run that is trained for.", required=True)
@click.option("--labels", is_flag=True, help="Train on y too (default: imitate MODEL).")
@click.option("--spikes", type=float, help="Budget: spikes a sample.")
@click.option("--joules", type=float, help="Budget: joules a sample, by --energy-table.")
@click.option(
    "--layer-rate",
    "rates",
    multiple=True,
    callback=_rates,
    metavar="LAYER=LOW:HIGH",
    help="Budget: a layer's mean rate in Hz; repeat for more.",
)
@options.energy_table
@click.option(
    "--method",
    type=click.Choice(get_args(Method)),
    default="auto",
    show_default=True,
    help="Through the rounded network, with spikes through time, or as is measured to matter.",
)
@options.trainable
@options.frozen
@options.thresholds
@options.epochs(10, least=0)
@click.option(
    "--refit",
    is_flag=True,
    help="First fit weights layer by layer, by least squares; with --epochs 0 that alone.",
)
@click.option(
    "--layers",
    type=click.FloatRange(min=0.0),
    default=0.0,
    show_default=True,
    help="Weight of every layer's distance from the source's, beside the loss.",
)
@click.option("--timeout", type=float, help="Seconds after which it ends (default: never).")
@click.option(
    "--patience", type=click.IntRange(min=1), help="End after so many epochs without a better one."
)
@options.learning_rate("chosen", 'Of weights, or "chosen" by trial; thresholds learn faster.')
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    help="Samples held back, a file like --data (default: a tenth of the data).",
)
@options.training_batch
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="float32",
    show_default=True,
    help="Of products with weights while it trains; what is measured is in float32.",
)
@options.device
@click.option(
    "--checkpoint",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep its state in this file, and go on from there the next time.",
)
@outputs.out("the trained network here", required=True)
@click.option(
    "--write-back",
    type=outputs.file_of(_MODEL),
    help="Write MODEL with the trained weights here, a .keras or .onnx file.",
)
@options.limit
@options.seed
@options.dt
@options.conversion_but("scale_firing_rates", "calibration", "bias_correction")
@report_option
@outputs.force
@options.as_json
def train(
    model: Path,
    data: Path,
    labels: bool,
    validation: Path | None,
    limit: int | None,
    out: Path,
    write_back: Path | None,
    choices: dict[str, Any],
    report: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Fit the weights and thresholds of MODEL to few steps, and save the trained network.

    MODEL is a .keras, .h5, .onnx or .pt2 file, or a network that was saved here. Prints the epochs;
    budgets are met on the samples that are held back.
    """
    options.check_thresholds(settings["thresholds"], model)
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
    trained = conversion.train(samples.x, samples.y if labels else None, **settings)
    trained.conversion.save(out, overwrite=outputs.forced())
    if write_back is not None:
        content = packed(trained.write_back(source))
        write_file(write_back, content, _MODEL, overwrite=outputs.forced())
    if report is not None:
        _write(report, Subject(out, data, trained.conversion, {}, samples), trained, settings)
    if as_json:
        emit(_plain(trained, out, write_back))
        return
    if trained.history:
        show(table_of(trained, f"{model.name}, {duration(settings['steps'], settings['dt'])}"))
    kept = trained.kept
    if trained.refitted is not None:
        say(_told(trained.refitted))
    if trained.history:
        say(f"Learning rate: {trained.learning_rate:g}.")
        say("No epoch was better than the beginning." if not kept else f"Kept: epoch {kept}.")
    if trained.frozen:
        say(f"Frozen: {in_words(trained.frozen)}.")
    tell(f"Saved as {out}")
    if write_back is not None:
        tell(f"Weights written to {write_back}")


def _write(
    path: Path, subject: Subject, trained: Training[Conversion], settings: Mapping[str, Any]
) -> None:
    """The page: the training, and the trained network's results over time on some samples."""
    conversion, steps, dt = trained.conversion, settings["steps"], settings["dt"]
    seed, engine = settings["seed"], "auto"
    x, y = subject.first(_SHOWN)
    found = conversion.evaluate(x, y, steps, dt, seed=seed, at=powers_of_two(steps), progress=False)
    told = ("method", "refit", "epochs", "batch_size", "spikes", "joules")
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


def _told(refitted: Refitted) -> str:
    """One sentence: whether fitted weights were kept, and the losses before and after."""
    if refitted.before is None or refitted.after is None:
        return "Weights were fitted by least squares."
    loss = f"{refitted.before.loss:.4g} to {refitted.after.loss:.4g}"
    if refitted.kept:
        return f"Weights were fitted by least squares: the loss on samples held back fell, {loss}."
    return f"Weights stayed: fitted by least squares they have a larger loss, {loss}."


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
        "refitted": None if trained.refitted is None else asdict(trained.refitted),
        "history": [asdict(epoch) for epoch in trained.history],
        "saved": str(out),
        "written_back": None if write_back is None else str(write_back),
    }
