"""`docs/benchmarks.md`, from what was measured on this machine."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import limits
from benchmarks.neurons import page as neurons
from benchmarks.results import Results, markdown_table
from benchmarks.workloads import VARIANTS

PATH = Path(__file__).parents[1] / "docs" / "benchmarks.md"
Cell = Mapping[str, Any]
Row = Mapping[str, Any]

HEAD = """# {title}

For those who ask how fast it is, beside which other library, and on what.

Written by `python -m benchmarks.peers`, `benchmarks.scaling`, `benchmarks.hand_made`,
`benchmarks.nef`, `benchmarks.networks_of_neurons`, `benchmarks.memory` and the commands that stand
at the edges; do not edit. Every figure is from the machine described here.
"""

NETWORKS = """| | network | batch | steps | input |
|---|---|--:|--:|---|
| W1 | 784-512-512-10 | 256 | 100 | handwritten digits |
| W2 | 28x28: conv 32, conv 64 stride 2, conv 128 stride 2, 10 | 64 | 60 | handwritten digits |
| W3 | 32x32x3: two each of conv 64, 128, 256, pooled; 512, 10 | 16 | 32 | photographs |
| W2x1 | W2, one sample at a time | 1 | 100 | a digit |

All convolutions are 3x3. Integrate-and-fire neurons (threshold 1, soft reset, started at zero)
follow every weighted layer but the last; the input is a constant current. Weights are random,
seeded, and scaled layer by layer until neurons spike 2, 10 or 50 times in a hundred steps on
average.
"""

HOW = """### How this was measured

* **The same weights, the same neuron, the same input** for all. Before timing, each contestant
  computes a small batch; its spikes and its outputs are compared with the reference engine in
  float64 (tables of agreement below). A contestant that differs by more than rounding computes
  another model: it is named, and not ranked. What rounding does is measured on the same network:
  three times the change of the reference engine's own results when its neurons start 2^-15 of a
  spike lower or higher. A spike that moves by a step moves spikes of later layers, so in a deep
  network the last bit matters more than one would expect. Spikewright compares voltages with the
  threshold with a tolerance of 2^-16 of a spike, so that 10 times 0.1 makes one; peers compare
  rounded sums, so some of their spikes are a step late.
* **Two neurons.** Most peers send at most one spike a step and keep the rest of their voltage;
  Spikewright and sinabs also send all that they can ("many"). At 50 % that is a difference:
  one-spike networks send fewer spikes. Each is checked against the reference engine with the same
  neuron, and Spikewright's fastest engine is timed with both.
* **L1** is as many forward passes of the source network in PyTorch (float32,
  `torch.inference_mode`, the faster memory format) as there are steps.
* Peers, too, run under `torch.inference_mode` in the faster of the two memory formats; the step
  of those that loop is also timed through `torch.compile` (one graph, no fallback). Building,
  compiling and the first run are not timed.
* What is timed ends with the outputs in hand: peers sum them over the steps, Spikewright returns
  those of every step and the spike counts of every sample besides.
* Every library has a process of its own, with the number of threads fixed before anything is
  imported. In each round everything runs once; the order moves on by one every round. Given are
  medians of samples during which other processes used less than 0.15 of a core; \\* marks those
  where there were fewer than five such samples, so that the median is over all of them. Work that
  takes less than 50 ms is repeated within a sample.
* **Deviation** is that of outputs summed over all steps from the reference engine in float64
  (2-norm, relative): the precision that each time buys.
"""

AGREEMENT = """Deviation of summed outputs; in brackets the largest difference of a layer's number
of spikes, and the number of all spikes, on an eighth of the batch.
"""


def write(results: Results, path: Path = PATH) -> None:
    """Write the document from all sections that were measured here.

    Of a document of the same machine it keeps the sections that these results lack.
    """
    machine = _machine(results)
    kept = sections(path.read_text(encoding="utf-8")) if path.exists() else {}
    if kept.get("Machine") != machine:
        kept = {}
    parts = {"Machine": machine, "Networks": NETWORKS}
    for name, (title, render) in SECTIONS.items():
        measured = results.section(name)
        if measured:
            parts[title] = f"{render(measured).strip()}\n\n{_versions(measured)}"
        elif title in kept:
            parts[title] = kept[title]
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [f"## {title}\n\n{text.strip()}\n" for title, text in parts.items()]
    head = HEAD.format(title=_title(results))
    path.write_text("\n".join([head, *texts]), encoding="utf-8")


def sections(text: str) -> dict[str, str]:
    """What stands under each heading of the second level."""
    _, *parts = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    return {title: body.strip() for title, body in zip(parts[::2], parts[1::2], strict=True)}


def _title(results: Results) -> str:
    """A page's title: of several machines it says what kernels find in the processor."""
    sets = results.machine.get("instruction sets", "")
    known = {"amx_int8": " with AMX", "avx512f": " with AVX-512", "avx2": " with AVX2 alone"}
    return "Benchmarks" + next((words for name, words in known.items() if name in sets), "")


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
    """One workload at one rate and number of threads, fastest first."""
    rows = sorted(cell["rows"], key=lambda row: row["timing"]["median"])
    return markdown_table(
        ["", "spikes a step", "ms", "x L1", "deviation", "quiet", "build s"],
        [
            [
                row["name"] + ("" if row["same_model"] else " (other model)"),
                row["spikes"],
                f"{1e3 * row['timing']['median']:.1f}",
                f"{row['ratio']:.3f}" + "*" * row["disturbed"],
                "" if row["agreement"] is None else f"{row['agreement']['deviation']:.1e}",
                f"{row['timing']['quiet']}/{row['timing']['n']}",
                f"{row['build_seconds']:.1f}",
            ]
            for row in rows
        ],
    )


