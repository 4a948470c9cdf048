"""Draws the logo and the picture that links to the site show.

    python -m scripts.logo

The logo is the raster of five neurons whose spikes form an S. The preview has the spikes that the
demonstration's network sends for one digit.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from scripts.gallery import save_in_colours

import spikewright as sw
from spikewright import demo

FOLDER = Path(__file__).parents[1] / "docs" / "_making" / "static"
LOGO, PREVIEW = FOLDER / "logo.svg", FOLDER / "preview.png"
RASTER = (".####", "#....", ".###.", "....#", "####.")
"""Rows of neurons, columns of steps."""
SPIKE, SILENT = "#1f8fd0", "#8a94a0"  # both legible on white and on furo's dark grey
WIDTH, HEIGHT = 1200, 630
LINES = (
    "Turn Keras, PyTorch and ONNX models\ninto spiking networks, and see what\neach choice costs."
)
INK, PAPER, MUTED = "#eef3f7", "#10161d", "#9fb0c0"


def marks() -> Iterator[tuple[int, int, bool]]:
    """Column, row and whether there is a spike."""
    for row, line in enumerate(RASTER):
        for column, mark in enumerate(line):
            yield column, row, mark == "#"


def logo() -> str:
    """The SVG: a bar for a spike, a dot for a silent step."""
    shapes = []
    for column, row, spike in marks():
        x, y = 8 + 12 * column, 8 + 12 * row
        if spike:
            shapes.append(
                f'<rect x="{x - 3}" y="{y - 5.5}" width="6" height="11" rx="3" fill="{SPIKE}"/>'
            )
        else:
            shapes.append(f'<circle cx="{x}" cy="{y}" r="1.3" fill="{SILENT}"/>')
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" role="img">'
    return "\n".join([head, "<title>Spikewright</title>", *shapes, "</svg>", ""])


def spikes() -> tuple[np.ndarray, np.ndarray]:
    """A digit, and the spikes of the first layer for it: `(steps, neurons)`, some neurons only."""
    x, _ = demo.held_out(1)
    conversion = sw.convert(demo.MODEL, spiking=True, scale_firing_rates=20)
    run = conversion.run(x, steps=64, record=["relu1"], progress=False)
    sent = (np.asarray(run.recorded["relu1"][0]).reshape(64, -1) != 0).astype(int)
    active = np.flatnonzero(sent.sum(axis=0) > 3)
    chosen = active[:: max(1, len(active) // 48)][:48]
    return x[0, 0], sent[:, chosen[np.argsort(sent[:, chosen].sum(axis=0))]]


def preview() -> Any:
    """The figure of the preview."""
    digit, sent = spikes()
    figure = plt.figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100, facecolor=PAPER)
    sign = figure.add_axes((0.06, 0.70, 0.105, 0.2))
    for column, row, spike in marks():
        size = {"linewidth": 6.5, "solid_capstyle": "round"} if spike else {}
        if spike:
            sign.plot([column] * 2, [-row - 0.27, -row + 0.27], color="#39a9ea", **size)
        else:
            sign.plot(column, -row, ".", color=SILENT, markersize=5)
    sign.set(xlim=(-0.6, 4.6), ylim=(-4.6, 0.6))
    picture = figure.add_axes((0.50, 0.36, 0.14, 0.27))
    picture.imshow(digit, cmap="gray")
    raster = figure.add_axes((0.67, 0.12, 0.29, 0.76))
    steps, neurons = np.nonzero(sent)
    raster.vlines(steps, neurons - 0.38, neurons + 0.38, color="#39a9ea", linewidth=1.6)
    raster.set(xlim=(-1, len(sent)), ylim=(-1, sent.shape[1]))
    for axes in (sign, picture, raster):
        axes.axis("off")
    figure.text(0.06, 0.545, "Spikewright", fontsize=44, fontweight="bold", color=INK)
    figure.text(0.06, 0.27, LINES, fontsize=19, linespacing=1.45, color=MUTED)
    return figure


def main() -> None:
    """Write both files."""
    LOGO.write_text(logo(), encoding="utf-8")
    stream = BytesIO()
    preview().savefig(stream, dpi=100, facecolor=PAPER)
    stream.seek(0)
    save_in_colours(Image.open(stream), PREVIEW, 64)


if __name__ == "__main__":
    main()
