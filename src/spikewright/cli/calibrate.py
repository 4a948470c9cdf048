"""`spikewright calibrate`: see `spikewright.Conversion.calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from spikewright._base.amounts import number, percent
from spikewright._base.storage import SAVED
from spikewright.choosing import Statistics
from spikewright.cli import options, outputs
from spikewright.cli.opening import open_conversion
from spikewright.cli.output import emit, show, tell
from spikewright.cli.samples import load_samples
from spikewright.report.tables import Column, Table, Value

_COLUMNS = (
    Column("layer", "layer"),
    Column("neurons", "neurons", lambda value: f"{value:,}"),
    Column("silent_channels", "silent channels", percent),
    Column("mean", "mean", number),
    Column("percentile_99", "99 %", number),
    Column("percentile_99.9", "99.9 %", number),
    Column("largest", "largest", number),
)


@click.command()
@options.model
@options.data("x, (samples, *shape); labels are not looked at")
@options.limit
@outputs.out(
    "the statistics here, for --calibration; any name that does not end in .npz",
    SAVED["statistics"],
    required=True,
)
@outputs.force
@options.max_pool
@options.sequence_step
@options.example_input
@options.outputs
@options.executor
@options.address
@options.as_json
def calibrate(
    model: Path,
    data: Path,
    limit: int | None,
    out: Path,
    executor: str,
    address: str | None,
    as_json: bool,
    **choices: Any,
) -> None:
    """Collect statistics of the layers of MODEL on data: once, for many rules.

    MODEL is a .keras, .h5, .onnx or .pt2 file, or a network that `spikewright convert -o` saved.
    The saved file goes into --calibration of the other commands, for rules, not for corrections; it
    fits networks of the same weights, pooling and form of recurrent layers. It is the same wherever
    the work is done.
    """
    if out.suffix.lower() == ".npz":
        raise click.UsageError(f"--out {out}: --calibration would read a .npz file as samples")
    samples = load_samples(data, limit)
    source = open_conversion(model, options.given(choices))
    found = source.calibrate(samples.x, executor=executor, address=address)
    found.save(out, overwrite=outputs.forced())
    table = statistics_table(found)
    if as_json:
        emit({"samples": found.samples, "layers": table.as_dicts(), "saved": str(out)})
        return
    show(table)
    tell(f"Saved as {out}")


def statistics_table(statistics: Statistics) -> Table:
    """The magnitudes of the values that each layer sends, which its spikes have to carry."""
    rows: list[tuple[Value, ...]] = []
    for name, layer in statistics.layers.items():
        values = layer.magnitude("layer")
        silent = float(np.mean(layer.magnitudes.highest == 0))
        numbers = (values.mean, values.percentile(99.0), values.percentile(99.9), values.highest)
        shown = (float(value[0]) for value in numbers)
        rows.append((name, int(np.prod(layer.shape)), silent, *shown))
    title = f"Magnitudes that layers send, {statistics.samples} samples"
    return Table(title, _COLUMNS, tuple(rows))
