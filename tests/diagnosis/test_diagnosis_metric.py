"""A diagnosis may judge by a measure of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from class_metrics import hit, lead
from spikewright import demo
from spikewright.errors import SimulationError
from spikewright.measure import mean_interval
from spikewright.records import select
from spikewright.report import write_html
from spikewright.report.tables import loss_table, proposals_table

X, Y = demo.held_out(120)
STEPS = 8


def conversion() -> sw.Conversion:
    """One that loses something."""
    return sw.convert(demo.MODEL, spiking=True, scale_firing_rates=10)


def test_a_metric_that_counts_right_answers_is_accuracy() -> None:
    """Losses, intervals, layers and proposals are those of labels."""
    labels = conversion().diagnose(X, Y, STEPS, verify=True)
    scores = conversion().diagnose(X, Y, STEPS, verify=True, metric=hit)

    assert labels.score is not None and scores.score is not None
    assert (scores.score.name, scores.score.found) == ("hit", labels.score.found)
    assert scores.interval == labels.interval is not None
    assert scores.loss == labels.loss and labels.loss.drop
    assert scores.layers == labels.layers
    for mine, theirs in zip(scores.proposals, labels.proposals, strict=True):
        assert (mine.text, mine.predicted, mine.measured) == (
            theirs.text, theirs.predicted, theirs.measured,
        )  # fmt: skip
    assert scores.proposals


def test_scores_count_as_they_are(tmp_path: Path) -> None:
    """The mean, what is lost of it on the same samples, gains in its unit; shown as numbers."""
    found = conversion().diagnose(X, Y, STEPS, metric=lead)
    run = np.asarray(conversion().run(X, STEPS).predict())
    source = np.asarray(sw.convert(demo.MODEL).run(X, 1).predict())
    lost = lead(source, Y) - lead(run, Y)
    assert found.score is not None and found.loss.drop is not None
    (drop,) = select(found.records, "lead drop")

    assert found.score.found == pytest.approx(lead(run, Y).mean(), rel=1e-5)
    assert found.loss.drop == pytest.approx(lost.mean(), rel=1e-4)
    assert drop.unit == "score" and drop.value == found.loss.drop
    assert drop.interval == pytest.approx(mean_interval(lost), rel=1e-4)
    assert found.proposals and found.proposals[0].predicted > 0
    assert str(found).startswith(f"lead {found.score.found:.3g}, the source's ")
    tables = loss_table(found.records), proposals_table(found.records)
    shown = [
        column.format(3.0)
        for t in tables
        for column in t.columns
        if column.key in ("gain", "drop_of_the_layer_alone")
    ]
    assert shown == ["3", "3"]
    assert write_html(tmp_path / "a.html", diagnosis=found.records).is_file()


def test_y_is_what_the_metric_takes() -> None:
    """By name, or nothing."""

    def weighted(outputs: Any, y: Any) -> Any:
        return (outputs.argmax(axis=1) == y["digit"]) * y["weight"]

    def sharpness(outputs: Any, y: Any) -> Any:
        assert y is None
        return outputs.max(axis=1)

    named = {"digit": Y, "weight": np.arange(120.0)}
    assert conversion().diagnose(X, named, STEPS, metric=weighted).score
    assert conversion().diagnose(X, None, STEPS, metric=sharpness).score


@pytest.mark.parametrize(
    ("y", "metric", "message"),
    [
        (Y[:5], hit, "y must hold 120 numbers or words"),
        (Y, 3, "metric must be a function"),
        (Y, lambda outputs, y: outputs, "one number a sample"),
    ],
)
def test_what_does_not_fit_is_refused(y: Any, metric: Any, message: str) -> None:
    """With what came."""
    with pytest.raises(SimulationError, match=message):
        conversion().diagnose(X, y, STEPS, metric=metric)
