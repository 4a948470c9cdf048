"""The explorer in Chromium: what is moved is seen, and the numbers are those of the library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from explorers import subject
from windows import Window, opened

import spikewright as sw
from browsers import needed
from spikewright._base.amounts import format_energy
from spikewright.explorer import Explorer
from spikewright.explorer.answers import CURVE

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
        reading = next(r for r in swept.points if r.readout == "mean")
        accuracy = reading.scores[0].value
        made = sw.convert(sw.demo.MODEL, spiking=True, scale_firing_rates=scale)
        counts = made.run(x[:1], steps=64, progress=False).spike_counts()

        assert window.text("score") == f"{100 * accuracy.value:.1f} % accuracy"
        low, high = (f"{100 * value:.1f} %" for value in accuracy.interval)
        assert window.text("interval").startswith(f"{low} to {high}, on 80 of 80 samples")
        assert f"{reading.spikes:,.1f}" in window.text("costs")
        assert format_energy(reading.energy, swept.facts["energy_table"]) in window.text("costs")
        assert window.spikes == sum(int(layer[0]) for layer in counts.values())
    assert window.pixels("raster-0") != before


def test_values_as_signed_digits(window: Window) -> None:
    """Choices of digits in the place of those of rates, and steps of both kinds."""
    page = window.page
    assert not page.is_visible("#digits") and page.is_visible("#scale")
    page.select_option("#code", "digits")
    window.wait()
    rates = window.pixels("raster-1")
    page.select_option("#digits", "3")
    page.select_option("#silent", "2")
    window.wait()

    x, y = sw.demo.held_out(SAMPLES)
    coding = sw.SignedDigits(3, 2)
    made = sw.convert(sw.demo.MODEL, spiking=True, coding=coding, calibration=x)
    run = made.run(x, progress=False)
    assert window.spikes == sum(int(layer[0]) for layer in run.spike_counts().values())
    assert window.text("status").endswith("3 steps of each layer, 5 of the network")
    assert "inputs: 2. Time" in window.text("waits") and window.text("time-value") == "5 of 5"
    right = (run.predict().argmax(axis=1) == y).mean()
    assert window.text("score") == f"{100 * right:.1f} % accuracy"
    assert not page.is_visible("#scale") and not page.is_visible("#curve")
    assert window.pixels("raster-1") != rates
    page.select_option("#digits", "1")  # which has no room for two silent steps
    window.wait()
    assert page.input_value("#silent") == "1" and "digits=1&silent=1" in page.url
    page.reload()
    window.wait()
    assert window.text("status").endswith("1 steps of each layer, 2 of the network")
    page.select_option("#code", "rates")
    window.wait()
    assert window.text("status").endswith("in 64 steps") and page.is_visible("#scale")


def test_a_digit_is_drawn(window: Window) -> None:
    """Strokes on the pad become spikes; clearing it goes back to the sample."""
    sample, spikes = window.pixels("maps-0"), window.spikes
    box = window.page.locator("#pad").bounding_box()
    middle = box["x"] + box["width"] / 2
    window.page.mouse.move(middle, box["y"] + 20)
    window.page.mouse.down()
    window.page.mouse.move(middle, box["y"] + box["height"] - 20, steps=12)
    window.page.mouse.up()
    window.wait()

    assert window.text("answer") == ": answer 1, source 1"
    assert window.pixels("maps-0") != sample
    assert window.spikes != spikes
    window.page.click("#clear")
    window.wait()
    assert window.pixels("maps-0") == sample


def test_another_sample(window: Window) -> None:
    """It is the one that was pressed, with its label; the accuracy stays."""
    score, before = window.text("score"), window.pixels("maps-0")
    window.page.click("#samples button:nth-child(4)")
    window.wait()

    assert window.text("answer").endswith("label 2")
    assert window.page.get_attribute("#samples button:nth-child(4)", "aria-pressed") == "true"
    assert window.pixels("maps-0") != before
    assert window.text("score") == score


def test_time_is_played_paused_and_stepped(window: Window) -> None:
    """While it plays the maps light up and the output builds up; then it stands still."""
    whole = window.pixels("maps-0"), window.pixels("output")
    window.page.select_option("#speed", "5")  # over ten seconds, in which it is paused
    window.page.click("#play")
    window.until(lambda: 4 <= int(window.page.input_value("#time")) < 64)
    window.page.click("#play")
    time = int(window.page.input_value("#time"))
    paused = window.pixels("maps-0"), window.pixels("output")
    window.page.click("#step")

    assert 3 < time < 64
    assert window.text("time-value") == f"{time + 1} of 64"
    assert all(a != b for a, b in zip(whole, paused, strict=True))
    assert window.pixels("output") != paused[1]


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


def test_a_drawing_is_in_the_address(window: Window) -> None:
    """A reload shows the same drawing, and the same spikes."""
    empty, box = window.pixels("pad"), window.page.locator("#pad").bounding_box()
    window.page.mouse.click(box["x"] + 70, box["y"] + 90)
    window.wait()
    spikes, pad = window.spikes, window.pixels("pad")
    window.page.reload()
    window.wait()

    assert (window.spikes, window.pixels("pad")) == (spikes, pad)
    assert pad != empty


def test_a_choice_that_no_list_has_is_shown(window: Window, explorer: Explorer) -> None:
    """An address, or a conversion, may hold one."""
    window.page.goto("about:blank")
    window.open(f"{explorer.url}#cap=3&synapse=0.003")
    shown = [window.page.locator(f"#{n} option:checked").inner_text() for n in ("cap", "synapse")]

    assert shown == ["3", "3 ms"]
    assert "synapse=0.003" in window.text("call") and "max_spikes_per_step=3" in window.text("call")


def test_two_pages_at_once(browser: Any, window: Window, explorer: Explorer) -> None:
    """Each shows its own state."""
    other = Window(browser.new_page())
    other.open(f"{explorer.url}#scale=2&steps=5")
    window.slide("scale", 100)
    other.slide("steps", 9)
    window.wait()
    other.wait()

    assert (window.text("scale-value"), window.text("steps-value")) == ("10", "64")
    assert (other.text("scale-value"), other.text("steps-value")) == ("2", "9")
    assert "scale_firing_rates=2.0" in other.text("call")
    assert "steps=64" in window.text("call")
    other.page.close()


def test_the_curve_has_every_scale(window: Window) -> None:
    """Points of the curve are drawn, and the one where we are."""
    before = window.pixels("curve")
    window.slide("scale", 30)
    window.wait()

    assert len(CURVE) == 10
    assert window.pixels("curve") != before


def test_layers_have_scales_of_their_own(window: Window) -> None:
    """A slider of a layer moves that layer; "All alike" takes it back."""
    before = window.text("call")
    window.page.click("#apart summary")
    window.slide("scale-1", 200)
    window.wait()
    call = window.text("call")
    window.page.click("#alike")
    window.wait()

    assert "scale_firing_rates={'relu1': 10.0, 'relu2': 100.0}" in call
    assert window.text("call") == before


def test_a_rule_chooses_scales(window: Window) -> None:
    """A text that is none is answered with a sentence, and the next one works."""
    window.page.fill("#rule", "percentil:99")
    window.page.keyboard.press("Enter")
    window.page.wait_for_selector("#status.wrong")
    assert "'percentil:99' is no rule" in window.text("status")
    window.page.fill("#rule", "percentile:99,per=layer")
    window.page.keyboard.press("Enter")
    window.wait()

    assert window.page.locator("#status.wrong").count() == 0
    assert re.search(r"scale_firing_rates={'relu1': \d+\.\d+", window.text("call"))


def test_old_advice_is_grey(window: Window) -> None:
    """While it is measured anew there is a spinner, the old is grey, and nothing can be tried."""
    page = window.page
    window.slide("scale", 0)
    window.wait()
    assert not page.is_visible(".spinner") and not page.locator("#results .old").count()
    buttons = page.locator("#proposals button")
    assert buttons.count() and buttons.first.is_enabled()
    spins, shown, disabled = page.locator("#scale").evaluate(
        """slider => {  // at once: no answer comes in between
            slider.value = 10;
            slider.dispatchEvent(new Event("input"));
            const [spinner, advice, button] = [".spinner", "#proposed", "#proposals button"].map(
                name => document.querySelector(name));
            return [spinner.checkVisibility(), advice.className, button.disabled];
        }"""
    )
    assert (spins, shown, disabled) == (True, "old", True)


def test_classes_have_names(browser: Any) -> None:
    """They stand in the place of numbers beside samples and in the answer."""
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    explorer = Explorer(replace(subject(SAMPLES), class_names=tuple(names)))
    with opened(browser, explorer.url) as window:
        assert window.text("answer") == ": answer six, source six, label six"
        assert window.page.inner_text("#samples button >> nth=3") == "two"
        label = window.page.get_attribute("#samples button >> nth=3", "aria-label")
        assert label == "Sample 3, label two"
    explorer.close()


def test_accuracy_stays_in_view_on_a_telephone(browser: Any, explorer: Explorer) -> None:
    """Wherever a narrow page is scrolled to, its accuracy is in the window."""
    with opened(browser, explorer.url, width=375) as window:
        for place in (0, 1000, 10_000):
            window.page.mouse.wheel(0, place)
            window.page.wait_for_timeout(100)
            box = window.page.locator("#brief").bounding_box()
            assert box["y"] >= 0 and box["y"] + box["height"] <= 900
        assert window.text("brief").startswith(window.text("score"))


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
