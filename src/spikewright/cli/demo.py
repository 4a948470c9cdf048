"""`spikewright demo`: see `spikewright.demo`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from spikewright._base.options import Option, whole
from spikewright.cli import files
from spikewright.cli.option_texts import Form
from spikewright.cli.options import SampleOptions, command
from spikewright.cli.output import emit, say, show, tell
from spikewright.engines.settings import SeedOptions, StepOptions
from spikewright.records import plain
from spikewright.report.sweeps import scale_table
from spikewright.showing import demo as library
from spikewright.showing.explain import DT, STEPS, in_words, worked_example


class _Options(StepOptions, SampleOptions, SeedOptions, total=False):
    steps: Annotated[int, Option(library.STEPS, "Time steps for each image.", whole(1))]
    engine: Annotated[str, Option("auto", "auto, native, reference or torch.")]
    two_neurons: Annotated[
        bool,
        Option(
            False,
            "In place of the digits: the effect of a firing-rate scale on two neurons, step by "
            "step, and the values that stay the same.",
        ),
    ]
    scales: Annotated[
        Sequence[float],
        Option((1.0,), "Firing-rate scale of the two neurons (default 1); repeat it for several."),
    ]


def _check_folder(path: Path, *, overwrite: bool) -> None:
    library.check_folder(path, overwrite=overwrite)


@command(
    files.written(
        "Folder for the report and the pictures.",
        files.OutputPath(_check_folder, folder=True),
        "--out",
        default=Path("spikewright-demo"),
    ),
    files.force,
    group=_Options,
    forms={"scales": Form()},
)
def demo(
    out: Path,
    steps: int,
    dt: float,
    limit: int | None,
    seed: int,
    engine: str,
    two_neurons: bool,
    scales: Sequence[float],
    as_json: bool,
) -> None:
    """Convert the shipped digit classifier at five firing-rate scales, and by a rule.

    Prints a table and writes a report, a page for any browser, and two pictures, each with its data
    as CSV: accuracy and spikes against scale, and one image's spikes with the output beside the
    source network's value.
    """
    if two_neurons:
        _two_neurons(scales, engine, as_json)
        return
    shown = library.run(steps=steps, dt=dt, limit=limit, seed=seed, engine=engine)
    paths = [
        *library.write_pictures(shown, out, overwrite=files.forced()),
        library.write_report(shown, out, overwrite=files.forced()),
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
    of = f"{library.MODEL.name} on {images} held-out digits, steps of {dt * 1000:g} ms"
    show(scale_table(shown.records, of))
    say(f"{shown.conclusion}\n")
    if shown.sweep.call:
        tell(f"{shown.sweep.call}\n")
    say(
        "As a rate network it equals the ONNX model layer by layer, within "
        f"{shown.agreement:.0e} of the largest value."
    )
    say("Pictures: " + ", ".join(str(p) for p in paths if p.suffix == ".png"))
    say(f"Report: {paths[-1]}")


def _two_neurons(scales: Sequence[float], engine: str, as_json: bool) -> None:
    """A constant input of 1 reaches A with weight 1, and A reaches B with weight 2."""
    examples = [worked_example(scale, engine=engine) for scale in (None, *scales)]
    if as_json:
        emit({"dt": DT, "steps": STEPS, "examples": [plain(vars(example)) for example in examples]})
    else:
        tell(in_words(examples))
