"""Tables of random networks of neurons in several simulators."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.neurons.statistics import ERRORS, FEWEST
from benchmarks.results import markdown_table

Row = Mapping[str, Any]
OWN = "Spikewright"

INTRO = """The same networks, drawn once and read from one file by every simulator
(`benchmarks/neurons/`), with exact integration in all of them. Seconds that a second of the
network's time takes: medians of simulation alone, without recordings, in turn; \\* as above.
A run of no step, in which Brian 2 prepares the code that Cython compiled, is subtracted. "Faster"
is Spikewright's advantage over the faster peer. A synapse's delay is one step of 1 or 0.1 ms, in
the microcircuit random.
"""
AGREEMENT = f"""What they compute, beside Spikewright. Without random input all simulators send
the same spikes for as long as the table says; later, rounding in the last digit has moved one, and
a chaotic network forgets its past. Means of populations agree where they differ by at most
{ERRORS:g} standard errors; the last column is the largest distance of the distributions of neurons'
rates.
"""
POPULATIONS = f"""Rates in Hz, and the irregularity of intervals between spikes: the mean
coefficient of variation of neurons with {FEWEST} spikes or more. Published rates are those of the
network in full size.
"""


def section(measured: Mapping[str, Row]) -> str:
    """All tables, of every number of threads."""
    rows = list(measured.values())
    parts = [INTRO]
    timed = [row for row in rows if "seconds" in row]
    for threads in sorted({row["threads"] for row in timed}):
        of_one = [row for row in timed if row["threads"] == threads]
        clocks = {row["clock"] for row in of_one} - {"wall"}
        how = ", processor time" if clocks else ""
        parts += [f"{threads} thread{'s' * (threads > 1)}{how}:\n", times(of_one) + "\n"]
    compared = [row for row in rows if "compared" in row]
    if compared:
        parts += [AGREEMENT, agreement(compared) + "\n"]
    for row in compared:
        if row["compared"]["published"]:
            parts += [f"{row['model']}. {POPULATIONS}", by_population(row) + "\n"]
    return "\n".join(parts)


def times(rows: Sequence[Row]) -> str:
    """Seconds a second, and how many times faster Spikewright is than the faster peer."""
    labels = list(dict.fromkeys(label for row in rows for label in row["seconds"]))
    lines = []
    for row in rows:
        seconds = row["seconds"]
        peers = [took for label, took in seconds.items() if label != OWN]
        faster = f"{min(peers) / seconds[OWN]:.2f} x" if peers and OWN in seconds else "-"
        sizes = f"{row['neurons']} neurons, {_many(row['synapses'])} synapses"
        figures = [_figure(row, label) for label in labels]
        lines.append([f"{row['model'].split(',')[0]}{_input(row)}, {sizes}", *figures, faster])
    return markdown_table(["", *labels, "faster"], lines)


def _input(row: Row) -> str:
    return " with constant input" if "constant" in row["model"] else ""


def _many(n: int) -> str:
    return f"{n / 1e6:.1f} M" if n >= 1e6 else f"{n / 1e3:.0f} k"


def _figure(row: Row, label: str) -> str:
    if label not in row["seconds"]:
        return "-"
    return f"{row['seconds'][label]:.3g}" + "\\*" * row["disturbed"][label]


def agreement(rows: Sequence[Row]) -> str:
    """Table: time until spikes first differ, and populations whose means disagree."""
    lines = [
        [
            f"{row['model']}, {label}",
            f"{1000 * found['same_seconds']:.4g} of {1000 * row['compared']['seconds']:g} ms",
            ", ".join(found["apart"]) or "agree",
            f"{found['distance']:.3f}",
        ]
        for row in rows
        for label, found in row["compared"]["agreement"].items()
    ]
    return markdown_table(["", "same spikes for", "rates and irregularity", "distance"], lines)


def by_population(row: Row) -> str:
    """Rates and irregularity of every population, beside published rates."""
    compared = row["compared"]
    labels = list(compared["populations"])
    published = compared["published"].get("rate", {})
    lines = []
    for name in compared["populations"][labels[0]]:
        means = [compared["populations"][label][name] for label in labels]
        figures = [_value(m[kind]["value"]) for kind in ("rate", "irregularity") for m in means]
        lines.append([name, _value(published.get(name, float("nan"))), *figures])
    cv = [f"CV, {label}" for label in labels]
    return markdown_table(["Hz", "published", *labels, *cv], lines)


def _value(number: float) -> str:
    return "-" if math.isnan(number) else f"{number:.2f}"
