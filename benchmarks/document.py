"""`docs/benchmarks.md`, from what was measured on this machine."""

from __future__ import annotations

import argparse
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.neurons import page as neurons
from benchmarks.results import Results, markdown_table
from benchmarks.workloads import CACHE, SPECS

PATH = Path(__file__).parents[1] / "docs" / "benchmarks.md"
PEERS_AT = 10.0
"""Percent of spikes at which peers are timed."""
Cell = Mapping[str, Any]
Row = Mapping[str, Any]

HEAD = """# Benchmarks

How fast Spikewright is, compared with other simulators on the same networks. [Memory of a
run](#memory-of-a-run) and [what limits the speed](#what-limits-the-speed) follow at the end.

![Times of five simulators for two networks](pictures/benchmarks.png)

*The fastest variant of each library, at 10 % of spikes; 1 is the time of as many forward passes
of the source in PyTorch.*

Unless a section names another processor, times are processor time of one thread on the machine
below, which did other work meanwhile: medians of five or more interleaved runs. Ratios transfer
to other machines better than seconds. Each section names the command that measures it again.

<!-- `benchmarks/document.py` writes all but the last two sections. -->
"""

NETWORKS = """| | network | batch | steps | input |
|---|---|--:|--:|---|
| W1 | 784-512-512-10 | 256 | 100 | handwritten digits |
| W2 | 28x28: conv 32, conv 64 stride 2, conv 128 stride 2, 10 | 64 | 60 | handwritten digits |
| W3 | 32x32x3: two each of conv 64, 128, 256, pooled; 512, 10 | 16 | 32 | photographs |

All convolutions are 3x3. Integrate-and-fire neurons (threshold 1, soft reset, initial voltage 0)
follow every weighted layer but the last; the input is a constant current. Weights are random,
seeded, and scaled layer by layer until neurons spike on average 2, 10 or 50 times in a hundred
steps.
"""

HOW = """Written by `python -m benchmarks.peers --document`, with

    pip install snntorch spikingjelly norse sinabs

* **Same weights, neuron and input.** Before timing, each contestant's spikes and outputs on a
  small batch are compared with the reference engine in float64. One that differs by more than
  rounding computes another model and is not ranked. What rounding may do is three times the
  change of the reference engine's own results when its neurons start 2^-15 of a spike higher or
  lower.
* **Two neurons.** Most peers send at most one spike per step ("one"); Spikewright and sinabs also
  send several ("many"). Each is checked against the reference engine with the same neuron.
* **First layer once.** The input is constant, so Spikewright computes the first layer's currents
  once per run. Peers are timed as in their examples, and with the first layer computed once.
* **L1** is as many forward passes of the source in PyTorch as there are steps. It and the peers
  run in float32 under `torch.inference_mode`, in the faster memory format; peers also through
  `torch.compile` ("compiled"). Building, compiling and the first run are not timed. A peer's time
  does not depend on the spikes, so it is measured at 10 % only.
* Peers sum the outputs over the steps; Spikewright returns those of every step and all spike
  counts besides. Every library has a process of its own.
"""

AGREEMENT = """\
At 10 %, on an eighth of the batch: the relative difference of summed outputs (2-norm), how much
rounding alone may change them, the largest difference of a layer's number of spikes, and the
number of all spikes. Variants of a library that agree are one row.
"""

NEF = """\
The same networks, built by the same lines (`benchmarks/nef_models.py`), in Spikewright and in
Nengo's own simulator with its optimiser and SciPy: microseconds per step of 1 ms, and seconds to
build, decoders solved anew. Last, how far the decoded values differ, and their size: the two draw
different neurons. Spikewright has weights of 24 bits, Nengo float64. Written by
`python -m benchmarks.nef --document`.
"""

PEAK = """Peak memory in MiB of a whole process that runs W3 once at 10 %
(`python -m benchmarks.memory --document`). Steps are made in [blocks](#memory-of-a-run), so a
hundred times as many need little more.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that keep results, and write them into a page; without them they are printed."""
    parser.add_argument("--cache", type=Path, default=CACHE, help="where results are kept")
    parser.add_argument(
        "--document", type=Path, nargs="?", const=PATH, help="write docs/benchmarks.md, or there"
    )