def peers_section(cells: Mapping[str, Cell]) -> str:
    """All comparisons with peers."""
    parts = [HOW, _load(list(cells.values()))]
    for name in VARIANTS:
        of_one = [cell for cell in cells.values() if cell["workload"] == name]
        if of_one:
            parts += [f"### {name}", "", _ranking(of_one), _others(of_one)]
    parts += ["### Spikewright against the fastest peers", "", _rivals(list(cells.values()))]
    parts += ["### Agreement with the reference engine", "", AGREEMENT]
    for name in VARIANTS:
        of_one = [cell for cell in cells.values() if cell["workload"] == name]
        if of_one:
            parts += [_agreement(name, of_one)]
    return "\n".join(parts)


def _load(cells: Sequence[Cell]) -> str:
    """What else the machine did."""
    others = [row["timing"]["others"] for cell in cells for row in cell["rows"]]
    return (
        f"Meanwhile other processes used {statistics.median(others):.2f} cores (median of all "
        f"samples' medians; at worst {max(others):.2f}).\n"
    )


def _columns(cells: Sequence[Cell]) -> list[Cell]:
    return sorted(cells, key=lambda cell: (cell["threads"], cell["rate"]))


def _label(cell: Cell) -> str:
    return f"{cell['threads']} thread{'s' * (cell['threads'] > 1)}, {cell['rate']:g} %"


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
        ["ratio to L1 (ms)", "spikes a step", *map(_label, columns)],
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
        return "-"
    mark = "\\*" * row["disturbed"]
    return f"{short(row['ratio'])}{mark} ({short(1e3 * row['timing']['median'])})"


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
                    f"{_label(cell)}"
                )
        lines.update(cell["failed"])
        lines.update(cell["absent"])
    measured = [row["name"] for cell in _columns(cells) for row in cell["rows"]]
    for name in [n for n in lines if any(other.startswith(f"{n},") for other in measured)]:
        del lines[name]  # it was not installed for one cell alone
    if not lines:
        return ""
    return "\n".join(["Not ranked:", "", *(f"* {n}: {why}" for n, why in lines.items())]) + "\n"


def _rivals(cells: Sequence[Cell]) -> str:
    """How many times faster the default precision's fastest engine is than the fastest peers."""
    rows = []
    for cell in sorted(cells, key=lambda c: (c["workload"], c["threads"], c["rate"])):
        ranked = [row for row in cell["rows"] if row["same_model"]]
        own = [
            row
            for row in ranked
            if row["role"] == "own" and row["spikes"] == "many" and "," not in row["name"]
        ]
        if not own:
            continue
        best = min(own, key=lambda row: row["ratio"])
        shown = []
        for compiled in (False, True):
            rivals = [r for r in ranked if r["role"] == "peer" and r["compiled"] is compiled]
            fastest = min(rivals, key=lambda row: row["ratio"], default=None)
            shown.append(
                "-"
                if fastest is None
                else f"{fastest['ratio'] / best['ratio']:.1f} x ({fastest['name']})"
            )
        rows.append([f"{cell['workload']}, {_label(cell)}", best["name"], *shown])
    return markdown_table(["", "fastest engine", "than eager", "than compiled"], rows) + "\n"


def _agreement(name: str, cells: Sequence[Cell]) -> str:
    """What everything that ran computed, at each rate; threads change nothing here."""
    columns = list({cell["rate"]: cell for cell in reversed(_columns(cells))}.values())[::-1]
    found: dict[str, list[str]] = {}
    allowed = []
    for index, cell in enumerate(columns):
        agreements = {row["name"]: row["agreement"] for row in cell["rows"] if row["agreement"]}
        allowed.append(f"{max(a['within'] for a in agreements.values()):.1e}")
        for contestant, a in agreements.items():
            shown = found.setdefault(contestant, ["-"] * len(columns))
            other = "" if a["same_model"] else ", other model"
            shown[index] = f"{a['deviation']:.1e} ({a['off']:.0f} of {a['spikes']:.0f}{other})"
    rows = [["*rounding alone: up to*", *allowed]]
    rows += [[contestant, *shown] for contestant, shown in found.items()]
    return markdown_table([name, *(f"{cell['rate']:g} %" for cell in columns)], rows) + "\n"


