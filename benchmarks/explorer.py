"""Times of the explorer: of its answers, of its page's longest task, of its server's wait.

    python -m benchmarks.explorer --mnist mnist.npz [--moves 9] [--document]

In the machine's Chromium, one network after the other: the shipped digits, the published network of
MNIST with its kept weights, one of ten million parameters with random weights, and one made by hand
that plays. A slider is moved again and again, to a new scale each time, so that each answer needs a
conversion and a run: `answer` is the time from the move to the drawing, by the page's clock. Then
the page is left alone while the data is measured. `page` is the longest task of its main thread in
all that time, `server` the longest wait for a file of it that is asked for every 50 ms meanwhile.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import spikewright as sw
from benchmarks.marked import add_document, write_section
from benchmarks.results import markdown_table
from spikewright.errors import SpikewrightError

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_WATCH = """(() => {
  window.tasks = [0];
  new PerformanceObserver((list) => window.tasks.push(...list.getEntries().map((e) => e.duration)))
    .observe({ type: "longtask", buffered: true });
})()"""


class Row(NamedTuple):
    """Milliseconds: of each answer, of the page's longest task, of the server's longest wait."""

    name: str
    answers: list[float]
    page: float
    server: float

    def cells(self) -> list[str]:
        """The row of a table."""
        found = [statistics.median(self.answers), max(self.answers), self.page, self.server]
        page = "below 50" if self.page == 0 else f"{self.page:.0f}"
        return [self.name, *(f"{value:.0f}" for value in found[:2]), page, f"{self.server:.0f}"]


def large() -> tuple[Any, Any]:
    """A dense network of ten million parameters, 784-2800-2800-10, and 64 inputs."""
    import torch

    torch.manual_seed(0)
    sizes = (784, 2800, 2800, 10)
    layers = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
    model = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])
    return model.eval(), np.random.default_rng(0).random((64, 784)).astype(np.float32)


def by_hand() -> sw.Network:
    """Ten ensembles of 500 neurons in a row, with the values and the spikes of all."""
    with sw.Network("Ten ensembles in a row", seed=1) as net:
        before: Any = sw.Node([0.5], label="input")
        for _ in range(10):
            ensemble = sw.Ensemble(500, 1)
            sw.Connection(before, ensemble)
            sw.Probe(ensemble, synapse=0.03)
            sw.Probe(ensemble.neurons)
            before = ensemble
    return net


@contextmanager
def browser() -> Iterator[Any]:
    """The machine's Chromium; raises `SpikewrightError` where there is none."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        raise SpikewrightError(f"no browser on this machine: {', '.join(_NAMES)}")
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield found
        found.close()


@contextmanager
def pinged(url: str) -> Iterator[list[float]]:
    """The milliseconds that the server takes to answer, every 50 ms, in a list that grows."""
    waits: list[float] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(0.05):
            begun = time.perf_counter()
            with urllib.request.urlopen(f"{url}explorer.css") as answer:
                answer.read()
            waits.append(1000 * (time.perf_counter() - begun))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield waits
    finally:
        ended.set()
        asking.join()


def of_scales(page: Any, moves: int) -> list[float]:
    """The milliseconds of each answer, then everything measured at the last scale."""
    done = "body[data-state=done]"
    page.wait_for_selector(done, timeout=600_000)
    answers = []
    for move in range(moves):
        page.evaluate("delete document.body.dataset.latency")
        _slide(page, "scale", 60 + 11 * move)
        page.wait_for_selector("body[data-latency]", timeout=60_000)
        answers.append(float(page.get_attribute("body", "data-latency")))
    page.wait_for_selector(done, timeout=600_000)
    return answers


def of_inputs(page: Any, moves: int) -> list[float]:
    """The milliseconds from each move of an input to the first drawing that knows it."""
    page.wait_for_selector("body[data-state=done]")
    page.click("#play")
    page.wait_for_timeout(500)
    answers = []
    for move in range(moves):
        page.evaluate("delete document.body.dataset.latency")
        _slide(page, "input-0-0", -0.9 + 0.2 * move)
        page.wait_for_selector("body[data-latency]", timeout=60_000)
        answers.append(float(page.get_attribute("body", "data-latency")))
        page.wait_for_timeout(300)
    return answers


def _slide(page: Any, name: str, value: float) -> None:
    page.locator(f"#{name}").evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')) }", value
    )


def measured(
    name: str, explorer: sw.results.Explorer, answers: Callable[[Any, int], list[float]], moves: int
) -> Row:
    """The row of one page."""
    with browser() as opened, pinged(explorer.url) as waits:
        page = opened.new_page(viewport={"width": 1400, "height": 900})
        page.add_init_script(_WATCH)
        page.goto(explorer.url)
        taken = answers(page, moves)
        longest = page.evaluate("Math.max(...window.tasks)")
    explorer.close()
    return Row(name, taken, longest, max(waits))


def digits(mnist: Path) -> sw.results.Explorer:
    """The explorer of the shipped network."""
    return sw.explore()


def published(mnist: Path) -> sw.results.Explorer:
    """That of the published network, with its kept weights, and 200 images."""
    from benchmarks import sources
    from benchmarks.image_sets import load

    with tempfile.TemporaryDirectory() as cache:
        found = sources.mnist(load(mnist), Path(cache))
    return sw.explore(found.model, found.x_test[:200], found.y_test[:200])


CASES: list[tuple[str, Callable[[Path], sw.results.Explorer]]] = [
    ("digits, shipped, 3 k parameters", digits),
    ("MNIST, published", published),
    ("784-2800-2800-10, 10 M", lambda mnist: sw.explore(*large())),
    ("made by hand, 10 x 500 neurons", lambda mnist: sw.explore(by_hand())),
]


def main() -> None:
    """Measure, print, and write the table into the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, required=True, help="see image_sets.py")
    parser.add_argument("--moves", type=int, default=9)
    add_document(parser, "explore.md")
    given = parser.parse_args()
    head = ["network", "answer, median", "answer, longest", "page's longest task", "server's wait"]
    found = []
    for name, opened in CASES:
        answers = of_inputs if name.startswith("made by hand") else of_scales
        row = measured(name, opened(given.mnist), answers, given.moves)
        print(*row.cells(), sep="\t", flush=True)
        found.append(row.cells())
    write_section("explorer", markdown_table(head, found), given.document)


if __name__ == "__main__":
    main()