def write(results: Results, path: Path = PATH) -> None:
    """Write the document from all sections that were measured here.

    It keeps the sections that no benchmark writes, and of a document of the same machine those that
    these results lack.
    """
    machine = _machine(results)
    kept = sections(path.read_text(encoding="utf-8")) if path.exists() else {}
    measured = {"Networks", *(title for title, _ in SECTIONS.values()), *EDGES}
    parts = {"Machine": machine, "Networks": NETWORKS}
    if kept.get("Machine") != machine:
        kept = {title: text for title, text in kept.items() if title not in measured}
    for name, (title, render) in SECTIONS.items():
        found = results.section(name)
        if found:
            parts[title] = f"{render(found).strip()}\n\n{_versions(found)}"
        elif title in kept:
            parts[title] = kept[title]
    edges = results.section("edges")
    for title in EDGES:
        if title in edges:
            parts[title] = f"{edges[title]['text'].strip()}\n\n{_versions({title: edges[title]})}"
        elif title in kept:
            parts[title] = kept[title]
    parts = {**parts, **{title: text for title, text in kept.items() if title not in parts}}
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [f"## {title}\n\n{text.strip()}\n" for title, text in parts.items()]
    path.write_text("\n".join([HEAD, *texts]), encoding="utf-8")


def sections(text: str) -> dict[str, str]:
    """What stands under each heading of the second level."""
    _, *parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    return {title: body.strip() for title, body in zip(parts[::2], parts[1::2], strict=True)}


def _machine(results: Results) -> str:
    return "\n".join(f"* {name}: {value}" for name, value in results.machine.items())


def _versions(measured: Mapping[str, Any]) -> str:
    found: dict[str, set[str]] = {}
    for entry in measured.values():
        for name, version in entry.get("versions", {}).items():
            found.setdefault(name, set()).add(version)
    named = (f"{name} {' and '.join(sorted(v))}" for name, v in found.items())
    return f"Versions: {', '.join(named)}.\n"


def cell_table(cell: Cell) -> str:
    """One workload at one rate, fastest first."""
    rows = sorted(cell["rows"], key=lambda row: row["timing"]["median"])
    return markdown_table(
        ["", "spikes a step", "ms", "x L1", "deviation"],
        [
            [
                row["name"] + ("" if row["same_model"] else " (other model)"),
                row["spikes"],
                f"{1e3 * row['timing']['median']:.1f}",
                f"{row['ratio']:.3f}",
                "" if row["agreement"] is None else f"{row['agreement']['deviation']:.1e}",
            ]
            for row in rows
        ],
    )


def peers_section(cells: Mapping[str, Cell]) -> str:
    """All comparisons with peers."""
    parts = [HOW]
    for name in SPECS:
        of_one = [cell for cell in cells.values() if cell["workload"] == name]
        if of_one:
            parts += [f"### {name}", "", _ranking(of_one), _others(of_one)]
    parts += ["### Beside the fastest peers", "", _rivals(list(cells.values()))]
    parts += ["### Agreement with the reference engine", "", AGREEMENT, _agreement(cells)]
    return "\n".join(parts)


def _columns(cells: Sequence[Cell]) -> list[Cell]:
    return sorted(cells, key=lambda cell: cell["rate"])


def _row(cell: Cell, name: str) -> Row | None:
    return next((row for row in cell["rows"] if row["name"] == name), None)


def _ranking(cells: Sequence[Cell]) -> str:
    """Ratio to L1 and milliseconds of everything that computes the same model."""
    columns = _columns(cells)
    ratios: dict[str, list[float]] = {}
    spikes: dict[str, str] = {}
    for cell in columns:
        for row in cell["rows"]:
            if row["same_model"]:
                ratios.setdefault(row["name"], []).append(row["ratio"])
                spikes[row["name"]] = row["spikes"] if row["role"] != "yardstick" else ""
    names = sorted(ratios, key=lambda name: statistics.geometric_mean(ratios[name]))
    table = markdown_table(
        ["ratio to L1 (ms)", "spikes a step", *(f"{cell['rate']:g} %" for cell in columns)],
        [
            [_named(name), spikes[name], *(_figure(_row(cell, name)) for cell in columns)]
            for name in names
        ],
    )
    return table + "\n"


def _named(name: str) -> str:
    return f"**{name}**" if name.startswith("Spikewright") else name


def _figure(row: Row | None) -> str:
    if row is None or not row["same_model"]:
        return ""
    return f"{short(row['ratio'])} ({short(1e3 * row['timing']['median'])})"


