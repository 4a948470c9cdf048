"""What conversions say: each thing once, where the user's line is, and never of candidates."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from models import mlp
from spikewright import demo
from spikewright.errors import ConversionWarning
from spikewright.lower.trace import suppress_warnings

X = np.random.default_rng(3).normal(size=(48, 6))


def _said(caught: list[warnings.WarningMessage]) -> list[str]:
    return [str(w.message) for w in caught if issubclass(w.category, ConversionWarning)]


def _run(conversion: sw.Conversion, **changes: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        conversion.run(X, **{"steps": 4, **changes})
    return _said(caught)


def test_a_network_that_hardly_spikes_says_so_and_what_would_help() -> None:
    """The sentence names layers and spikes, a rule, and a call that spikes when it is made."""
    conversion = sw.convert(mlp(), spiking=True, scale_firing_rates=1.0)
    with pytest.warns(ConversionWarning) as caught:
        run = conversion.run(X, steps=16)

    assert sum(counts.sum() for counts in run.spike_counts().values()) == 0
    (text,) = _said(list(caught))
    assert "act1 0, act2 0" in text
    assert "scale_firing_rates=sw.MinimumError(steps=16, spikes_per_step=1), calibration=x" in text
    rule = sw.MinimumError(steps=16, spikes_per_step=1)
    helped = sw.convert(mlp(), spiking=True, scale_firing_rates=rule, calibration=X)
    assert sum(c.sum() for c in helped.run(X, steps=16).spike_counts().values()) > len(X)
    assert _run(helped, steps=16) == []


def test_it_is_said_at_the_users_line_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The warning points to the file that called the library; the logger has the same words."""
    conversion = sw.convert(mlp(), spiking=True, scale_firing_rates=1.0)
    with caplog.at_level(logging.WARNING, "spikewright"), pytest.warns(ConversionWarning) as caught:
        conversion.run(X, steps=4)

    assert caught[0].filename == __file__
    assert caplog.messages == [str(caught[0].message)]


def test_it_is_said_once_a_conversion() -> None:
    """A second run is silent; another conversion speaks for itself; the trace keeps all."""
    conversion = sw.convert(mlp(), spiking=True, scale_firing_rates=1.0)

    assert len(_run(conversion)) == 1
    assert _run(conversion, steps=5) == []
    assert len([e for e in conversion.trace.warnings if "in 5 steps" in e.text]) == 2
    assert len(_run(conversion.replace(initial_voltage="zero"))) == 1


def test_evaluations_say_it_too() -> None:
    """`evaluate` of a network that hardly spikes is no quieter than `run`."""
    with pytest.warns(ConversionWarning, match="hardly spike"):
        sw.convert(mlp(), spiking=True, scale_firing_rates=1.0).evaluate(X, steps=4, progress=False)


def test_nothing_is_said_of_networks_that_spike_or_have_rates() -> None:
    """Warnings that come without need are not read."""
    assert _run(sw.convert(mlp(), spiking=True, scale_firing_rates=2000.0)) == []
    assert _run(sw.convert(mlp())) == []


def test_rules_that_chose_few_spikes_are_not_doubted() -> None:
    """A rule has weighed few spikes against errors: of its choice only silence is said."""
    rule = sw.TargetRate(hz=150, per="layer")
    chosen = sw.convert(mlp(), spiking=True, scale_firing_rates=rule, calibration=X)
    scale = min(chosen.resolved["scale_firing_rates"].values())
    by_hand = sw.convert(mlp(), spiking=True, scale_firing_rates=scale)
    sent = chosen.run(X, steps=5).spike_counts()

    assert all(0 < counts.mean() < 3 for counts in sent.values())
    assert any("spikes a neuron in 5 steps" in e.text for e in chosen.trace.warnings)
    assert _run(chosen, steps=5) == []
    assert len(_run(by_hand, steps=5)) == 1


def test_guesses_without_data_are_said_when_they_are_made() -> None:
    """`DataFreeCalibration` chooses without having seen an input: `convert` itself says so."""
    with pytest.warns(
        ConversionWarning, match=r"DataFreeCalibration\(\).*act1, act2.*not from data"
    ):
        sw.convert(mlp(), spiking=True, scale_firing_rates=sw.DataFreeCalibration())


def test_candidates_say_nothing_and_what_is_chosen_does() -> None:
    """Inside searches nothing is said, and what was not said there is not lost."""
    conversion = sw.convert(mlp(), spiking=True, scale_firing_rates=1.0)
    with suppress_warnings():
        assert _run(conversion) == []

    assert len(_run(conversion)) == 1


def test_a_scale_that_nothing_chose_is_said_by_convert_alone() -> None:
    """One sentence with the call to make, which is silent; a scale that was given says nothing."""
    with pytest.warns(ConversionWarning) as caught:
        conversion = sw.convert(mlp(), spiking=True)
    (text,) = _said(list(caught))
    assert "sw.convert(model, spiking=True, calibration=x, steps=8)" in text and len(text) <= 140
    assert caught[0].filename == __file__
    assert _run(conversion) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConversionWarning)
        sw.convert(mlp(), spiking=True, calibration=X, steps=8).run(X, progress=False)
        sw.convert(mlp(), spiking=True, scale_firing_rates=1.0)
        sw.convert(mlp())


@pytest.mark.parametrize("search", ["best_rule", "diagnose", "tune"])
def test_searches_are_silent(search: str) -> None:
    """None of what searches try speaks to the user."""
    conversion = sw.convert(mlp(), spiking=True)
    labels = conversion.replace(spiking=False).run(X, steps=1).predict().argmax(axis=-1)
    calls = {
        "best_rule": lambda: sw.best_rule(conversion, X, steps=2, progress=False),
        "diagnose": lambda: conversion.diagnose(X, steps=4, verify=True, progress=False),
        "tune": lambda: sw.tune(
            mlp(), X, labels, max_drop=0.5, timeout=120, trials=3, progress=False
        ),
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        calls[search]()

    assert _said(caught) == []


def test_the_warning_of_an_unchosen_scale_is_short() -> None:
    """At most 120 characters, the call that mends it among them."""
    with pytest.warns(ConversionWarning) as found:
        sw.convert(demo.MODEL, spiking=True)
    (text,) = {str(w.message) for w in found}
    assert len(text) <= 120 and "sw.convert(model, spiking=True, calibration=x, steps=8)" in text
