"""All figures of the pages in docs/, and the commands that make them again.

    python -m benchmarks.pages                          # the list: page, part, seconds, command
    python -m benchmarks.pages bits rules --images FOLDER [--peers PYTHON] [--readers READERS]

FOLDER holds mnist.npz, fashion_mnist.npz and cifar10.npz (`image_sets.py`). A command that is named
runs, and writes into a copy of its page; then "equal" is printed, or what differs. Figures that are
times are other ones on another machine: there what differs is printed and nothing fails. `--write`
writes the page itself.
"""

from __future__ import annotations

import argparse
import difflib
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.marked import DOCS
from benchmarks.timing import thread_environment

ROOT = DOCS.parent
IMAGES = {name: f"--{name.replace('_', '-')} {{{name}}}" for name in
          ("mnist", "fashion_mnist", "cifar10")}  # fmt: skip
MNIST, FASHION, CIFAR = IMAGES.values()
SOURCES = ("mnist_0", "fashion_mnist_0", "cifar10_0")


@dataclass(frozen=True)
class Figures:
    """One part of a page, and the command that writes it: its module and options.

    The part is that between the marks of its name, or a heading of a page that is written as a
    whole; empty where the command writes all of it. `seconds` are those of one core, about.
    `weights` are the files of `weights/` that the command reads. Of `times` only ratios are alike
    elsewhere.
    """

    name: str
    page: str
    part: str
    command: str
    seconds: int
    weights: tuple[str, ...] = ()
    times: bool = False


def _few_steps(part: str, seconds: int, weights: tuple[str, ...]) -> Figures:
    command = f"few_step_accuracy {MNIST} {FASHION} {CIFAR} --parts {part}"
    return Figures(part, "accuracy.md", part, command, seconds, weights)


def _speed(name: str, part: str, command: str, seconds: int) -> Figures:
    return Figures(name, "benchmarks.md", part, command, seconds, times=True)


FIGURES = (
    _few_steps("rules", 140, SOURCES[1:]),
    _few_steps("ways", 610, SOURCES),
    _few_steps("levels", 90, SOURCES[:2]),
    Figures(
        "digits", "accuracy.md", "digits", f"signed_digits {MNIST} {FASHION} {CIFAR}",
        3000, (*SOURCES, "vit_0", "mobilenet_v3_0"),
    ),
    Figures(
        "front", "accuracy.md", "front", f"front {FASHION} {CIFAR}", 2400,
        (*SOURCES[1:], "vit_0", "gru_0", "mobilenet_v3_0"),
    ),
    Figures(
        "products", "accuracy.md", "products", f"products_of_digits {FASHION}", 330, ("vit_0",)
    ),
    Figures(
        "fits", "accuracy.md", "fits", f"fits {FASHION} {CIFAR}", 70,
        (*SOURCES[1:], "fitted_fashion_1_0", "fitted_cifar10_1_0"),
    ),
    Figures(
        "families", "accuracy.md", "families", f"trained_families {FASHION} {CIFAR}", 240,
        ("mobilenet_v3_0", "vit_0", "gru_0"),
    ),
    Figures(
        "texts", "accuracy.md", "texts", "texts_and_ratings", 700, ("bert_0", "ncf_0")
    ),
    Figures("bits", "chips.md", "bits", f"chip_bits {MNIST} {FASHION}", 330, SOURCES[:2]),
    Figures("wide", "choosing.md", "wide", "wide_channels", 40),
    Figures("features", "guarantees.md", "features", "raw_features", 15),
    Figures("regularised", "training.md", "regularised", f"regularised {MNIST}", 80,
            ("regularised_mnist_0",)),
    Figures("sequences", "sequences.md", "sequences", "sequence_law", 50),
    Figures("rows of digits", "sequences.md", "rows of digits", f"rows_of_digits {FASHION}", 40,
            ("gru_0",)),
    Figures("models", "nengo.md", "models", "nengo_models", 10),
    Figures("errors", "nengo.md", "errors", "nengo_errors", 90),
    Figures("suite", "nengo.md", "suite", "nengo_suite", 900),
    Figures("explorer", "explore.md", "explorer", f"explorer {MNIST}", 120, ("mnist_0",),
            times=True),
    Figures("networks", "families.md", "", "families", 1800, times=True),
    Figures("family_digits", "families.md", "digits", "families --digits", 900, times=True),
    Figures("readers", "nir.md", "readers", f"nir_readers {MNIST} --readers {{readers}}", 600,
            ("mnist_0",)),
    Figures("few_bits", "benchmarks.md", "bits", "few_bits", 900, times=True),
    _speed("peers", "Engines and peers", "peers", 1500),
    _speed("nef", "Networks made by hand", "nef", 120),
    _speed("neurons", "Random networks of neurons", "networks_of_neurons --peers {peers}", 200),
    _speed("memory", "Peak memory", "memory", 30),
    _speed("four", "Four steps", "few_steps", 50),
    _speed("large", "Large networks", "large once", 130),
    _speed("mobile", "Mobile networks", "mobile", 60),
    _speed("step", "One step at a time", "step", 20),
    _speed("parts", "Part by part", "parts", 120),
)  # fmt: skip

