"""The picture of docs/benchmarks.md, from the tables of that page: times of libraries at 10 %.

python -m benchmarks.picture
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.document import PATH

NETWORKS = {"W1": "W1, dense", "W2": "W2, convolutions"}
LIBRARIES = ("Spikewright", "SpikingJelly", "snnTorch", "Norse", "sinabs")
AT = 3
"""The column of 10 %, behind the name and the spikes of a step."""


def fastest(page: str, network: str) -> dict[str, float]:
    """Of each library the least ratio to as many forward passes, in the order of `LIBRARIES`."""
    table = page.split(f"### {network}\n")[1].split("\n#")[0]
    rows = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    timed = [row for row in rows if len(row) > AT and row[AT][:1].isdigit()]
    ratios = {row[0]: float(row[AT].split()[0]) for row in timed}
    return {
        library: min(ratio for name, ratio in ratios.items() if name.startswith(library))
        for library in LIBRARIES
    }


def figure(page: str) -> Any:
    """A panel for each network, a bar for each library."""
    from matplotlib import pyplot

    drawn, panels = pyplot.subplots(
        1, len(NETWORKS), figsize=(9, 2.4), sharey=True, layout="constrained"
    )
    for axes, (network, title) in zip(panels, NETWORKS.items(), strict=True):
        found = fastest(page, network)
        colours = ["tab:blue" if name == LIBRARIES[0] else "tab:grey" for name in found]
        bars = axes.barh(list(found), list(found.values()), color=colours)
        axes.bar_label(bars, fmt="%.2f", padding=3)
        axes.axvline(1.0, color="black", linewidth=0.8, linestyle="--")
        axes.set(title=title, xlabel="time, in forward passes of the source")
        axes.set_xlim(0, 1.15 * max(1.0, *found.values()))
    panels[0].invert_yaxis()
    return drawn


def main() -> None:
    """Draw the picture anew."""
    from scripts.page_pictures import save

    print(save(Path(PATH.name), figure(PATH.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
