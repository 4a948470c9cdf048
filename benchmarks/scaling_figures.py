"""Times against one quantity: as a log-log plot, and as numbers."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from spikewright.records import Record

COLUMNS = ("axis", "value", "spikes", "neurons", "synapses", "additions", "engine")


def draw(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], name: str, title: str, path: Path
) -> None:
    """A log-log plot of seconds, as milliseconds; points at zero have no place on it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    with pyplot.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure, plot = pyplot.subplots(figsize=(5.6, 3.6))
        for label, (x, y) in lines.items():
            points = [(a, 1e3 * b) for a, b in zip(x, y, strict=True) if a > 0]
            plot.loglog(*zip(*points, strict=True), marker="o", label=label)
        plot.set(xlabel=name, ylabel="milliseconds a run")
        plot.set_title(title, fontsize=9)
        plot.grid(True, alpha=0.3)
        for side in (plot.xaxis, plot.yaxis):
            side.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
            side.set_major_formatter(ticker.FuncFormatter(_plain))
            side.set_minor_formatter(ticker.NullFormatter())
        plot.tick_params(axis="x", labelrotation=30)
        plot.legend(fontsize=8)
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)


def _plain(value: float, _: object) -> str:
    """Without an exponent: 0.5, 20, 5 000, 2 M."""
    if value >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value:,g}".replace(",", " ") if value < 1e5 else f"{value / 1e3:g} k"


def write_csv(records: Sequence[Record], path: Path) -> None:
    """All points: what the figure shows, as numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, "seconds", "low", "high", "n"])
        for r in records:
            low, high = r.interval or ("", "")
            writer.writerow([*(r.how[name] for name in COLUMNS), r.value, low, high, r.n])
