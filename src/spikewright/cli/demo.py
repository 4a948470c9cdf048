"""`spikewright demo`: see `spikewright.demo`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from spikewright._base.options import Option, whole
from spikewright.cli import files
from spikewright.cli.given import Given
from spikewright.cli.option_texts import OptionForm
from spikewright.cli.options import SampleOptions, command
from spikewright.cli.output import say, show, tell
from spikewright.engines.settings import SeedOptions, StepOptions
from spikewright.records import plain
from spikewright.report.sweeps import scale_table
from spikewright.showing import demo as library
from spikewright.showing.explain import DT, STEPS, in_words, worked_example


class _DemoOptions(StepOptions, SampleOptions, SeedOptions, total=False):
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


@command(
    files.written(
        "Folder for the report and the pictures.",
        library.check_folder,
        "--out",
        folder=True,
        default=Path("spikewright-demo"),
    ),
    files.force,
    groups=(_DemoOptions,),
    forms={"scales": OptionForm()},
)
def demo(given: Given) -> None:
    """Convert the shipped digit classifier at five firing-rate scales, and by a rule.

    Prints a table and writes a report, a page for any browser, and two pictures, each with its data
    as CSV: accuracy and spikes against scale, and one image's spikes with the output beside the
    source network's value.
    """
    scales, settings = given.settings.pop("scales"), given.settings
    if settings.pop("two_neurons"):
        # a constant input of 1 reaches A with weight 1, and A reaches B with weight 2
        examples = [worked_example(s, engine=settings["engine"]) for s in (None, *scales)]
        told = {"dt": DT, "steps": STEPS, "examples": [plain(vars(e)) for e in examples]}
        given.answer(told, lambda: tell(in_words(examples)))
        return
    out, overwrite = given.paths["out"], files.forced()
    shown = library.run(**settings, limit=given.limit)
    pictures = library.write_pictures(shown, out, overwrite=overwrite)
    report = library.write_report(shown, out, overwrite=overwrite)
    given.answer(
        {
            "records": [record.as_dict() for record in shown.records],
            "agreement": shown.agreement,
            "conclusion": shown.conclusion,
            "call": shown.sweep.call,
            "files": [str(path) for path in (*pictures, report)],
        },
        lambda: _print(shown, settings["dt"], [*pictures, report]),
    )


def _print(shown: library.Demonstration, dt: float, paths: Sequence[Path]) -> None:
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
