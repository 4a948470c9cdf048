from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright.errors import TuningError
from spikewright.study.search.paired import Paired, _restricted, needed


def test_counts_come_from_what_was_right() -> None:
    """Lost: right before, wrong after; gained: the other way round."""
    before = [True, True, True, False, False]
    after = [True, False, False, True, False]

    found = Paired.of(np.array(before), np.array(after))

    assert found == Paired(5, 2, 1)
    assert found.drop == pytest.approx(0.2)
    assert found + Paired(5, 0, 1) == Paired(10, 2, 2)


@pytest.mark.parametrize("counts", [(0, 0, 0), (5, -1, 0), (5, 3, 3)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int, int]) -> None:
    """Lost and gained samples are some of n, and n is above 0."""
    with pytest.raises(TuningError, match="some of n"):
        Paired(*counts)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 0.9995])
def test_a_bound_needs_a_confidence_below_one(confidence: float) -> None:
    """Certainty is not for sale."""
    with pytest.raises(TuningError, match="confidence"):
        Paired(10, 1, 0).upper(confidence)


@pytest.mark.parametrize("n", [100, 718, 3000])
def test_nothing_lost_bounds_the_drop_by_the_rule_of_three(n: int) -> None:
    """With nothing changed the bound is that of a share of which none was seen."""
    exact = 1 - (0.05 - 0.001) ** (1 / n)

    assert Paired(n, 0, 0).upper() == pytest.approx(exact, rel=0.02)


def test_bounds_lie_on_both_sides_and_mirror() -> None:
    """What is lost one way is gained the other way."""
    found = Paired(400, 12, 5)

    low, high = found.interval()

    assert low < found.drop < high
    assert Paired(400, 5, 12).interval() == pytest.approx((-high, -low))
    assert found.upper(0.99) > found.upper(0.95) > found.upper(0.8)


@pytest.mark.parametrize("drop", [0.05, 0.15])
def test_a_true_loss_is_hardly_ever_missed(drop: float) -> None:
    """The law of the test: whatever share is gained, a drop of d passes for less at most alpha."""
    n, alpha = 30, 0.05
    passing = [
        (lost, gained)
        for lost in range(n + 1)
        for gained in range(n + 1 - lost)
        if lost - gained <= n * drop and Paired(n, lost, gained).p_value(drop) <= alpha
    ]
    assert passing

    for share in np.linspace(0, (1 - drop) / 2, 41):
        wrong = sum(_probability(n, lost, gained, share + drop, share) for lost, gained in passing)
        assert wrong <= alpha + 1e-6


def _probability(n: int, lost: int, gained: int, lose: float, gain: float) -> float:
    rest = max(0.0, 1 - lose - gain)
    ways = math.comb(n, lost) * math.comb(n - lost, gained)
    return ways * lose**lost * gain**gained * rest ** (n - lost - gained)


@settings(max_examples=30)
@given(st.integers(5, 200), st.data())
def test_the_restricted_share_is_the_most_likely_one(n: int, data: st.DataObject) -> None:
    """Tango's closed form maximises the likelihood under a given drop."""
    lost = data.draw(st.integers(0, n))
    gained = data.draw(st.integers(0, n - lost))
    drop = data.draw(st.floats(0.001, 0.5))

    share = float(_restricted(n, lost, gained, drop))

    def likelihood(q: float) -> float:
        terms = [(lost, q + drop), (gained, q), (n - lost - gained, 1 - 2 * q - drop)]
        if any(p < -1e-12 for _, p in terms):
            return -math.inf
        return sum(k * math.log(max(p, 1e-300)) for k, p in terms if k)

    others = np.linspace(0, (1 - drop) / 2, 200)
    assert likelihood(min(share, (1 - drop) / 2)) >= max(map(likelihood, others)) - 1e-6


def test_needed_samples_certify() -> None:
    """With as many samples, and the same shares, the drop is certified; with half it is not."""
    found = Paired(500, 3, 3)
    count = needed(found, 0.01)

    assert count is not None
    for factor, certifies in ((1.15, True), (0.5, False)):
        n = round(factor * count)
        more = Paired(n, round(3 * n / 500), round(3 * n / 500))
        assert (more.p_value(0.01) <= 0.05) is certifies


def test_no_number_of_samples_certifies_what_is_not_so() -> None:
    """Where the estimate does not hold, nothing helps."""
    assert needed(Paired(100, 5, 0), 0.01) is None