STATED = {
    ("energy.md", "table"): "prices of operations, as they were published",
    ("accuracy.md", "method and network"): "points lost in published tables",
    ("benchmarks.md", ""): "the networks that are timed",
    ("benchmarks.md", "way"): "properties of instructions",
    ("benchmarks.md", "work"): "operations that are counted, over times measured elsewhere",
    ("stability.md", "limited"): "limits of what reading a file makes",
    ("training.md", "`surrogate`"): "factors of formulas",
    ("benchmarks.md", "VGG16 at 224 pixels, times its weights in float32, at most"): "a limit",
}
"""Tables of figures that nothing here measures: page, first word of the head, and what they are."""


def run(figures: Figures, places: dict[str, str], write: bool) -> str:
    """Run the command on a copy of the page; what differs, line by line."""
    page = DOCS / figures.page
    before = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / figures.page
        shutil.copy(page, copy)
        module, *options = shlex.split(figures.command.format(**places))
        command = [sys.executable, "-m", f"benchmarks.{module}", *options, "--document", str(copy)]
        environment = {**thread_environment(1), "KERAS_BACKEND": "torch"}
        subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr, env=environment)
        after = copy.read_text(encoding="utf-8")
    if write:
        page.write_text(after, encoding="utf-8")
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "page", "now", "", "", 0)
    return "\n".join(line for line in lines)


def listed() -> str:
    """The list of all figures: page, part, seconds and command."""
    lines = []
    for page in sorted({figures.page for figures in FIGURES}):
        lines.append(page)
        for figures in (figures for figures in FIGURES if figures.page == page):
            what = "times" if figures.times else "figures"
            command = f"python -m benchmarks.{figures.command} --document"
            lines.append(f"  {figures.name}: {what}, {figures.seconds} s\n    {command}")
    return "\n".join(lines)


def main() -> None:
    """List the figures, or make some again; exits with 1 where one differs that is no time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *(f.name for f in FIGURES)])
    parser.add_argument("--images", type=Path, default=Path(), help="a folder of .npz files")
    parser.add_argument("--peers", default=sys.executable, help="a Python with NEST and Brian 2")
    parser.add_argument("--readers", default="", help="see `benchmarks/nir_readers.py`")
    parser.add_argument("--write", action="store_true", help="write the pages")
    given = parser.parse_args()
    if not given.names:
        print(listed())
        return
    places = {name: str(given.images / f"{name}.npz") for name in IMAGES}
    places |= {"peers": given.peers, "readers": given.readers}
    other = []
    for figures in (figures for figures in FIGURES if figures.name in given.names):
        begun = time.monotonic()
        difference = run(figures, places, given.write)
        took = f"{time.monotonic() - begun:.0f} s"
        print(f"{figures.page}, {figures.name}, {took}: {difference or 'equal'}", flush=True)
        if difference and not figures.times:
            other.append(figures.name)
    if other:
        raise SystemExit(f"other than what stands: {', '.join(other)}")


if __name__ == "__main__":
    main()
