"""`spikewright nir`: see `spikewright.nir`."""

from __future__ import annotations

from pathlib import Path

import click

from spikewright.cli import options
from spikewright.cli.output import emit, show, tell
from spikewright.cli.samples import load_samples
from spikewright.errors import SimulationError
from spikewright.exchange.nir import READERS
from spikewright.exchange.nir import check as run_check
from spikewright.exchange.nir.checking.semantics import RESETS


@click.group()
def nir() -> None:
    """Files in NIR, which other simulators and chips read."""


@nir.command()
@click.argument("file", type=click.Path(path_type=Path))
@options.data("x, (samples, *shape) or (samples, steps, *shape), channels first, and perhaps y")
@options.steps("Time steps for each sample; needed where x has no time axis.")
@click.option(
    "--dt",
    type=click.FloatRange(min=0, min_open=True),
    help="Length of a step in the unit of time of a file that states none.",
)
@click.option(
    "--reset",
    type=click.Choice(list(RESETS)),
    default="subtract",
    show_default=True,
    help="What a spike leaves of the voltage here: the remainder, or zero.",
)
@options.limit
@click.option(
    "--reader",
    "named",
    multiple=True,
    metavar="NAME[=PATH]",
    help="A reader, and its environment or Python; may be given again (default: all). "
    f"Names: {', '.join(READERS)}.",
)
@click.option(
    "--environments",
    type=click.Path(path_type=Path),
    help="A folder with an environment a reader, as scripts/nir_readers.py makes it.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    help="What each reader may take.",
)
@click.option(
    "--memory",
    type=click.FloatRange(min=0, min_open=True),
    default=8.0,
    show_default=True,
    help="Memory that each reader may take, in GiB.",
)
@options.as_json
def check(
    file: Path,
    data: Path,
    steps: int | None,
    dt: float | None,
    reset: str,
    limit: int | None,
    named: tuple[str, ...],
    environments: Path | None,
    seconds: float,
    memory: float,
    as_json: bool,
) -> None:
    """Run the NIR file FILE in other simulators and print whose spikes differ, and why.

    Each reader runs in a process of its own. One that is missing, refuses the file, crashes or does
    not end is a row with the reason.
    """
    samples = load_samples(data, limit)
    if isinstance(samples.x, dict):
        raise SimulationError(f"{data}: the inputs must be one array x, got {sorted(samples.x)}")
    found = run_check(
        file,
        samples.x,
        _readers(named, environments),
        steps=steps,
        dt=dt,
        labels=samples.y,
        reset=reset,
        seconds=seconds,
        memory=memory,
    )
    if as_json:
        emit(found.as_dict())
        return
    show(found.table())
    show(found.layer_table())
    for row in found.rows:
        for note in row.notes if row.outcome == "ran" else ():
            tell(f"{row.reader}: {note}")


def _readers(named: tuple[str, ...], folder: Path | None) -> dict[str, Path | None] | Path | None:
    """The readers of the options: those named, in the folder's environments unless they say."""
    if not named:
        return folder
    pairs = [(name, path) for name, _, path in (text.partition("=") for text in named)]
    inside = {name: None if folder is None else folder / name for name, _ in pairs}
    return {name: Path(path) if path else inside[name] for name, path in pairs}
