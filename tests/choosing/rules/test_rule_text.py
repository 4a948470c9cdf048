"""Rules as text, for the command line."""

from __future__ import annotations

import pytest

import spikewright as sw
from spikewright.choosing.rules import RULES, parse
from spikewright.errors import ConversionError


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("percentile", sw.Percentile()),
        ("target-rate:250", sw.TargetRate(250.0)),
        ("target-rate:250,99,channel", sw.TargetRate(250.0, 99.0, "channel")),
        ("minimum-error:8,per=layer", sw.MinimumError(8, per="layer")),
        ("minimum-error:steps=8,spikes_per_step=4", sw.MinimumError(8, spikes_per_step=4)),
        ("energy-budget:8,joules=1e-6", sw.EnergyBudget(8, joules=1e-6)),
        ("data-free-calibration:0,255", sw.DataFreeCalibration(0.0, 255.0)),
    ],
)
def test_text_means_the_rule(text, rule) -> None:
    """Values in the order of the fields, or by name."""
    assert parse(text) == rule


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("percentage", "rules are constant-scale"),
        ("target-rate", "hz is missing"),
        ("target-rate:fast", "hz is a number, not 'fast'"),
        ("minimum-error:2.5", "steps is a whole number"),
        ("minimum-error:8,steps=4", "'steps' is given twice"),
        ("minimum-error:8,rate=4", "'rate' is no argument of it"),
        ("percentile:1,2,layer,4", "percentile takes percentile=99.9"),
    ],
)
def test_other_text_is_refused(text, words) -> None:
    """With what would do."""
    with pytest.raises(ValueError, match=words):
        parse(text)


def test_what_a_rule_refuses_it_refuses_as_text() -> None:
    """The same sentence as in Python."""
    with pytest.raises(ConversionError, match="above 0"):
        parse("target-rate:-3")


@pytest.mark.parametrize("name", RULES)
def test_a_layer_before_a_rule_is_told_from_it(name) -> None:
    """Layer names may hold = and :, rules may too."""
    assert parse.split(f"{name}:8,per=layer") == ("", f"{name}:8,per=layer")
    assert parse.split(f"a=b/c:0={name}:8,per=layer") == ("a=b/c:0", f"{name}:8,per=layer")
    assert parse.split("conv=3.5") == ("conv", "3.5")
    assert parse.split("3.5") == ("", "3.5")
