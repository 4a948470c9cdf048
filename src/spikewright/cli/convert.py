"""`spikewright convert`: see `spikewright.convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import click
import numpy as np

from spikewright._base.amounts import number, percent
from spikewright._base.files import check_target
from spikewright._base.options import Option, one_of, options_of, whole
from spikewright._base.storage import SAVED
from spikewright.choosing import Statistics
from spikewright.choosing.correction import looks_at_data
from spikewright.cli import files
from spikewright.cli.given import FIXED, NIR, Given, is_model
from spikewright.cli.option_texts import flag
from spikewright.cli.options import command
from spikewright.cli.output import print_paragraph, print_table, print_text
from spikewright.conversion.trace_warnings import warn_of_unit_scale
from spikewright.conversion.verification_result import Verification
from spikewright.engines.settings import StepOptions
from spikewright.exchange.nir import DIALECTS
from spikewright.exchange.nir import save as save_nir
from spikewright.exchange.nir.saving import KIND as NIR_FILE
from spikewright.executors.base import PlaceOptions
from spikewright.report.tables import Column, Table, Value


class _NirOptions(TypedDict, total=False):
    """Options of NIR files."""

    dialect: Annotated[
        str,
        Option("portable", f"The dialect of a .nir file: {', '.join(DIALECTS)}.", one_of(DIALECTS)),
    ]
    steps: Annotated[
        int | None,
        Option(
            None,
            "Steps of a layer, for which all else is chosen on the samples of --calibration. For a "
            ".nir file nothing is chosen: biases add up the initial voltages during a run of this "
            "many steps (default: the metadata has them).",
            whole(1),
        ),
    ]
    reset: Annotated[
        Literal["zero", "subtract"] | None,
        Option(None, "How the reader of a .nir file may reset neurons (default: as here)."),
    ]


class _ConvertOptions(StepOptions, PlaceOptions, total=False):
    verify: Annotated[
        bool, Option(False, "First compare the network's values with the model's own.")
    ]


def _check_out(path: Path, *, overwrite: bool) -> None:
    check_target(path, NIR_FILE if path.suffix == NIR else SAVED["conversion"], overwrite=overwrite)


def _check_step(path: Path, *, overwrite: bool) -> None:
    from spikewright.exchange.onnx.saving import STEP  # late: it imports onnx

    check_target(path, STEP, overwrite=overwrite)


def _check_statistics(path: Path, *, overwrite: bool) -> None:
    check_target(path, SAVED["statistics"], overwrite=overwrite)
    if path.suffix.lower() == ".npz":
        raise click.BadParameter(f"{path}: --calibration would read a .npz file as samples")


@command(
    files.model(),
    files.out(
        "the network here; a name that ends in .nir makes a NIR file, for other simulators and "
        "chips",
        _check_out,
    ),
    files.written(
        "Write one time step here, an ONNX model that runs without spikewright.",
        _check_step,
        "--step",
    ),
    files.written(
        "Save statistics of the layers on the samples of --calibration here. Pass the file to "
        "--calibration of other commands, for any number of rules, but not for corrections.",
        _check_statistics,
        "--statistics",
    ),
    files.force,
    groups=(_ConvertOptions, _NirOptions),
    without=(),
)
def convert(given: Given) -> None:
    """Convert MODEL to a network and print every step of the conversion, layer by layer.

    MODEL is a .keras, .h5, .onnx or .pt2 file, or a network that was saved here. A file saved with
    -o can be run with `spikewright run`, without the framework of MODEL. With --verify nothing is
    saved unless every output and layer agrees with the model's own within rounding. Statistics can
    be used for networks with the same weights, pooling and form of recurrent layers.
    """
    _refuse_without_nir(given)
    x = _samples(given)
    conversion = given.conversion
    if is_model(given.model):
        warn_of_unit_scale(conversion)
    verification = conversion.verify() if given.settings["verify"] else None
    found = None
    if x is not None:
        place = {name: given.settings[name] for name in ("executor", "address")}
        found = conversion.calibrate(x, **place)
        given.save(found, "statistics")
    if given.nir:
        _save_nir(given)
    else:
        given.save(conversion)
    step, dt = given.paths["step"], given.settings["dt"]
    if step is not None:
        from spikewright.exchange.onnx import save_step  # late: it imports onnx

        save_step(conversion, step, dt=dt, spikes=True, overwrite=files.forced())
    given.answer(_plain(given, verification, found), lambda: _print(given, verification, found))


def _print(given: Given, verification: Verification | None, found: Statistics | None) -> None:
    conversion, paths = given.conversion, given.paths
    print_text(str(conversion.trace))
    neurons, guarantee = conversion.network.n_neurons, conversion.trace.guarantee
    print_text(f"\n{neurons:,} neurons; the network is {guarantee}, as the weakest of its layers.")
    if given.chosen:
        print_paragraph(given.chosen)
    if verification is not None:
        print_text(f"Verified: {verification!r}.")
    if found is not None:
        print_table(statistics_table(found))
        print_text(f"Statistics saved as {paths['statistics']}")
    if paths["out"] is not None:
        print_text(f"Saved as {paths['out']}")
    if paths["step"] is not None:
        print_text(f"One time step saved as {paths['step']}")


def _refuse_without_nir(given: Given) -> None:
    """Raises a usage error for an option of NIR files where none is written."""
    out = given.paths["out"]
    if given.nir:
        return
    stem = "network" if out is None else out.with_suffix("")
    for name, one in options_of(_NirOptions).items():
        if name == "steps" and given.chooses:
            continue
        if name == "steps" and given.settings[name] and is_model(given.model):
            other = "--rate" if given.choices.get("spiking") is False else "--dt"
            taken = next((flag(one) for one in FIXED if one in given.choices), other)
            raise click.UsageError(f"--steps and {taken} say different things: leave one out")
        if given.settings[name] != one.option.default:
            raise click.UsageError(f"--{name} is of NIR files: name one, -o {stem}{NIR}")


def _samples(given: Given) -> Any:
    """The samples for statistics; choices keep them where a rule or a correction needs them."""
    if given.paths["statistics"] is None:
        return None
    x = given.choices.get("calibration")
    if x is None or isinstance(x, Path):
        raise click.UsageError("--statistics: give samples, --calibration FILE.npz")
    if not (given.chooses or looks_at_data(given.choices)):
        del given.choices["calibration"]
    return x


def _save_nir(given: Given) -> None:
    how = {name: given.settings[name] for name in ("dt", "steps", "reset")}
    dialect, overwrite = given.settings["dialect"], files.forced()
    save_nir(given.conversion, given.paths["out"], dialect, **how, overwrite=overwrite)


def _plain(
    given: Given, verification: Verification | None, found: Statistics | None
) -> dict[str, Any]:
    conversion, paths = given.conversion, given.paths
    written = {"saved": paths["out"], "step": paths["step"]}
    statistics = found and {
        "samples": found.samples,
        "layers": statistics_table(found).as_dicts(),
        "saved": str(paths["statistics"]),
    }
    return {
        "chosen": given.chosen,
        "neurons": conversion.network.n_neurons,
        "inputs": {name: list(node.shape_out) for name, node in conversion.inputs.items()},
        "outputs": list(conversion.outputs),
        "guarantee": conversion.trace.guarantee,
        "trace": [entry._asdict() for entry in conversion.trace],
        "verification": None if verification is None else verification.as_dict(),
        **{name: None if path is None else str(path) for name, path in written.items()},
        "statistics": statistics,
    }


def statistics_table(statistics: Statistics) -> Table:
    """The magnitudes of the values that each layer sends, which its spikes have to carry."""
    columns = (
        Column("layer", "layer"),
        Column("neurons", "neurons", lambda value: f"{value:,}"),
        Column("silent_channels", "silent channels", percent),
        Column("mean", "mean", number),
        Column("percentile_99", "99 %", number),
        Column("percentile_99.9", "99.9 %", number),
        Column("largest", "largest", number),
    )
    rows: list[tuple[Value, ...]] = []
    for name, layer in statistics.layers.items():
        values = layer.magnitude("layer")
        silent = float(np.mean(layer.magnitudes.highest == 0))
        numbers = (values.mean, values.percentile(99.0), values.percentile(99.9), values.highest)
        shown = (float(value[0]) for value in numbers)
        rows.append((name, int(np.prod(layer.shape)), silent, *shown))
    title = f"Magnitudes that layers send, {statistics.samples} samples"
    return Table(title, columns, tuple(rows))
