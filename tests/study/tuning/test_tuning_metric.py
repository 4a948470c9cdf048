"""`sw.tune` by a measure of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import models
import spikewright as sw
from class_metrics import hit, lead
from spikewright.errors import SimulationError, TuningError
from spikewright.records import select
from spikewright.showing.demo import MODEL, digits
from spikewright.study.search.certificate import PairedLoss

(X, Y), HELD = digits()
X, Y = X[:200], Y[:200]
SPACE = {"steps": [1, 2, 4], "neuron": "default", "max_spikes_per_step": None}
FEW: dict[str, Any] = {"space": SPACE, "trials": 4, "progress": False, "validation": HELD}


def scores(choice: sw.results.StudyResult, metric: Any) -> tuple[NDArray, NDArray]:
    """Of the source and of the chosen network, on the samples that were held back."""
    x, y = HELD
    source = np.asarray(sw.convert(MODEL).run(x, 1).predict_at_every_step())[:, -1]
    run = choice.best.conversion.run(x, **choice.best.run)
    found = np.asarray(run.predict_at_every_step(choice.best.readout))[:, -1]
    return metric(source, y), metric(found, y)


@pytest.fixture(scope="module")
def chosen() -> sw.results.StudyResult:
    """A choice by a metric of any range."""
    return sw.tune(MODEL, X, Y, metric=lead, max_drop=1.0, **FEW)


def test_the_drop_is_that_of_the_held_back_samples(chosen: sw.results.StudyResult) -> None:
    """In the unit of the metric, with bounds by Student's paired test."""
    source, found = scores(chosen, lead)
    expected = PairedLoss.of(source.astype(float), found.astype(float))

    best = chosen.best
    assert best.lost == pytest.approx(expected.drop, rel=1e-6)
    assert best.scores[0].value.interval == pytest.approx(expected.interval(), rel=1e-4)
    assert best.lost <= chosen.limit == 1.0
    assert best.check.certified == (expected.p_value(1.0) <= 0.05) or len(chosen.points) > 1
    assert float(np.ptp(source)) > 5  # a metric of another range than that of accuracy


def test_right_answers_are_counted_exactly() -> None:
    """A metric of zeros and ones is tested as accuracy is."""
    choice = sw.tune(MODEL, X, Y, metric=hit, max_drop=0.05, **FEW)
    source, found = scores(choice, hit)
    expected = PairedLoss.of(source, found)

    assert choice.best.lost == expected.drop
    assert choice.best.scores[0].value.interval == expected.interval()


def test_it_is_named_in_words_and_records(chosen: sw.results.StudyResult) -> None:
    """What is lost is so much of the metric, not points."""
    plain = json.loads(json.dumps(chosen.as_dict()))
    drops = select(chosen.records, "lead drop")

    assert "of lead" in chosen.conclusion and "points" not in chosen.conclusion
    assert (plain["measure"], plain["limit"]) == ("lead", 1.0)
    assert drops and {r.unit for r in drops} == {"score"}
    assert select(chosen.records, "accuracy drop") == []


def test_a_study_is_one_of_a_metric(tmp_path: Path) -> None:
    """It goes on with the same function, and is refused for another, and for labels."""
    given = {**FEW, "study": tmp_path / "study.db", "max_drop": 0.5}
    sw.tune(MODEL, X, Y, metric=lead, **given)
    again = sw.tune(MODEL, X, Y, metric=lead, **{**given, "trials": 6})

    assert sum(again.facts["trials"].values()) >= 6
    for other in (hit, None):
        with pytest.raises(TuningError, match="another metric"):
            sw.tune(MODEL, X, Y, metric=other, **given)


def test_models_that_have_no_labels_are_searched(tmp_path: Path) -> None:
    """Several outputs by name, y by name, or no y at all."""
    x = np.random.default_rng(0).normal(size=(60, 6))

    def both(outputs: Any, y: Any) -> Any:
        return -np.abs(outputs["value"][:, 0] - y["value"]) - (outputs["class"].argmax(1) != y["c"])

    def sharpness(outputs: Any, y: Any) -> Any:
        assert y is None
        return outputs["class"].max(axis=1)

    y = {"value": np.arange(60.0), "c": np.arange(60) % 3}
    given = {"space": SPACE, "trials": 3, "progress": False, "max_drop": 0.5}
    for metric, truth in ((both, y), (sharpness, None)):
        found = sw.tune(models.two_headed(level=1.0), x, truth, metric=metric, **given)
        assert found.facts["measure"] == metric.__name__
    with pytest.raises(TuningError, match=r"outputs \['class', 'value'\]; .* metric=f"):
        sw.tune(models.two_headed(level=1.0), x, np.zeros(60, int), progress=False)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"metric": 3}, SimulationError, "metric must be a function"),
        ({"metric": lambda o, y: o}, SimulationError, "one number a sample"),
        ({"y": Y[:7]}, TuningError, "the data: y must hold 200 numbers or words"),
        ({"max_drop": -1.0}, TuningError, "max_drop must be a number from 0"),
    ],
)
def test_what_no_search_can_do_is_refused(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    """With what came."""
    with pytest.raises(error, match=message):
        sw.tune(MODEL, X, **{"y": Y, "metric": lead, **FEW, **changes})
