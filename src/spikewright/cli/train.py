"""`spikewright train`: see `Conversion.train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypedDict

import click
from click.core import ParameterSource

from spikewright._base.files import file_kind, write_file
from spikewright._base.options import Option, options_of
from spikewright.cli import files
from spikewright.cli.given import Given, is_model, open_conversion, with_spikes
from spikewright.cli.option_texts import flag
from spikewright.cli.options import SampleOptions, command
from spikewright.cli.output import duration, print_text
from spikewright.conversion import Conversion, convert
from spikewright.frontends.live import check_ending, live, packed
from spikewright.measure import neuron_rates
from spikewright.running.own_steps import run_steps
from spikewright.training.options import ReconstructOptions, TrainOptions
from spikewright.training.result import Training
from spikewright.training.trainable import in_words

_SHOWN = 2000
"""Samples that a report measures the trained network on, at most."""

_MODEL = file_kind("a model with trained weights", lambda path: False)
"""Models are a user's own: nothing tells one that was written here."""


class _CommandOptions(TypedDict, total=False):
    labels: Annotated[bool, Option(False, "Train on y too (default: imitate MODEL).")]
    reconstruct: Annotated[
        bool,
        Option(
            False,
            "Fit only biases, thresholds and initial voltages, without labels (at most 1000 epochs "
            "or 300 seconds and a learning rate of 0.001, unless options say otherwise).",
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
        "Write MODEL with the trained weights here, a .keras or .onnx file.", _MODEL, "--write-back"
    ),
    files.report,
    groups=(TrainOptions, _CommandOptions, SampleOptions),
    without=("scale_firing_rates", "calibration", "bias_correction", "loss"),
    spiking=True,
)
def train(given: Given) -> None:
    """Fit the weights and thresholds of MODEL to few steps, and save the trained network.

    MODEL is a .keras, .h5, .onnx or .pt2 file, or a network that was saved here. Prints every
    epoch. A budget is checked on the held-back samples.
    """
    settings, paths = given.settings, given.paths
    labels, reconstruct = settings.pop("labels"), settings.pop("reconstruct")
    if settings["thresholds"] == "kept" and is_model(given.model):
        raise click.UsageError(
            f"--thresholds kept: {given.model} is a model, which has none. Give a network saved "
            "with -o"
        )
    if reconstruct:
        _check_reconstruction()
    samples, held = given.samples, given.others("validation")
    if labels and samples.y is None:
        raise click.UsageError(f"--labels: {paths['data']} holds no y")
    if held is not None:
        settings["validation"] = (held.x, held.y if labels else None)
    back = paths["write_back"]
    source = None if back is None else live(given.model)
    if back is not None:
        check_ending(source, back.name)
    conversion = _opened(given, source)
    settings["steps"] = run_steps(conversion, settings["steps"])
    if reconstruct:
        _reconstruct(given, conversion)
        return
    trained = conversion.train(samples.x, samples.y if labels else None, **settings)
    trained.conversion.save(paths["out"], overwrite=files.forced())
    if back is not None:
        write_file(back, packed(trained.write_back(source)), _MODEL, overwrite=files.forced())
    if paths["report"] is not None:
        _write(given, trained)
    given.answer(_plain(trained, paths), lambda: _print(given, trained))


def _print(given: Given, trained: Training[Conversion]) -> None:
    run = duration(given.settings["steps"], given.settings["dt"])
    print_text(f"{given.model.name}, {run}\n\n{trained}")
    print_text(f"Saved as {given.paths['out']}")
    if given.paths["write_back"] is not None:
        print_text(f"Weights written to {given.paths['write_back']}")


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


def _reconstruct(given: Given, conversion: Conversion) -> None:
    """Fit biases, thresholds and starts; options that were not given have values of its own."""
    settings, out = given.settings, given.paths["out"]
    asked = {n: settings[n] for n in ("steps", "dt", *_given()) if n in settings}
    made = conversion.reconstruct(given.samples.x, **asked)
    given.save(made)
    changes = {e.layer: e.text for e in made.trace if e.stage == "reconstruct"}
    lines = [*(f"{layer}: {text}" for layer, text in changes.items()), f"Saved as {out}"]
    given.answer({"layers": changes, "saved": str(out)}, lambda: print_text("\n".join(lines)))


def _write(given: Given, trained: Training[Conversion]) -> None:
    """The page: the training, and the trained network's results over time on some samples."""
    settings = given.settings
    run = {**{name: settings[name] for name in ("steps", "dt", "seed")}, "engine": "auto"}
    measured_model = given.measured_model(
        model=given.paths["out"], conversion=trained.conversion, run=run, choices={}
    )
    found = measured_model.measured(_SHOWN, progress=False)
    names = ("steps", "dt", "seed", "method", "epochs", "batch_size", "spikes")
    measured_model.write(
        given.paths["report"],
        "Training",
        {
            **{name: settings.get(name) for name in names},
            "learning_rate": trained.learning_rate,
            "epoch that was kept": trained.kept,
            "frozen layers": in_words(trained.frozen) or "none",
            "figures over time": (
                f"{found.settings['samples']} samples of {measured_model.data.name}"
            ),
        },
        training=trained.records,
        records=found.records,
        rates=neuron_rates(found),
    )


def _opened(given: Given, source: Any) -> Conversion:
    """The network to train, with spiking neurons; of a live source where there is one.

    A code that chooses units does so on the data.
    """
    chosen = {"spiking": True, **given.choices} if is_model(given.model) else {**given.choices}
    if "coding" in chosen and chosen["coding"].steps is not None:
        chosen["calibration"] = given.samples.x
    if source is not None:
        return convert(source, **with_spikes(chosen))
    return open_conversion(given.model, chosen)


def _plain(trained: Training[Conversion], paths: Mapping[str, Path | None]) -> dict[str, Any]:
    back = paths["write_back"]
    return {
        "kept": trained.kept,
        "learning_rate": trained.learning_rate,
        "frozen": {layer: list(arrays) for layer, arrays in trained.frozen.items()},
        "history": [asdict(epoch) for epoch in trained.history],
        "saved": str(paths["out"]),
        "written_back": None if back is None else str(back),
    }
