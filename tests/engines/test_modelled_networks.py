"""Networks built by hand, whatever they are: all engines run them, or none does, and agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from modelled_networks import Drawn, Link, Population, drawn_networks, results

from engines.comparing import Exceeding
from spikewright import engines
from spikewright.engines.reference import ReferenceEngine

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from spikewright.engines.native.engine import NativeEngine

_ROUNDING = 1e-12
"""Of values behind an exponential or logarithm, which libraries round in their own ways."""

# Encoders that turn in a loop with integrators behind encoders of their own: the sum of the latter
# is taken by its layer, the sum of the former runs beside it.
TURNING = Drawn(
    (
        Population(4, 1, "adaptive-lif"),
        Population(5, 1, "bipolar"),
        Population(3, 2, "stochastic-leaky"),
        Population(6, 2, "integrate-and-fire"),
    ),
    (
        Link(-1, 0),
        Link(0, 0),
        Link(0, 0, rule="Voja", teacher=3),
        Link(0, 3),
        Link(3, 2),
        Link(2, 3),
        Link(1, 2, rule="PES"),
        Link(2, 1),
    ),
    batch=2,
)
FAST = Drawn(
    (Population(6, 1, "spiking-relu", fast=True), Population(5, 2, "regular-relu")),
    (Link(-1, 0), Link(0, 1, rule="PES"), Link(1, 0, rule="Voja"), Link(1, 1, middle="process")),
    runs=(2, 3),
)


def check(drawn: Drawn, **cut: Any) -> None:
    """Whether both run comes first, then what is recorded, then what was learned."""
    expected, found = results(drawn, ReferenceEngine()), results(drawn, NativeEngine(2), **cut)
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected
        return
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        if drawn.exact:
            np.testing.assert_array_equal(found[name], wanted, err_msg=name)
        else:
            reach = _ROUNDING * max(float(np.abs(wanted).max(initial=0.0)), 1.0)
            np.testing.assert_allclose(found[name], wanted, rtol=0, atol=reach, err_msg=name)


@pytest.mark.parametrize("drawn", [TURNING, FAST], ids=["turning", "fast"])
def test_loops_with_learning_rules(drawn: Drawn, exceeding: Exceeding) -> None:
    """A sum that a layer takes with it does not run again with those beside it."""
    expected = results(drawn, ReferenceEngine())
    assert not isinstance(expected, str)
    learned = [name for name in expected if name.startswith("learned")]
    assert len(learned) == 2 and all(values.any() for values in expected.values())
    check(drawn)
    check(drawn, block=3)
    assert bool(exceeding()) == (drawn is FAST)


@given(drawn_networks())
@settings(max_examples=20, suppress_health_check=list(HealthCheck))
def test_some_networks(drawn: Drawn) -> None:
    """A few of those that the slow test draws many of."""
    check(drawn)


@pytest.mark.slow
@given(drawn_networks())
@example(TURNING)
@settings(max_examples=50, suppress_health_check=list(HealthCheck))
def test_many_networks(drawn: Drawn) -> None:
    """Every kind of neuron, filter, process and rule, in loops and out of them.

    Where no neuron needs an exponential or logarithm, recordings and learned weights are the same
    to the bit; elsewhere to rounding.
    """
    check(drawn, block=5)
