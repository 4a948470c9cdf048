"""A conversion works out once what it needs several times: roles, choices and checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import models
import spikewright as sw
from spikewright.conversion.arguments import Wanted
from spikewright.lower import populations
from spikewright.lower.populations import Roles

X = np.random.default_rng(0).normal(size=(12, 6))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often roles were found, each choice given to the layers, and arguments checked."""
    found: Counter[str] = Counter()

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **given: Any) -> Any:
            found[name] += 1
            return function(*args, **given)

        return call

    def by_layer(value: Any, layers: Any, what: str, convert: Any) -> Any:
        found[what] += 1
        return given_to_layers(value, layers, what, convert)

    given_to_layers = populations.by_layer
    monkeypatch.setattr(populations, "by_layer", by_layer)
    monkeypatch.setattr(Roles, "__init__", counted("roles", Roles.__init__))
    monkeypatch.setattr(Wanted, "__post_init__", counted("checks", Wanted.__post_init__))
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        {"scale_firing_rates": 50.0},
        {"scale_firing_rates": sw.Percentile(), "calibration": X},
        {"scale_firing_rates": sw.EnergyBudget(4, spikes=40.0), "calibration": X},
        {"scale_firing_rates": 50.0, "bias_correction": 0.1},
        {
            "scale_firing_rates": sw.EnergyBudget(4, spikes=40.0),
            "calibration": X,
            "initial_voltage": sw.VoltageCorrection(4),
        },
    ],
    ids=["a number", "a rule", "a budget", "biases", "a budget and voltages"],
)
def test_roles_choices_and_checks_are_worked_out_once(
    calls: Counter[str], arguments: dict[str, Any]
) -> None:
    """Whatever is chosen by rules, measured and corrected, and again for another conversion."""
    made = sw.convert(models.mlp(), spiking=True, **arguments)
    once = {
        name: calls[name]
        for name in ("roles", "checks", "scale_firing_rates", "synapse", "initial_voltage")
    }

    assert set(once.values()) == {1}, once

    made.again()
    assert {name: calls[name] for name in once} == dict.fromkeys(once, 2)
