"""`spikewright demo`: see `spikewright.demo`."""

from __future__ import annotations

from pathlib import Path

import click

from spikewright.cli import options, outputs
from spikewright.cli.output import emit, say, show, tell
from spikewright.report.sweeps import scale_table
from spikewright.showing import demo as library


def _check_folder(path: Path, *, overwrite: bool) -> None:
    library.check_folder(path, overwrite=overwrite)


@click.command()
@click.option(
    "--out",
    type=outputs.OutputPath(_check_folder, folder=True),
    default=Path("spikewright-demo"),
    show_default=True,
    help="Folder for the report and the pictures.",
)
@options.steps("Time steps for each image.", default=library.STEPS, show_default=True)
@options.dt
@options.sampled
@outputs.force
@options.as_json
def demo(
    out: Path, steps: int, dt: float, limit: int | None, seed: int, engine: str, as_json: bool
) -> None:
    """Convert the shipped digit classifier at five firing-rate scales, and by a rule.

    Prints a table and writes a report, a page for any browser, and two pictures, each with its data
    as CSV: accuracy and spikes against scale, and one image's spikes with the output beside the
    source network's value.
    """
    shown = library.run(steps=steps, dt=dt, limit=limit, seed=seed, engine=engine)
    paths = [
        *library.write_pictures(shown, out, overwrite=outputs.forced()),
        library.write_report(shown, out, overwrite=outputs.forced()),
    ]
    if as_json:
        emit(
            {
                "records": [record.as_dict() for record in shown.records],
                "agreement": shown.agreement,
                "conclusion": shown.conclusion,
                "call": shown.sweep.call,
                "files": [str(path) for path in paths],
            }
        )
        return
    images = shown.records[0].n
    show(
        scale_table(
            shown.records,
            f"{library.MODEL.name} on {images} held-out digits, steps of {dt * 1000:g} ms",
        )
    )
    say(f"{shown.conclusion}\n")
    if shown.sweep.call:
        tell(f"{shown.sweep.call}\n")
    say(
        "As a rate network it equals the ONNX model layer by layer, within "
        f"{shown.agreement:.0e} of the largest value."
    )
    say("Pictures: " + ", ".join(str(p) for p in paths if p.suffix == ".png"))
    say(f"Report: {paths[-1]}")