def scaling_section(measured: Mapping[str, Any]) -> str:
    """Slopes of cost against each size."""
    rows = [
        [entry["engine"], entry["axis"], entry["range"], entry["slope"], entry["note"]]
        for entry in (e for kept in measured.values() for e in kept["slopes"])
    ]
    intro = (
        "How the time of a run grows with one quantity, all others fixed: the slope between the "
        "last\npoints of a log-log plot (1: linear, 0: flat).\n"
    )
    parts = [intro, markdown_table(["engine", "against", "range", "slope", "setting"], rows), ""]
    for name, kept in measured.items():
        parts += [f"![Time of a run against {name}]({kept['figure']})", ""]
    for kept in measured.values():
        if "limits" in kept:
            parts += [additions_tables(kept)]
    return "\n".join(parts) + "\n"


ADDITIONS = """### How far the machine would go

A spike costs what it costs to read the weights that it meets and to add them up. Below, the
weights of the network against whose spikes time is drawn above: how many the native engine adds up
a second, all of its other work included. The last column compares that with the rate at which this
machine reads such weights, and does nothing else with them. It can be above one: a weight that is
read once is added to the sums of several steps.
"""


def additions_tables(kept: Mapping[str, Any]) -> str:
    """This machine's limits, and the native engine's additions as a share of them."""
    rows = [
        [row[k] for k in ("spikes", "additions", "milliseconds", "rate", "share")]
        for row in kept["additions"]
    ]
    head = ["spikes", "weights met, 10^6", "ms", "10^9 a second", "of the machine's reading rate"]
    return "\n".join([ADDITIONS, limits.table(kept["limits"]), "", markdown_table(head, rows), ""])


def hand_made_section(measured: Mapping[str, Any]) -> str:
    """Microseconds a step of the recurrent network."""
    rows = [
        [row["engine"], row["variant"], f"{row['microseconds']:.1f}" + "\\*" * row["disturbed"]]
        for kept in measured.values()
        for row in kept["rows"]
    ]
    intro = (
        "Two populations of 500 LIF neurons that excite and inhibit each other through Lowpass\n"
        "synapses, 2000 steps of 1 ms, one sample, one thread.\n"
    )
    table = markdown_table(["engine", "connections", "microseconds a step"], rows)
    return f"{intro}\n{table}\n"


def nef_section(measured: Mapping[str, Any]) -> str:
    """Networks made by hand beside Nengo's simulator."""
    intro = (
        "The same networks, built from the same lines (`benchmarks/nef_models.py`), in\n"
        "Spikewright and in Nengo's own simulator with its optimiser and SciPy: microseconds of a\n"
        "step of 1 ms, and seconds from the description to where it can run, decoders solved\n"
        "anew. Medians of runs in turn; \\* as above. Last, how far what both decode differs, and\n"
        "its size: they draw other neurons, so as far as two sets of neurons differ.\n"
    )
    parts = [intro]
    for threads in sorted({row["threads"] for row in measured.values()}):
        rows = [row for row in measured.values() if row["threads"] == threads]
        parts += [f"{threads} thread{'s' * (threads > 1)}:\n", nef_table(rows) + "\n"]
    return "\n".join(parts)


def nef_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Times of both, and how many times faster Spikewright is."""
    lines = []
    for row in rows:
        step, build = row["microseconds"], row["build_seconds"]
        faster = step["Nengo"] / step["Spikewright"]
        lines.append(
            [
                f"{row['model']}, {row['neurons']} neurons",
                f"{step['Nengo']:.0f}",
                f"{step['Spikewright']:.1f}",
                f"{faster:.1f} x" + "\\*" * row["disturbed"],
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
    intro = "Peak memory in MiB of a whole process that runs W3 once at 10 %, one thread.\n"
    table = markdown_table(["engine", *(f"{n} steps" for n in steps), "growth"], rows)
    return f"{intro}\n{table}\n"


def edges_section(measured: Mapping[str, Any]) -> str:
    """The kept text of every benchmark at an edge, under its title."""
    parts = [f"### {title}\n\n{kept['text']}" for title, kept in measured.items()]
    return "\n\n".join([EDGES, *parts]) + "\n"


EDGES = """Few steps, large networks, many spikes, single steps and sparse weights: each part is
written by the command that it names, with `--keep`. One thread but where it says so. Ratios are to
as many forward passes of the source in PyTorch (float32, the faster memory format), run in turn."""

SECTIONS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "peers": ("Engines and peers", peers_section),
    "scaling": ("Scaling", scaling_section),
    "hand_made": ("A recurrent network made by hand", hand_made_section),
    "nef": ("Networks made by hand, beside Nengo", nef_section),
    "networks_of_neurons": ("Random networks of neurons", neurons.section),
    "edges": ("At the edges", edges_section),
    "memory": ("Memory", memory_section),
}
"""Sections of the results by name: their headings, and what writes them."""
