"""Runs and evaluations that lose much say so: once a conversion, in a line, with the next move."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright import demo
from spikewright.conversion import loss_warnings
from spikewright.errors import ConversionWarning
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Input

X, Y = demo.held_out(120)
QUIET: dict[str, Any] = {"progress": False}
RNG = np.random.default_rng(0)


def poor(**changes: Any) -> sw.Conversion:
    """A network that spikes as often as it may, and loses many points in 8 steps."""
    usual = {"spiking": True, "scale_firing_rates": 3000.0, "max_spikes_per_step": 1}
    return sw.convert(demo.MODEL, **{**usual, **changes})


def digits() -> sw.Conversion:
    """A network whose code was chosen, with too few digits."""
    return sw.convert(demo.MODEL, spiking=True, coding=sw.SignedDigits(1), calibration=X)


def said(call: Callable[[], Any]) -> list[str]:
    """The warnings of conversions in a call, which stand at the line here."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    found = [w for w in caught if issubclass(w.category, ConversionWarning)]
    assert all(w.filename == __file__ for w in found)
    return [str(w.message) for w in found]


CALLS: dict[str, Callable[[sw.Conversion], Any]] = {
    "evaluate with labels": lambda c: c.evaluate(X, Y, steps=8, **QUIET),
    "evaluate without": lambda c: c.evaluate(X, steps=8, **QUIET),
    "run": lambda c: c.run(X, steps=8, **QUIET),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_loses_much_says_so_once(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """One line of at most 120 characters with figures and the next move, which is silent."""
    conversion = poor()
    with caplog.at_level(logging.DEBUG):
        (text,) = said(lambda: CALLS[name](conversion))
    assert len(text) <= 120 and "\n" not in text and "in 8 steps" in text
    assert text.endswith("Let samples choose: convert with calibration=x, steps=8")
    assert ("points of accuracy are lost" in text) == (name == "evaluate with labels")
    assert caplog.messages == []
    assert said(lambda: [call(conversion) for call in CALLS.values()]) == []
    helped = sw.convert(demo.MODEL, spiking=True, calibration=X, steps=8)
    assert said(lambda: CALLS[name](helped)) == []


def test_the_share_is_that_of_these_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decisions are counted on the first hundred samples; a network that was chosen may train."""
    conversion = digits()
    run = conversion.run(X, **QUIET)
    source = sw.convert(demo.MODEL).run(X, steps=1, **QUIET).predict()
    differ = np.mean(run.predict()[:100].argmax(1) != source[:100].argmax(1))
    monkeypatch.setattr(loss_warnings, "_DECISIONS", differ - 0.001)
    again = digits()
    (text,) = said(lambda: again.run(X, **QUIET))
    assert text.startswith(f"{100 * differ:.1f} % of answers") and "conversion.train(x)" in text
    monkeypatch.setattr(loss_warnings, "_DECISIONS", differ + 0.001)
    assert said(lambda: digits().run(X, **QUIET)) == []


def test_values_are_compared_in_deviations() -> None:
    """Outputs that are an image tell no classes apart: the distance of their values is said."""
    nodes = (
        GraphNode("in", Input((1, 4, 4))),
        GraphNode("relu", Activation("relu"), ("in",)),
    )
    x = RNG.uniform(size=(40, 1, 4, 4))
    (text,) = said(
        lambda: sw.convert(Graph(nodes, {"out": "relu"}), spiking=True, scale_firing_rates=200.0)
        .run(x, steps=8, **QUIET)
    )  # fmt: skip
    assert "deviations off in 8 steps" in text and len(text) <= 120


def test_the_source_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten samples at least and a hundred at most; later runs do not ask."""
    asked: list[int] = []
    plain = loss_warnings.evaluate

    def counted(graph: Graph, x: Any) -> Any:
        asked.append(len(next(iter(x.values()))))
        return plain(graph, x)

    monkeypatch.setattr(loss_warnings, "evaluate", counted)
    fine = poor(scale_firing_rates=200.0, max_spikes_per_step=None)
    for count in (9, 120, 120):
        assert said(lambda count=count: fine.run(X[:count], steps=32, **QUIET)) == []  # type: ignore[misc]
    assert asked == [100]
    monkeypatch.setattr(loss_warnings, "_WORK", 0)
    assert said(lambda: poor().run(X, steps=8, **QUIET)) == [] and asked == [100]


@pytest.mark.parametrize(
    "call",
    [
        lambda: poor().run(np.repeat(X[:, None], 8, 1), **QUIET),
        lambda: poor().run(X, steps=8, encoder=sw.encoders.Poisson(), **QUIET),
        lambda: sw.convert(demo.MODEL).run(X, steps=1, **QUIET),
        lambda: poor().diagnose(X, Y, steps=8, **QUIET),
        lambda: poor().verify(X),
        lambda: sw.sweep(demo.MODEL, X, Y, scales=[3000.0], steps=8, **QUIET),
        lambda: poor().train(X, Y, steps=8, epochs=1, **QUIET),
        lambda: [poor().stream().step(x) for x in X[:2]],
    ],
    ids=["moving", "spikes", "rates", "diagnose", "verify", "sweep", "train", "stream"],
)
def test_others_say_nothing(call: Callable[[], Any]) -> None:
    """Input over time or in spikes has no answer of the source; searches speak for themselves."""
    assert said(call) == []


def test_a_warning_is_not_joined_by_another() -> None:
    """A network that hardly spikes says that alone, though its answers are not the source's."""
    nodes = (
        GraphNode("in", Input((8, 8))), GraphNode("relu", Activation("relu"), ("in",)),
    )  # fmt: skip
    graph = Graph(nodes, {"out": "relu"})
    (text,) = said(lambda: sw.convert(graph, spiking=True, scale_firing_rates=1.0)
                   .run(RNG.uniform(size=(20, 8, 8)), steps=4, **QUIET))  # fmt: skip
    assert "hardly spike" in text
