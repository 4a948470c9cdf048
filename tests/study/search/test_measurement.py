from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikewright.errors import TuningError
from spikewright.study.search.certificate import PairedLoss
from spikewright.study.search.measurement import (
    Measurement,
    PenalizedCost,
    certifiable,
    joined,
    unbeaten,
)
from spikewright.study.search.trials import points_as_json


def point(cost: float, lost: int, n: int = 100, steps: int = 1, risk: float = 0.0) -> Measurement:
    """A point that loses `lost` of `n` samples."""
    return Measurement(steps, "mean", PairedLoss.counts(n, lost, 0), cost, {"spikes": cost}, risk)


def test_parts_are_joined_sample_by_sample() -> None:
    """Counts add up, means are weighted by their samples; places are kept apart."""
    first, second = point(10.0, 1, 100), point(40.0, 5, 200)

    (found,) = joined([[first], [second]])

    assert found.paired == PairedLoss.counts(300, 6, 0)
    assert found.cost == found.costs["spikes"] == pytest.approx(30.0)
    assert len(joined([[first, point(1.0, 0, steps=2)]])) == 2


@given(st.lists(st.tuples(st.floats(1, 100), st.integers(0, 20)), min_size=1, max_size=20))
def test_nothing_beats_the_front(items: list[tuple[float, int]]) -> None:
    """Every point is beaten or equalled by one on the front, and none there by another."""
    points = [point(cost, lost) for cost, lost in items]

    found = unbeaten(points)

    for one in points:
        assert any(f.cost <= one.cost and f.paired.drop <= one.paired.drop for f in found)
    for cheap, dear in pairwise(found):
        assert cheap.cost <= dear.cost
        assert cheap.paired.drop > dear.paired.drop


def test_points_come_back_from_json() -> None:
    """What the study keeps is what was measured."""
    points = [point(3.0, 1), point(5.0, 0, steps=4, risk=0.25)]

    assert [Measurement.of(entry) for entry in json.loads(points_as_json(points))] == points


WHOLE = point(3.0, 1).as_dict()
SUMS = {"n": 5, "total": 1.0, "squares": 1.0, "low": 0.0, "high": 1.0}


@pytest.mark.parametrize(
    "entry",
    [
        *({k: v for k, v in WHOLE.items() if k != gone} for gone in WHOLE),
        *({**WHOLE, name: wrong} for name in WHOLE for wrong in (None, [], float("nan"))),
        *({**WHOLE, "steps": wrong} for wrong in (0, 1.5, "4", True)),
        *({**WHOLE, "costs": wrong} for wrong in ({"spikes": None}, {"spikes": float("inf")})),
        *({**WHOLE, "paired": {"n": n, "lost": 1, "gained": 0}} for n in (0, 1.5, None)),
        *({**WHOLE, "paired": {**SUMS, name: float("nan")}} for name in SUMS),
        {**WHOLE, "paired": {"n": 3, "lost": 4, "gained": 0}},
    ],
)
def test_what_is_no_point_is_refused(entry: dict) -> None:
    """A damaged study is not taken for a measurement; whole ones are, of either kind."""
    assert Measurement.of(WHOLE).as_dict() == WHOLE
    assert Measurement.of({**WHOLE, "paired": SUMS}).paired == PairedLoss(**SUMS)
    with pytest.raises((TuningError, KeyError, TypeError)):
        Measurement.of(entry)


def test_written_points_keep_every_number_of_steps() -> None:
    """However many readouts there are, the best at each number of steps stays."""
    points = [point(10.0 * t, 9 - t, steps=t) for t in range(1, 8)]
    worse = [point(10.0 * t, 10, steps=t) for t in range(1, 8)]

    kept = [Measurement.of(entry) for entry in json.loads(points_as_json([*worse, *points]))]

    assert {p.steps for p in kept} == set(range(1, 8))
    assert all(p.paired.lost < 10 for p in kept)


def test_merit_prefers_cheap_ones_within_the_limit() -> None:
    """Cheaper is better as long as the limit holds; above it the drop outweighs."""
    criterion = PenalizedCost.of(0.05, 0.05, 100)

    assert criterion.value(point(10, 5)) < criterion.value(point(20, 5))
    assert (
        criterion.value(point(20, 3))
        < criterion.value(point(20, 5))
        < criterion.value(point(20, 9))
    )
    assert criterion.best([point(10, 40), point(30, 4), point(25, 4)]).cost == 25


def test_what_costs_nothing_is_no_bargain() -> None:
    """A network that never spikes is the worst, not the cheapest."""
    criterion = PenalizedCost.of(0.005, 0.005, 100)

    assert criterion.value(point(0.0, 90)) > criterion.value(point(1e6, 1))
    assert criterion.value(point(1e-9, 90)) > criterion.value(point(1e6, 1))


def test_risk_tells_apart_what_counts_do_not() -> None:
    """Of two that lose the same, the one whose answers stay surer is better."""
    criterion = PenalizedCost.of(0.01, 0.01, 100).fitted(
        [point(10, 1, risk=0.02), point(12, 1, risk=0.02)]
    )

    assert criterion.ratio == pytest.approx(0.5)
    assert criterion.value(point(10, 1, risk=0.01)) < criterion.value(point(10, 1, risk=0.03))


def test_far_points_tell_what_a_risk_means_while_near_ones_are_few() -> None:
    """Risks and drops are compared near the limit; farther off where too little was lost there."""
    criterion = PenalizedCost.of(0.02, 0.02, 100)
    near, far = point(10, 4, risk=0.08), point(5, 20, risk=0.1)

    assert criterion.fitted([near, far]).ratio == pytest.approx(0.24 / 0.18)
    assert criterion.fitted([near] * 5 + [far]).ratio == pytest.approx(0.5)
    assert criterion.fitted([near, point(1, 60, risk=0.1)]).ratio == pytest.approx(0.5)  # hopeless
    assert criterion.fitted([]).ratio == 1.0


def test_certifiable_drops_are_certified_and_larger_ones_are_not() -> None:
    """The law of the criterion: what it allows passes the test, half a per cent more does not."""
    n, limit = 2000, 0.02
    found = certifiable(n, limit, 0.95)

    assert found is not None
    lost = round(found * n / 0.6)
    assert PairedLoss.counts(n, lost, 2 * lost // 5).p_value(limit) <= 0.05
    assert PairedLoss.counts(n, lost + 10, 2 * lost // 5).p_value(limit) > 0.05
    assert certifiable(100, 0.005, 0.95) is None
    assert certifiable(718, 0.005, 0.95) is None  # none lost would certify, and nothing else
    assert certifiable(2000, 0.005, 0.95) is not None
    assert certifiable(100, 0.0, 0.95) is None
