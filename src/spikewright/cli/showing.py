"""`spikewright demo` and `explore`: pictures, a report and pages to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypedDict

import click

from spikewright._base.options import Option, whole
from spikewright._base.storage import holds
from spikewright.cli import files
from spikewright.cli.given import Given, is_model, open_conversion
from spikewright.cli.option_texts import OptionForm
from spikewright.cli.options import SampleOptions, command
from spikewright.cli.output import print_paragraph, print_table, print_text
from spikewright.conversion import Conversion
from spikewright.engines.settings import SeedOptions, StepOptions
from spikewright.explorer import explore as library_explore
from spikewright.network import Network, load
from spikewright.records import plain
from spikewright.report.sweeps import scale_table
from spikewright.showing import demo as library_demo
from spikewright.showing.explain import DT, STEPS, in_words, worked_example


class _DemoOptions(StepOptions, SampleOptions, SeedOptions, total=False):
    steps: Annotated[int, Option(library_demo.STEPS, "Time steps for each image.", whole(1))]
    engine: Annotated[str, Option("auto", "The engine: auto, native, reference or torch.")]
    two_neurons: Annotated[
        bool,
        Option(
            False,
            "In place of the digits, show what a firing-rate scale does to two neurons, step by "
            "step, and which values stay the same.",
        ),
    ]
    scales: Annotated[
        Sequence[float],
        Option((1.0,), "Firing-rate scale of the two neurons (default 1)."),
    ]


@command(
    files.written(
        "Folder for the report and the pictures.",
        library_demo.check_folder,
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

    Prints a table and writes a report, which is a page for any browser, and two pictures with their
    data as CSV: accuracy and spikes against scale, and one image's spikes with the output next to
    the source network's value.
    """
    scales, settings = given.settings.pop("scales"), given.settings
    if settings.pop("two_neurons"):
        # a constant input of 1 reaches A with weight 1, and A reaches B with weight 2
        examples = [worked_example(s, engine=settings["engine"]) for s in (None, *scales)]
        document = {"dt": DT, "steps": STEPS, "examples": [plain(vars(e)) for e in examples]}
        given.answer(document, lambda: print_text(in_words(examples)))
        return
    out, overwrite = given.paths["out"], files.forced()
    shown = library_demo.run(**settings, limit=given.limit)
    pictures = library_demo.write_pictures(shown, out, overwrite=overwrite)
    report = library_demo.write_report(shown, out, overwrite=overwrite)
    given.answer(
        {
            "records": [record.as_dict() for record in shown.records],
            "agreement": shown.agreement,
            "conclusion": shown.conclusion,
            "call": shown.call,
            "files": [str(path) for path in (*pictures, report)],
        },
        lambda: _print_demonstration(shown, settings["dt"], [*pictures, report]),
    )


def _print_demonstration(
    shown: library_demo.Demonstration, dt: float, paths: Sequence[Path]
) -> None:
    images = shown.records[0].n
    of = f"{library_demo.MODEL.name} on {images} held-out digits, steps of {dt * 1000:g} ms"
    print_table(scale_table(shown.records, of))
    print_paragraph(f"{shown.conclusion}\n")
    if shown.call:
        print_text(f"{shown.call}\n")
    print_paragraph(
        "As a rate network it equals the ONNX model layer by layer, within "
        f"{shown.agreement:.0e} of the largest value."
    )
    print_paragraph("Pictures: " + ", ".join(str(p) for p in paths if p.suffix == ".png"))
    print_paragraph(f"Report: {paths[-1]}")


class _PageOptions(TypedDict, total=False):
    port: Annotated[
        int,
        Option(0, "The port of 127.0.0.1 to serve the page on (0: any free one).", whole(0, 65535)),
    ]
    browser: Annotated[bool, Option(True, "Open the page in the browser (default).")]
    class_names: Annotated[
        Sequence[str] | None,
        Option(None, "Names to show in place of class numbers, such as T-shirt,Trouser,Pullover."),
    ]


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
    file, or a network that `spikewright convert -o` saved. For a network made by hand, saved by
    `spikewright.network.save`, the page moves the inputs while it runs. The page is served to this
    machine only, until Ctrl-C; its address, with a token, is printed on a line of its own.
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
    found = library_explore(opened, x, y, **given.settings, command=command, name=name)
    try:
        given.answer({"url": found.url}, lambda: print_text(found.url))
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
