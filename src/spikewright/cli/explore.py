"""`spikewright explore`: see `spikewright.explore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypedDict

import click

from spikewright._base.options import Option, whole
from spikewright._base.storage import holds
from spikewright.cli import files
from spikewright.cli.given import Given
from spikewright.cli.opening import is_model, open_conversion
from spikewright.cli.options import SampleOptions, command
from spikewright.cli.output import tell
from spikewright.conversion import Conversion
from spikewright.explorer import explore as library
from spikewright.network import Network, load


class _PageOptions(TypedDict, total=False):
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
    groups=(_PageOptions, SampleOptions),
)
def explore(given: Given) -> None:
    """Open an interactive page: change settings of a spiking network and watch the spikes.

    Without MODEL it shows the digits of `spikewright demo`. MODEL is a .keras, .h5, .onnx or .pt2
    file, or a network that `spikewright convert -o` saved. Of a network made by hand, which
    `spikewright.network.save` wrote, the inputs are moved while it runs. The page is served to this
    machine alone, until Ctrl-C; its address, with a token, is printed on a line of its own.
    """
    model, data = given.paths["model"], given.paths["data"]
    if model is None and data is not None:
        raise click.UsageError("--data: give MODEL, which it is for")
    if data is None and given.limit is not None:
        raise click.UsageError("--limit: give --data, whose samples it counts")
    x = y = None
    command: list[str] = []
    if data is not None:
        x, y = given.samples.x, given.samples.y
        command = ["spikewright", "evaluate", str(model), f"--data={data}"]
        command += [] if given.limit is None else [f"--limit={given.limit}"]
    opened, name = _opened(model)
    if data is not None and isinstance(opened, Network):
        raise click.UsageError(f"--data: the inputs of {model} are moved on the page; leave it out")
    found = library(opened, x, y, **given.settings, command=command, name=name)
    try:
        given.answer({"url": found.url}, lambda: tell(found.url))
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
