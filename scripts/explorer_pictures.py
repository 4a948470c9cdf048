"""Writes the pictures of docs/explore.md: both pages of the explorer, in the machine's Chromium.

    python -m scripts.explorer_pictures [--folder docs]

The conversion is the shipped one, in light, in dark and as wide as a telephone; then in signed
digits, with a digit that was drawn, half played, and with a scale that is too small, and advice.
The network made by hand is the one on that page, after a slider was moved.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.explorer import browser
from PIL import Image
from scripts.gallery import save_in_colours

import spikewright as sw

DOCS = Path(__file__).parents[1] / "docs"


def network() -> sw.Network:
    """A value, its square, and the integral of that."""
    with sw.Network("A value, its square and the integral", seed=1) as net:
        stimulus = sw.Node([0.5], label="stimulus")
        a = sw.Ensemble(100, 1, label="value")
        b = sw.Ensemble(100, 1, label="square")
        c = sw.Ensemble(100, 1, label="integral")
        sw.Connection(stimulus, a)
        sw.Connection(a, b, function=np.square)
        sw.Connection(b, c, transform=0.1, synapse=0.1)
        sw.Connection(c, c, synapse=0.1)
        sw.Probe(a, synapse=0.03)
        sw.Probe(b, synapse=0.03)
        sw.Probe(c, synapse=0.03)
        sw.Probe(a.neurons)
    return net


def _opened(chromium: Any, url: str, scheme: str, width: int, height: int) -> Any:
    page = chromium.new_page(color_scheme=scheme, viewport={"width": width, "height": height})
    page.goto(url)
    page.wait_for_selector("body[data-state=done]", timeout=120_000)
    return page


def of_conversion(chromium: Any, folder: Path) -> None:
    """The shipped digits, three times."""
    explorer = sw.explore()
    views = {"explore": ("light", 1300, 950), "explore_dark": ("dark", 1300, 950)}
    views["explore_phone"] = ("light", 375, 1500)
    for name, view in views.items():
        page = _opened(chromium, explorer.url, *view)
        page.screenshot(path=folder / f"{name}.png")
        page.close()
    explorer.close()


def of_digits(chromium: Any, folder: Path) -> None:
    """Four signed digits."""
    explorer = sw.explore()
    page = _opened(chromium, f"{explorer.url}#digits=4", "light", 1300, 950)
    page.screenshot(path=folder / "explore_digits.png")
    explorer.close()


STROKES = (((0.3, 0.2), (0.7, 0.2)), ((0.7, 0.2), (0.45, 0.85)))  # of a seven


def of_a_drawing(chromium: Any, folder: Path) -> None:
    """A digit that was drawn, played to the middle."""
    explorer = sw.explore()
    page = _opened(chromium, explorer.url, "light", 1300, 950)
    box = page.locator("#pad").bounding_box()
    for begin, end in STROKES:
        (x0, y0), (x1, y1) = (
            (box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in (begin, end)
        )
        page.mouse.move(x0, y0)
        page.mouse.down()
        page.mouse.move(x1, y1, steps=12)
        page.mouse.up()
    page.wait_for_selector("body[data-state=done]", timeout=120_000)
    page.locator("#time").evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')) }", 24
    )
    page.screenshot(path=folder / "explore_drawn.png")
    explorer.close()


def of_advice(chromium: Any, folder: Path) -> None:
    """A scale that is too small for few steps, scales of layers, and what to change."""
    explorer = sw.explore()
    page = _opened(chromium, f"{explorer.url}#scale=2&steps=16", "light", 1300, 950)
    page.click("#apart summary")
    page.screenshot(path=folder / "explore_advice.png", full_page=True)
    explorer.close()


def of_network(chromium: Any, folder: Path) -> None:
    """A run in which the input has just moved."""
    explorer = sw.explore(network())
    page = _opened(chromium, explorer.url, "light", 1300, 1200)
    page.click("#play")
    for value in (0.5, -0.8):
        page.locator("#input-0-0").evaluate(
            "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')) }", value
        )
        page.wait_for_timeout(600)
    page.click("#play")
    page.wait_for_timeout(500)
    page.screenshot(path=folder / "explore_network.png")
    explorer.close()


COLOURS = 256
"""Of each picture: the pages have few, and a file is a third of one in true colour."""


def main() -> None:
    """Write all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=DOCS)
    folder = parser.parse_args().folder
    with browser() as chromium:
        of_conversion(chromium, folder)
        of_digits(chromium, folder)
        of_a_drawing(chromium, folder)
        of_advice(chromium, folder)
        of_network(chromium, folder)
    for path in folder.glob("explore*.png"):
        save_in_colours(Image.open(path), path, COLOURS)


if __name__ == "__main__":
    main()
