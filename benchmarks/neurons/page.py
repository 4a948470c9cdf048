"""Tables of random networks of neurons in several simulators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.neurons.statistics import ERRORS
from benchmarks.results import markdown_table

Row = Mapping[str, Any]
OWN = "Spikewright"

INTRO = """\
The same networks, drawn once and read from one file by every simulator (`benchmarks/neurons/`),
integrated exactly: seconds per second of the network's time, simulation alone, without recordings
and without compiling. Written by

    python -m venv peers && peers/bin/pip install 'numpy<2.4' brian2 cython nest-simulator
    python -m benchmarks.networks_of_neurons --peers peers/bin/python --document
"""
AGREEMENT = f"""\
Agreement with Spikewright: how long all spikes are the same without random input (later, rounding
in the last digit moves one, and a chaotic network diverges); whether means of populations differ
by at most {ERRORS:g} standard errors; and the largest distance of the distributions of the
neurons' rates.
"""


def section(measured: Mapping[str, Row]) -> str:
    """All tables."""
    rows = list(measured.values())
    timed = [row for row in rows if "seconds" in row]
    compared = [row for row in rows if "compared" in row]
    parts = [INTRO]
    if timed:
        parts += [times(timed) + "\n"]
    if compared:
        parts += [AGREEMENT, agreement(compared) + "\n"]
    return "\n".join(parts)


def times(rows: Sequence[Row]) -> str:
    """Seconds a second, and how many times faster Spikewright is than each peer."""
    labels = list(dict.fromkeys(label for row in rows for label in row["seconds"]))
    peers = [label for label in labels if label != OWN]
    lines = []
    for row in rows:
        seconds = row["seconds"]
        figures = [f"{seconds[label]:.3g}" if label in seconds else "-" for label in labels]
        faster = [
            f"{seconds[peer] / seconds[OWN]:.1f} x" if {peer, OWN} <= set(seconds) else "-"
            for peer in peers
        ]
        sizes = f"{row['neurons']} neurons, {_many(row['synapses'])} synapses"
        name = f"{row['model'].split(',')[0]}, {sizes}"
        lines.append([name, f"{1e3 * row['dt']:g} ms", _delays(row), *figures, *faster])
    than = [f"faster than {peer}" for peer in peers]
    return markdown_table(["", "step", "delays", *labels, *than], lines)


def _delays(row: Row) -> str:
    shortest, longest = (1e3 * delay for delay in row["delays"])
    return f"{shortest:g} ms" if shortest == longest else f"{shortest:g} to {longest:g} ms"


def _many(n: int) -> str:
    return f"{n / 1e6:.1f} M" if n >= 1e6 else f"{n / 1e3:.0f} k"


def agreement(rows: Sequence[Row]) -> str:
    """Table: time until spikes first differ, and populations whose means disagree."""
    lines = [
        [
            f"{row['model']}, {1e3 * row['dt']:g} ms, {label}",
            f"{1000 * found['same_seconds']:.4g} of {1000 * row['compared']['seconds']:g} ms",
            ", ".join(found["apart"]) or "agree",
            f"{found['distance']:.3f}",
        ]
        for row in rows
        for label, found in row["compared"]["agreement"].items()
    ]
    return markdown_table(["", "same spikes for", "rates and irregularity", "distance"], lines)
