"""A network that runs, in Chromium: inputs are moved, and its recordings follow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from networks import network, run
from windows import Window, opened

import spikewright as sw
from browsers import needed
from spikewright.explorer import Explorer

pytestmark = [pytest.mark.slow, needed]


@pytest.fixture
def window(browser: Any) -> Iterator[Window]:
    """A window with the page of a run that nobody has watched yet."""
    explorer = Explorer(run())
    with opened(browser, explorer.url) as found:
        yield found
    explorer.close()


def _now(window: Window, place: int) -> list[float]:
    """The latest values of a plot, as the page says."""
    return [float(value) for value in window.text(f"plot-{place}-now").split(",")]


def _paused(window: Window) -> int:
    """The step at which it stands once it is paused."""
    window.page.click("#play")
    window.wait()
    assert window.text("play") == "Play"
    return _standing(window)


def _standing(window: Window) -> int:
    """The step at which a paused run stands: that after the block under way.

    Tuning curves are computed after that block, and what is asked for after them tells its step.
    """
    for ensemble in ("1", "0"):
        window.page.locator("#ensemble").evaluate(
            "(e, v) => { e.value = v; e.dispatchEvent(new Event('change')) }", ensemble
        )
        window.wait()
    return window.step


def test_a_trace_follows_the_slider(window: Window) -> None:
    """The decoded value comes near to wherever the input is moved, and the plots change."""
    window.page.select_option("#speed", "10")
    window.page.click("#play")
    for value in (0.8, -0.6):
        before = window.pixels("plot-0"), window.pixels("plot-2")
        window.slide("input-0-0", value)
        window.wait()  # for the server: on a busy machine the drawing is thousands of steps behind
        window.reach(window.step + 1200)  # the block under way, of 400 steps, has the value before
        assert abs(_now(window, 0)[0] - value) < 0.1
        assert abs(_now(window, 1)[0] - value**2) < 0.15
        after = window.pixels("plot-0"), window.pixels("plot-2")
        assert all(a != b for a, b in zip(before, after, strict=True))
    assert window.text("status") == "Running"
    assert window.said == []


def test_it_stands_still_and_steps(window: Window) -> None:
    """Paused, nothing moves; a step is one step, and a reset leads back to the first."""
    window.page.click("#play")
    window.reach(20)
    there, picture = _paused(window), window.pixels("plot-0")
    window.page.wait_for_timeout(300)
    assert (window.step, window.pixels("plot-0")) == (there, picture)

    window.page.click("#step")
    window.reach(there + 1)
    assert window.text("clock") == f"step {there + 1}, {(there + 1) / 1000:.3f} s"
    window.page.click("#reset")
    window.until(lambda: window.step == 0)
    assert window.pixels("plot-0") != picture


def test_two_clicks_at_once_leave_it_as_it_stood(window: Window) -> None:
    """The second click asks for the opposite of the first, whose answer has not come yet."""
    window.page.locator("#play").evaluate("button => { button.click(); button.click() }")
    window.wait()
    assert window.text("play") == "Play"
    there = _standing(window)
    window.page.wait_for_timeout(300)
    assert window.step == there


def test_the_numbers_are_those_of_a_simulator(window: Window) -> None:
    """At a step, with the slider where it was moved: values and spikes."""
    window.slide("input-0-0", -0.7)
    for step in range(1, 8):
        window.page.click("#step")
        window.reach(step)
    net = network()
    with sw.Simulator(net, progress=False) as sim:
        sim.run_steps(7, {net.nodes[0]: [-0.7]})

    for place in (0, 4):
        data = sim.data[net.probes[place]][-1]
        shown = data if place == 0 else data[np.linspace(0, 79, 10).astype(int)][:3]
        told = window.text(f"plot-{place}-now").replace(", …", "")
        assert told == ", ".join(f"{value:.3f}" for value in shown)
    spikes = np.count_nonzero(sim.data[net.probes[2]][-1][np.linspace(0, 79, 50).astype(int)])
    assert window.text("plot-2-now") == f"{spikes} spikes in the latest step"


def test_a_reload_restores_the_run(window: Window) -> None:
    """Inputs, speed, time and all that is drawn; "as at first" takes inputs back."""
    window.slide("input-1-1", 0.9)
    window.page.select_option("#speed", "10")
    window.page.click("#play")
    window.reach(200)
    there = _paused(window)
    shown = [window.pixels(f"plot-{place}") for place in range(6)]
    window.page.reload()
    window.wait()
    assert window.step == there

    assert [window.pixels(f"plot-{place}") for place in range(6)] == shown
    assert window.page.input_value("#input-1-1") == "0.9"
    assert window.page.input_value("#speed") == "10"
    window.page.click("#first")
    assert window.page.input_value("#input-1-1") == "-0.2"


def test_curves_of_each_ensemble(window: Window) -> None:
    """Another ensemble has other curves, and the page says along what."""
    before = window.pixels("curves")
    assert window.text("along").startswith("40 of 80 neurons, in Hz, for -1 to 1: represented")
    window.page.select_option("#ensemble", "1")
    window.wait()
    assert "60" in window.text("along")
    assert window.pixels("curves") != before


def _middle(window: Window, box: Any) -> tuple[float, float]:
    """Where the middle of a box is."""
    found = box.bounding_box()
    return found["x"] + found["width"] / 2, found["y"] + found["height"] / 2


def test_the_diagram_is_arranged(window: Window) -> None:
    """A box is dragged, or moved by keys, and its arrows follow; a reload keeps where it is."""
    box = window.page.locator("#diagram button >> nth=3")
    way = window.page.locator("#diagram path >> nth=0")
    (x, y), before = _middle(window, box), way.get_attribute("d")
    window.page.mouse.move(x, y)
    window.page.mouse.down()
    window.page.mouse.move(x + 40, y - 30, steps=5)
    window.page.mouse.up()
    assert _middle(window, box) == pytest.approx((x + 40, y - 30), abs=1)
    assert way.get_attribute("d") != before
    box.press("ArrowDown")
    assert _middle(window, box) == pytest.approx((x + 40, y - 18), abs=1)

    window.page.reload()
    window.wait()
    assert _middle(window, box) == pytest.approx((x + 40, y - 18), abs=1)
    window.page.click("#arrange")
    assert _middle(window, box) == pytest.approx((x, y), abs=1)
    assert way.get_attribute("d") == before


def test_the_diagram_says_what_is_joined(window: Window) -> None:
    """Names hold the ends of arrows; a press leads to the slider, or to the tuning curves."""
    box = window.page.locator("#diagram button")
    assert box.nth(3).get_attribute("aria-label") == (
        "a, ensemble, 80 neurons, from stimulus, to Ensemble 2"
    )
    box.nth(4).press("Enter")
    assert window.page.input_value("#ensemble") == "1"
    box.nth(1).press("Enter")
    assert window.page.evaluate("document.activeElement.id") == "input-1-0"


def test_a_failing_model_is_told(browser: Any) -> None:
    """The page shows why it stands still."""
    with sw.Network(seed=0) as net:
        sw.Probe(sw.Node(lambda t: 1 / (t < 0.005), size_out=1, label="source"))
    explorer = sw.explore(net)
    with opened(browser, explorer.url) as window:
        window.page.click("#play")
        window.page.wait_for_selector("#status.wrong")
        assert "source" in window.text("status")
        assert window.text("play") == "Play"
    explorer.close()
