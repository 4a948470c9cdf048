"""`spikewright explore`: see `spikewright.explore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import click

from spikewright._base.options import Option, whole
from spikewright._base.storage import holds
from spikewright.cli import files
from spikewright.cli.opening import is_model, open_conversion
from spikewright.cli.options import SampleOptions, command
from spikewright.cli.output import emit, tell
from spikewright.cli.samples import load_samples
from spikewright.conversion import Conversion
from spikewright.explorer import explore as library
from spikewright.network import Network, load


class _Options(SampleOptions, total=False):
    port: Annotated[
        int,
        Option(0, "The port of 127.0.0.1 to serve the page at (0: any free one).", whole(0, 65535)),
    ]
    browser: Annotated[bool, Option(True, "Open the page (default), or do not.")]


@command(
    files.model(required=False),
    files.data(
        "x, (samples, *shape), and perhaps y: labels, or targets (default: random samples)",
        required=False,
    ),
    group=_Options,
)
def explore(
    model: Path | None,
    data: Path | None,
    limit: int | None,
    port: int,
    browser: bool,
    as_json: bool,
) -> None:
    """Open an interactive page: change settings of a spiking network and watch the spikes.

    Without MODEL it shows the digits of `spikewright demo`. MODEL is a .keras, .h5, .onnx or .pt2
    file, or a network that `spikewright convert -o` saved. Of a network made by hand, which
    `spikewright.network.save` wrote, the inputs are moved while it runs. The page is served to this
    machine alone, until Ctrl-C; its address, with a token, is printed on a line of its own.
    """
    if model is None and data is not None:
        raise click.UsageError("--data: give MODEL, which it is for")
    if data is None and limit is not None:
        raise click.UsageError("--limit: give --data, whose samples it counts")
    samples = None if data is None else load_samples(data, limit)
    x, y = (None, None) if samples is None else (samples.x, samples.y)
    command = ["spikewright", "evaluate", str(model), f"--data={data}"] if samples else []
    command += [] if limit is None else [f"--limit={limit}"]
    opened, name = _opened(model)
    if samples is not None and isinstance(opened, Network):
        raise click.UsageError(f"--data: the inputs of {model} are moved on the page; leave it out")
    found = library(opened, x, y, port=port, browser=browser, command=command, name=name)
    try:
        if as_json:
            emit({"url": found.url})
        else:
            tell(found.url)
        found.wait()
    finally:
        found.close()


def _opened(model: Path | None) -> tuple[Path | Conversion | Network | None, str]:
    """A saved network with the Python that loads it; a model's path as it is."""
    if model is None or is_model(model):
        return model, ""
    if holds(model, "network"):
        return load(model), ""
    return open_conversion(model, {}), f"sw.load({str(model)!r})"
