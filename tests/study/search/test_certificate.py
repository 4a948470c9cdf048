"""What paired samples prove: sums that add up, bounds, and tests that keep their level."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikewright.errors import TuningError
from spikewright.study.search.certificate import PairedLoss, _restricted
from spikewright.study.search.measurement import Measurement, PenalizedCost, certifiable, joined


def test_counts_come_from_what_was_right() -> None:
    """Lost: right before, wrong after; gained: the other way round."""
    before = [True, True, True, False, False]
    after = [True, False, False, True, False]

    found = PairedLoss.of(np.array(before), np.array(after))

    assert found == PairedLoss.counts(5, 2, 1)
    assert found.drop == pytest.approx(0.2)
    assert found + PairedLoss.counts(5, 0, 1) == PairedLoss.counts(10, 2, 2)


@pytest.mark.parametrize("counts", [(0, 0, 0), (5, -1, 0), (5, 3, 3)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int, int]) -> None:
    """Lost and gained samples are some of n, and n is above 0."""
    with pytest.raises(TuningError, match="no sums"):
        PairedLoss.counts(*counts)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 0.9995])
def test_a_bound_needs_a_confidence_below_one(confidence: float) -> None:
    """Certainty is not for sale."""
    with pytest.raises(TuningError, match="confidence"):
        PairedLoss.counts(10, 1, 0).upper(confidence)


@pytest.mark.parametrize("n", [100, 718, 3000])
def test_nothing_lost_bounds_the_drop_by_the_rule_of_three(n: int) -> None:
    """With nothing changed the bound is that of a share of which none was seen."""
    exact = 1 - (0.05 - 0.001) ** (1 / n)

    assert PairedLoss.counts(n, 0, 0).upper() == pytest.approx(exact, rel=0.02)


def test_bounds_lie_on_both_sides_and_mirror() -> None:
    """What is lost one way is gained the other way."""
    found = PairedLoss.counts(400, 12, 5)

    low, high = found.interval()

    assert low < found.drop < high
    assert PairedLoss.counts(400, 5, 12).interval() == pytest.approx((-high, -low))
    assert found.upper(0.99) > found.upper(0.95) > found.upper(0.8)


@pytest.mark.parametrize("drop", [0.05, 0.15])
def test_a_true_loss_is_hardly_ever_missed(drop: float) -> None:
    """The law of the test: whatever share is gained, a drop of d passes for less at most alpha."""
    n, alpha = 30, 0.05
    passing = [
        (lost, gained)
        for lost in range(n + 1)
        for gained in range(n + 1 - lost)
        if lost - gained <= n * drop and PairedLoss.counts(n, lost, gained).p_value(drop) <= alpha
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
    found = PairedLoss.counts(500, 3, 3)
    count = found.needed(0.01)

    assert count is not None
    for factor, certifies in ((1.15, True), (0.5, False)):
        n = round(factor * count)
        more = PairedLoss.counts(n, round(3 * n / 500), round(3 * n / 500))
        assert (more.p_value(0.01) <= 0.05) is certifies


def test_no_number_of_samples_certifies_what_is_not_so() -> None:
    """Where the estimate does not hold, nothing helps."""
    assert PairedLoss.counts(100, 5, 0).needed(0.01) is None


SCORE = st.floats(-1e6, 1e6).filter(lambda score: score not in (0, 1))  # those are counted
SCORES = st.lists(st.tuples(SCORE, SCORE), min_size=2, max_size=40)


def arrays(pairs: list[tuple[float, float]]) -> tuple[NDArray, NDArray]:
    """Scores before and after."""
    before, after = np.array(pairs).T
    return before, after


@given(SCORES, SCORES)
def test_parts_add_up_to_the_whole(first: list, second: list) -> None:
    """In any order, as counts do."""
    (a, b), (c, d) = arrays(first), arrays(second)
    whole = PairedLoss.of(np.concatenate([a, c]), np.concatenate([b, d]))
    for found in (
        PairedLoss.of(a, b) + PairedLoss.of(c, d),
        PairedLoss.of(c, d) + PairedLoss.of(a, b),
    ):
        assert (found.n, found.low, found.high) == (whole.n, whole.low, whole.high)
        assert found.total == pytest.approx(whole.total, rel=1e-9, abs=1e-6)
        assert found.squares == pytest.approx(whole.squares, rel=1e-9, abs=1e-6)


def test_right_and_wrong_answers_are_counts() -> None:
    """They get the exact test; beside other scores they count as one and zero."""
    before, after = np.array([1.0, 1, 1, 0]), np.array([1.0, 0, 0, 1])
    counts = PairedLoss.of(before, after)

    assert counts == PairedLoss.counts(4, 2, 1)
    assert PairedLoss.of(before == 1, after == 1) == counts
    assert counts.drop == 0.25
    other = PairedLoss.of(np.array([0.5, 2.0]), np.array([0.25, 2.0]))
    assert other == PairedLoss(2, 0.25, 0.0625, 0.25, 2.0)
    assert counts + other == other + counts == PairedLoss(6, 1.25, 3.0625, 0.0, 2.0)


@given(SCORES, st.floats(1e-3, 1e3))
def test_the_unit_of_scores_does_not_matter(pairs: list, unit: float) -> None:
    """Ten times the scores have ten times the drop, its error and its bounds."""
    a, b = arrays(pairs)
    one, other = PairedLoss.of(a, b), PairedLoss.of(unit * a, unit * b)
    size = abs(one.drop) + one.error + 1e-9

    assert other.drop == pytest.approx(unit * one.drop, abs=1e-6 * unit * size)
    assert other.error == pytest.approx(unit * one.error, rel=1e-5, abs=1e-6 * unit * size)


def test_bounds_are_where_the_test_turns() -> None:
    """On both sides of the drop, mirrored; wider with more confidence."""
    rng = np.random.default_rng(0)
    before = rng.normal(size=60)
    found = PairedLoss.of(before, before - 0.3 + rng.normal(size=60) / 4)
    low, high = found.interval()
    mirrored = PairedLoss.of(-before, -before + 0.3)

    assert low < found.drop < high
    assert found.p_value(high) == pytest.approx(0.05, rel=1e-6)
    assert found.p_value(found.drop) == pytest.approx(0.5)
    assert found.upper(0.99) > high > found.upper(0.8)
    assert mirrored.interval() == pytest.approx(
        tuple(-end for end in reversed(PairedLoss.of(before, before - 0.3).interval()))
    )
    with pytest.raises(TuningError, match="confidence"):
        found.upper(1.0)


def rare(rng: np.random.Generator, n: int) -> NDArray:
    """One sample in thirty loses everything: what few samples hide."""
    return (rng.random(n) < 1 / 30).astype(float)


def skewed(rng: np.random.Generator, n: int) -> NDArray:
    """Many lose little and some much."""
    return rng.exponential(size=n) ** 2 / 2


def even(rng: np.random.Generator, n: int) -> NDArray:
    """Losses around their mean."""
    return 1 + rng.normal(size=n)


@pytest.mark.parametrize(("losses", "drop"), [(rare, 1 / 30), (skewed, 1.0), (even, 1.0)])
def test_a_true_loss_is_seldom_missed(
    losses: Callable[[np.random.Generator, int], NDArray], drop: float
) -> None:
    """Where the true drop is what may be lost, about one in twenty passes, one in eight at most."""
    rng = np.random.default_rng(1)
    passed = 0
    for _ in range(1000):
        before = rng.uniform(size=60)
        passed += PairedLoss.of(before, before - losses(rng, 60)).p_value(drop) <= 0.05
    assert passed <= 125


def test_scores_that_never_change_show_nothing_of_those_not_seen() -> None:
    """Twenty samples that lose nothing certify no small loss; two thousand do."""
    few, many = (PairedLoss.of(np.linspace(0, 1, n), np.linspace(0, 1, n)) for n in (20, 2000))

    assert few.p_value(0.01) > 0.4
    assert many.p_value(0.01) < 0.01
    assert few.needed(0.01) is not None and 20 < few.needed(0.01) < 3000  # type: ignore[operator]
    assert few.needed(-0.01) is None
    assert PairedLoss.of(np.full(5, 2.0), np.full(5, 2.0)).interval() == (0.0, 0.0)


def test_a_point_comes_back_from_plain_data() -> None:
    """As a study keeps it; parts of either kind are joined."""
    scores = Measurement(2, "mean", PairedLoss(3, 0.5, 0.25, -1.0, 2.0), 4.0, {"spikes": 4.0}, 0.1)
    counts = Measurement(2, "mean", PairedLoss.counts(5, 1, 0), 8.0, {"spikes": 8.0}, 0.2)

    assert Measurement.of(scores.as_dict()) == scores
    assert Measurement.of(counts.as_dict()) == counts
    (both,) = joined([[counts], [scores]])
    assert both.paired == PairedLoss(8, 1.5, 1.25, -1.0, 2.0)
    assert (
        Measurement.of({**counts.as_dict(), "paired": {"n": 5, "lost": 1, "gained": 0}}) == counts
    )
    with pytest.raises(TuningError, match="total"):
        sums = {"n": 3, "total": float("nan"), "squares": 1.0, "low": 0.0, "high": 1.0}
        Measurement.of({**scores.as_dict(), "paired": sums})


def test_what_can_be_certified_goes_with_the_unit() -> None:
    """A hundred times the scores may lose a hundred times as much."""
    one, hundred = certifiable(2000, 0.02, 0.95), certifiable(2000, 2.0, 0.95, size=100.0)

    assert one is not None and hundred == pytest.approx(100 * one)
    assert (
        PenalizedCost.of(1.0, 0.1, 40, size=100.0).unit
        == 100 * PenalizedCost.of(0.01, 0.001, 40).unit
    )
