from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikewright.errors import SimulationError, TuningError
from spikewright.study.search.certificate import PairedLoss
from spikewright.study.search.choice import (
    check,
    choose,
    likely_first,
    short_list,
    undecided,
)
from spikewright.study.search.measurement import Measurement


def point(cost: float, lost: int, n: int = 1000) -> Measurement:
    """A point that loses `lost` of `n` samples."""
    return Measurement(1, "mean", PairedLoss.counts(n, lost, 0), cost, {"spikes": cost})


def held(cost: float, lost: int, certified: bool) -> Measurement:
    """A setting that was checked on the held-back samples."""
    return replace(point(cost, 0), held=point(cost, lost), certified=certified)


def test_the_list_runs_from_accurate_to_cheap_along_the_front() -> None:
    """No setting on it is beaten, and none loses far more than is allowed."""
    points = [point(10, 90), point(20, 8), point(30, 4), point(40, 0), point(35, 6)]

    found = short_list(points, 0.01)

    assert [c.cost for c in found] == [40, 30, 20]


def test_every_length_of_a_run_may_have_its_own_front() -> None:
    """What another number of steps beats is listed too, where asked; the order stays by cost."""
    longer = Measurement(4, "mean", PairedLoss.counts(1000, 5, 0), 25, {"spikes": 25})
    points = [point(20, 4), point(40, 0), longer]

    assert [c.cost for c in short_list(points, 0.01)] == [40, 20]
    assert [c.cost for c in short_list(points, 0.01, every_length=True)] == [40, 25, 20]


def test_a_long_list_is_thinned_and_keeps_its_ends() -> None:
    """The cheapest that may hold, one behind the first that surely does, and levels between."""
    points = [point(10 + i, 60 - i) for i in range(50)]

    found = short_list(points, 0.055, most=4)

    costs = [c.cost for c in found]
    assert len(costs) == 4
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == 11  # of the cheapest level the most accurate
    assert costs[0] < 40
    assert short_list(points, 0.055)[0].cost == costs[0]


def test_levels_of_cost_that_luck_hides_are_listed() -> None:
    """One that a cheaper setting beats by less than chance would; not one far behind."""
    lucky, next_one = point(10, 6), point(20, 7)
    found = short_list([lucky, next_one, point(28, 20), point(40, 0)], 0.01)
    assert [c.cost for c in found] == [40, 20, 10]


def test_behind_a_sure_setting_one_more_is_listed() -> None:
    """And no costlier one: certificates of it would be of no use."""
    points = [point(10 * 2**i, lost) for i, lost in enumerate((10, 2, 1, 0, 0))]
    assert [c.cost for c in short_list(points, 0.01)] == [40, 20, 10]


def test_where_estimates_decide_most_of_a_long_list_is_cheap() -> None:
    """Three quarters are the cheapest; the rest is spread, to the most accurate."""
    points = [point(10 + i, 60 - i) for i in range(50)]

    found = [c.cost for c in short_list(points, 0.1, most=8, every_length=True)]

    assert found == [59, 16, 15, 14, 13, 12, 11, 10]


def test_without_measurements_there_is_no_list() -> None:
    """A search that measured nothing says what would help."""
    with pytest.raises(TuningError, match="timeout"):
        short_list([], 0.01)


def test_where_nothing_holds_the_nearest_is_listed() -> None:
    """The list is never empty."""
    assert [c.cost for c in short_list([point(5, 300), point(9, 200)], 0.01)] == [9]


def scaled(network: str, *points: tuple[float, int]) -> list[Measurement]:
    """A trained network with several scales."""
    return [replace(point(*given), training=network, alike=network) for given in points]


