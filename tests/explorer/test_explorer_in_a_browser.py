"""The explorer in Chromium: what is moved is seen, and the numbers are those of the library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from explorers import subject
from windows import Window, opened

import spikewright as sw
from browsers import needed
from spikewright._base.amounts import format_energy
from spikewright.explorer import Explorer

SAMPLES = 80

pytestmark = [pytest.mark.slow, needed]


@pytest.fixture(scope="module")
def explorer() -> Iterator[Explorer]:
    """The shipped digits, served."""
    found = Explorer(subject(SAMPLES))
    yield found
    found.close()


@pytest.fixture
def window(browser: Any, explorer: Explorer) -> Iterator[Window]:
    """A window with the page in it."""
    with opened(browser, explorer.url) as found:
        yield found


def test_the_slider_moves_spikes_and_accuracy(window: Window) -> None:
    """Numbers on the page are those of `sw.sweep` and of `run`, at every place of the slider."""
    x, y = sw.demo.held_out(SAMPLES)
    before = window.pixels("raster-0")
    for place, scale in ((0, 1.0), (170, 50.1)):
        window.slide("scale", place)
        window.wait()
        swept = sw.sweep(sw.demo.MODEL, x, y, scales=scale, steps=64, progress=False)
        reading = next(r for r in swept.readings if r.readout == "mean")
        accuracy = reading.judged[0].value
        made = sw.convert(sw.demo.MODEL, spiking=True, scale_firing_rates=scale)
        counts = made.run(x[:1], steps=64, progress=False).spike_counts()

        assert window.text("score") == f"{100 * accuracy.value:.1f} % accuracy"
        low, high = (f"{100 * value:.1f} %" for value in accuracy.interval)
        assert window.text("interval").startswith(f"{low} to {high}, on 80 of 80 samples")
        assert f"{reading.spikes:,.1f}" in window.text("costs")
        assert format_energy(reading.energy, swept.energy_table) in window.text("costs")
        assert window.spikes == sum(int(layer[0]) for layer in counts.values())
    assert window.pixels("raster-0") != before


def test_a_reload_restores_the_state(window: Window) -> None:
    """The address holds all choices, and another window that is given it shows the same."""
    window.slide("scale", 200)
    window.slide("steps", 12)
    for name, value in (("cap", "1"), ("neuron", "bipolar"), ("readout", "last")):
        window.page.select_option(f"#{name}", value)
    window.page.click("#samples button:nth-child(7)")
    window.wait()
    shown = [window.text(n) for n in ("status", "answer", "score", "interval", "call")]
    pixels = window.pixels("raster-1")
    window.page.reload()
    window.wait()

    assert "steps=12" in window.page.url
    assert [window.text(n) for n in ("status", "answer", "score", "interval", "call")] == shown
    assert window.pixels("raster-1") == pixels


def test_advice_is_taken(window: Window) -> None:
    """What would help is shown, and a press on "Try" does it: accuracy rises."""
    window.slide("scale", 0)
    window.slide("steps", 16)
    window.wait()
    before = float(window.text("score").split()[0])
    assert re.match(
        r"Each layer alone, over 80 samples: relu\d [\d.]+ points lost", window.text("advice")
    )
    first = window.page.locator("#proposals li >> nth=0").inner_text()
    assert re.search(r": [\d.]+ points gained, [\d.,]+ spikes more", first)
    window.page.click("#proposals button >> nth=0")
    window.wait()

    assert float(window.text("score").split()[0]) > before + 20
