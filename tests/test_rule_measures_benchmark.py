"""The benchmark of measures: what is 0 for the source itself, and how orders are compared."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.rule_measures import FEW, MEASURES, Rowed, ordered


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_is_least_for_the_source_itself(name: str) -> None:
    """Of outputs with more and more noise it becomes larger and larger."""
    rng = np.random.default_rng(0)
    source, noise = rng.normal(size=(2, 500, 10))
    values = [MEASURES[name](source, source + amount * noise) for amount in (0.0, 0.3, 1.0, 3.0)]
    assert values == sorted(values)
    assert values[0] < 0.3 * values[-1]


@pytest.mark.parametrize(("sign", "worst"), [(1, False), (-1, True)])
def test_a_measure_that_orders_as_accuracy_does_loses_nothing(sign: int, worst: bool) -> None:
    """Rank correlations are 1 and its choice is the best row; of the opposite order the worst."""
    n, marks = 2 * FEW, (0.95, 0.7, 0.92, 0.9)
    rows = [
        Rowed(f"{mark}", np.full((n, 2), mark), np.arange(1000) < 1000 * mark) for mark in marks
    ]

    def measure(source: np.ndarray, found: np.ndarray) -> float:
        return -sign * float(found.mean())

    found = ordered(measure, np.zeros((n, 2)), rows)
    assert found.over_all == pytest.approx(sign)
    assert found.near == pytest.approx(sign)
    assert found.lost == pytest.approx(25.0 if worst else 0.0)
    assert found.lost_of_few == pytest.approx(25.0 if worst else 0.0)
