"""`spikewright convert`: see `spikewright.convert`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import numpy as np

from spikewright._base.amounts import number, percent
from spikewright._base.options import Option, one_of, options_of, whole
from spikewright._base.storage import SAVED
from spikewright._base.writing import check_target
from spikewright.choosing import Statistics
from spikewright.choosing.correction import looks_at_data
from spikewright.cli import files
from spikewright.cli.opening import open_conversion
from spikewright.cli.options import command
from spikewright.cli.output import emit, show, tell
from spikewright.conversion import Conversion
from spikewright.engines.settings import StepOptions
from spikewright.exchange.nir import DIALECTS
from spikewright.exchange.nir import save as save_nir
from spikewright.exchange.nir.saving import KIND as NIR
from spikewright.executors.options import PlaceOptions
from spikewright.report.tables import Column, Table, Value

_NIR = ".nir"


class _Options(StepOptions, PlaceOptions, total=False):
    verify: Annotated[
        bool, Option(False, "Compare the model's own values with the network's, first.")
    ]
    dialect: Annotated[
        str, Option("portable", f"Of a .nir file: {', '.join(DIALECTS)}.", one_of(DIALECTS))
    ]
    steps: Annotated[
        int | None,
        Option(
            None,
            "Of a .nir file: steps of a run in which biases add up the initial voltages "
            "(default: these are in its metadata).",
            whole(1),
        ),
    ]
    reset: Annotated[
        Literal["zero", "subtract"] | None,
        Option(None, "Of a .nir file: the reader may reset neurons so (default: as here)."),
    ]


def _check_out(path: Path, *, overwrite: bool) -> None:
    check_target(path, NIR if path.suffix == _NIR else SAVED["conversion"], overwrite=overwrite)


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
        files.OutputPath(_check_out),
    ),
    files.written(
        "Write one time step here, an ONNX model that runs without spikewright.",
        files.OutputPath(_check_step),
        "--step",
    ),
    files.written(
        "Save statistics of the layers on the samples of --calibration here: for --calibration of "
        "other commands, once for many rules, not for corrections.",
        files.OutputPath(_check_statistics),
        "--statistics",
    ),
    files.force,
    group=_Options,
    without=(),
)
def convert(
    model: Path,
    out: Path | None,
    step: Path | None,
    statistics: Path | None,
    choices: dict[str, Any],
    verify: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Convert MODEL to a network and print every step of the conversion, layer by layer.

    MODEL is a .keras, .h5, .onnx or .pt2 file, or a network that was saved here. A file saved with
    -o can be run with `spikewright run`, without the framework that MODEL came from. With --verify
    nothing is saved unless every output and layer agrees with the model's own within rounding.
    Statistics fit networks of the same weights, pooling and form of recurrent layers.
    """
    _refuse_without_nir(out, settings)
    x = _samples(choices, statistics)
    conversion = open_conversion(model, choices)
    verification = conversion.verify() if verify else None
    found = _calibrated(conversion, x, statistics, settings)
    if out is not None:
        _save(conversion, out, settings)
    if step is not None:
        from spikewright.exchange.onnx import save_step  # late: it imports onnx

        dt = settings["dt"]
        save_step(conversion, step, dt=dt, spikes=True, overwrite=files.forced())
    written = {"saved": out, "step": step}
    if as_json:
        emit(
            {
                **_plain(conversion),
                "verification": None if verification is None else verification.as_dict(),
                **{name: None if path is None else str(path) for name, path in written.items()},
                "statistics": None if found is None else _plain_of(found, statistics),
            }
        )
        return
    tell(str(conversion.trace))
    neurons, guarantee = conversion.network.n_neurons, conversion.trace.guarantee
    tell(f"\n{neurons:,} neurons; the network is {guarantee}, as the weakest of its layers.")
    if verification is not None:
        tell(f"Verified: {verification}.")
    if found is not None:
        show(statistics_table(found))
        tell(f"Statistics saved as {statistics}")
    if out is not None:
        tell(f"Saved as {out}")
    if step is not None:
        tell(f"One time step saved as {step}")


def _refuse_without_nir(out: Path | None, settings: dict[str, Any]) -> None:
    """Raises a usage error for an option of NIR files where none is written."""
    if out is not None and out.suffix == _NIR:
        return
    usual = options_of(_Options)
    for name in ("dialect", "steps", "reset"):
        if settings[name] != usual[name].option.default:
            raise click.UsageError(f"--{name} is of NIR files: name one, -o {_stem(out)}{_NIR}")


def _stem(out: Path | None) -> str:
    return "network" if out is None else str(out.with_suffix(""))


def _samples(choices: dict[str, Any], statistics: Path | None) -> Any:
    """The samples for statistics; choices keep them where a rule or a correction needs them."""
    if statistics is None:
        return None
    x = choices.get("calibration")
    if x is None or isinstance(x, Path):
        raise click.UsageError("--statistics: give samples, --calibration FILE.npz")
    if not looks_at_data(choices):
        del choices["calibration"]
    return x


def _calibrated(
    conversion: Conversion, x: Any, path: Path | None, settings: dict[str, Any]
) -> Statistics | None:
    """Statistics of the layers, saved; None where none were asked for."""
    if path is None:
        return None
    place = {name: settings[name] for name in ("executor", "address")}
    found = conversion.calibrate(x, **place)
    found.save(path, overwrite=files.forced())
    return found


def _save(conversion: Conversion, path: Path, settings: dict[str, Any]) -> None:
    if path.suffix != _NIR:
        conversion.save(path, overwrite=files.forced())
        return
    save_nir(
        conversion, path, settings["dialect"],
        dt=settings["dt"], steps=settings["steps"], reset=settings["reset"],
        overwrite=files.forced(),
    )  # fmt: skip


def _plain(conversion: Conversion) -> dict[str, Any]:
    return {
        "neurons": conversion.network.n_neurons,
        "inputs": {name: list(node.shape_out) for name, node in conversion.inputs.items()},
        "outputs": list(conversion.outputs),
        "guarantee": conversion.trace.guarantee,
        "trace": [asdict(entry) for entry in conversion.trace],
    }


def _plain_of(found: Statistics, path: Path | None) -> dict[str, Any]:
    layers = statistics_table(found).as_dicts()
    return {"samples": found.samples, "layers": layers, "saved": str(path)}


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