def short(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def _others(cells: Sequence[Cell]) -> str:
    """What is not ranked, and why."""
    lines: dict[str, str] = {}
    for cell in _columns(cells):
        for row in cell["rows"]:
            if not row["same_model"]:
                agreement = row["agreement"]
                lines[row["name"]] = (
                    f"other model: spikes of a layer differ by {agreement['off_share']:.0%}, "
                    f"outputs by {agreement['deviation']:.0%}; {row['ratio']:.2f} x L1 at "
                    f"{cell['rate']:g} %"
                )
        lines.update(cell["failed"])
        lines.update(cell["absent"])
    if not lines:
        return ""
    return "\n".join(["Not ranked:", "", *(f"* {n}: {why}" for n, why in lines.items())]) + "\n"


def _rivals(cells: Sequence[Cell]) -> str:
    """Factors by which Spikewright is faster than the fastest peers, as they are and helped."""
    rows = []
    for cell in sorted(cells, key=lambda cell: (cell["workload"], cell["rate"])):
        ranked = [row for row in cell["rows"] if row["same_model"]]
        own = next((row for row in ranked if row["name"] == "Spikewright native"), None)
        if own is None or not any(row["role"] == "peer" for row in ranked):
            continue
        shown = []
        for compiled in (False, True):
            for once in (False, True):
                rivals = [
                    row
                    for row in ranked
                    if row["role"] == "peer"
                    and row["compiled"] is compiled
                    and row["name"].endswith("first layer once") is once
                ]
                fastest = min(rivals, key=lambda row: row["ratio"], default=None)
                shown.append("" if fastest is None else _faster(fastest, own))
        rows.append([f"{cell['workload']}, {cell['rate']:g} %", *shown])
    head = ["Spikewright native is faster", "than eager", "first layer once", "than compiled",
            "first layer once"]  # fmt: skip
    return markdown_table(head, rows) + "\n"


def _faster(rival: Row, own: Row) -> str:
    return f"{rival['ratio'] / own['ratio']:.1f} x ({rival['name'].split(',')[0]})"


def _agreement(cells: Mapping[str, Cell]) -> str:
    """Results of all that ran at the peers' rate; ways of a library that agree stand once."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for cell in (cell for cell in cells.values() if cell["rate"] == PEERS_AT):
        for row in cell["rows"]:
            found = row["agreement"]
            if found is not None:
                figures = [
                    f"{found['deviation']:.1e}", f"{found['within']:.1e}",
                    f"{found['off']:.0f}", f"{found['spikes']:,.0f}",
                ]  # fmt: skip
                key = (cell["workload"], row["name"].split(",")[0], *figures)
                rows.setdefault(key, [f"{cell['workload']}, {row['name']}", *figures])
    head = ["", "outputs differ by", "rounding alone", "spikes of a layer", "of all spikes"]
    return markdown_table(head, list(rows.values())) + "\n"


def nef_section(measured: Mapping[str, Any]) -> str:
    """Networks made by hand beside Nengo's simulator."""
    return f"{NEF}\n{nef_table(list(measured.values()))}\n"


def nef_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Times of both, and how many times faster Spikewright is."""
    lines = []
    for row in rows:
        step, build = row["microseconds"], row["build_seconds"]
        lines.append(
            [
                f"{row['model']}, {row['neurons']} neurons",
                f"{step['Nengo']:.0f}",
                f"{step['Spikewright']:.1f}",
                f"{step['Nengo'] / step['Spikewright']:.1f} x",
                f"{build['Nengo']:.2f}",
                f"{build['Spikewright']:.2f}",
                f"{build['Nengo'] / build['Spikewright']:.1f} x",
                f"{row['apart']:.1e} of {row['size']:.2f}",
            ]
        )
    head = ["", "Nengo, us a step", "Spikewright", "faster", "Nengo, s to build", "Spikewright"]
    return markdown_table([*head, "faster", "values differ by"], lines)


def memory_section(measured: Mapping[str, Any]) -> str:
    """Peak memory of W3 by engine and number of steps."""
    rows = [
        [row["engine"], *(f"{mib:.0f}" for mib in row["mib"]), f"{row['growth']:+.1%}"]
        for kept in measured.values()
        for row in kept["rows"]
    ]
    steps = next(iter(measured.values()))["steps"]
    table = markdown_table(["engine", *(f"{n} steps" for n in steps), "growth"], rows)
    return f"{PEAK}\n{table}\n"


EDGES = (
    "Moving inputs", "Four steps", "Large networks", "Mobile networks", "One step at a time",
    "Part by part",
)  # fmt: skip
"""Parts of the page whose text `edges.py` keeps, by title."""
SECTIONS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "peers": ("Engines and peers", peers_section),
    "nef": ("Networks made by hand", nef_section),
    "networks_of_neurons": ("Random networks of neurons", neurons.section),
    "memory": ("Peak memory", memory_section),
}
"""Sections of the results by name: their headings, and what writes them."""