def test_what_was_trained_is_checked_behind_the_surest() -> None:
    """One found comes first, then all trained, then others found; alike ones by their cost."""
    found = [point(90, 1), point(60, 2)]
    one = scaled("one", (50, 4), (40, 2), (30, 7))  # 40 is lucky: it is no better than 50
    other = scaled("other", (45, 3))

    order = likely_first([*found, *one, *other], lambda p: p.drop)
    assert [c.cost for c in order] == [90, 45, 50, 40, 30, 60]
    alone = likely_first(one, lambda p: p.drop)
    assert [c.cost for c in alone] == [50, 40, 30]


def test_only_undecided_scales_of_a_network_are_checked() -> None:
    """None that lose more than can be certified; of those that surely hold the three cheapest."""
    costs = range(100, 20, -10)
    lost = [0, 0, 0, 1, 1, 5, 11, 30]
    one = scaled("one", *zip(costs, lost, strict=True))
    none = scaled("none", (80, 90), (70, 99))

    left = undecided([*one, *none], 0.006, 0.01, lambda p: p.drop)
    kept = {c.cost for c in left if c.alike == "one"}
    assert kept == {80, 70, 60, 50}
    assert [c.cost for c in left if c.alike == "none"] == [80]


def test_after_a_failure_certificates_need_more() -> None:
    """Levels are handed on by what passes: what just passes in a row fails after a failure."""
    weak = next(k for k in range(20, 0, -1) if PairedLoss.counts(1000, k, 0).p_value(0.03) <= 0.04)
    listed = [point(30, 0), point(20, 0), point(10, 0), point(5, 0)]

    def certified(*losses: int) -> list[bool]:
        given = iter(losses)
        found = check(listed, lambda c: point(c.cost, next(given)), 0.03, 0.95)
        return [item.certified for item in found]

    assert certified(0, 0, weak, 0) == [True, True, True, True]
    assert certified(0, 60, weak, 0) == [True, False, False, True]
    assert certified(60, 60, 60, 0) == [False, False, False, True]


def test_a_wrong_certificate_is_as_rare_as_promised() -> None:
    """All settings lose just more than allowed: any certificate is wrong, 5 % may have one."""
    rng = np.random.default_rng(0)
    listed = [point(10 - i, 0) for i in range(5)]
    rounds, wrong = 400, 0
    for _ in range(rounds):
        found = check(listed, lambda c: point(c.cost, rng.binomial(1000, 0.0201)), 0.02, 0.95)
        wrong += any(item.certified for item in found)

    assert wrong / rounds <= 0.05 + 2 * (0.05 * 0.95 / rounds) ** 0.5


def test_the_cheapest_certified_one_is_chosen() -> None:
    """A certificate comes before a price."""
    items = [
        held(30, 0, True),
        held(20, 1, True),
        held(10, 5, False),
    ]

    assert choose(items, 0.01).cost == 20


def test_certificates_by_luck_do_not_decide() -> None:
    """Where it was known beforehand that there are too few samples, the estimate does."""
    items = [
        held(900, 0, True),
        held(10, 5, False),
    ]

    assert choose(items, 0.01, certifying=False).cost == 10
    assert choose(items, 0.01, certifying=True).cost == 900


def test_without_certificate_the_cheapest_that_holds_is_chosen() -> None:
    """And where none holds, the one that loses least."""
    holding = [
        held(30, 9, False),
        held(20, 8, False),
        held(10, 50, False),
    ]

    assert choose(holding, 0.01).cost == 20
    assert choose(holding[2:], 0.01).cost == 10


def test_a_setting_that_cannot_be_run_is_left_out() -> None:
    """The others are checked; one that follows has no level of it; where none runs all say why."""
    listed = [point(30, 0), point(20, 0), point(10, 0)]

    def measure(it: Measurement) -> Measurement:
        if it.cost == 20:
            raise SimulationError("too many spikes")
        return it

    found = check(listed, measure, 0.01, 0.95)
    assert [item.cost for item in found] == [30, 10]
    assert [item.certified for item in found] == [True, True]
    with pytest.raises(TuningError, match="too many spikes"):
        check(listed[1:2], measure, 0.01, 0.95)
