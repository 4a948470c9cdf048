"""A measure of one's own stands in for accuracy: the same shards, intervals, drops, early exits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import models
import spikewright as sw
from spikewright.errors import SimulationError
from spikewright.evaluation import sharded
from spikewright.graph import Graph
from spikewright.measure import mean_interval
from spikewright.records import Record, select

GRAPH = models.mlp(output="softmax")
X = models.inputs(GRAPH, 50, seed=3)
Y = np.random.default_rng(4).integers(0, 3, 50)
STEPS = 6


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several shards of few samples."""
    monkeypatch.setattr(sharded, "_MOST", 7)


def conversion(graph: Graph = GRAPH) -> sw.Conversion:
    """A spiking form."""
    return sw.convert(graph, spiking=True, scale_firing_rates=200.0)


def hit(outputs: Any, y: Any) -> Any:
    """One where the largest value is the label's."""
    return outputs.argmax(axis=1) == y


def likelihood(outputs: Any, y: Any) -> Any:
    """The logarithm of what the right class was given: any number below zero."""
    return np.log(outputs[np.arange(len(y)), y] + 1e-9)


def evaluated(metric: Any, y: Any = Y, **more: Any) -> sw.Evaluation:
    """An evaluation by a metric."""
    return conversion().evaluate(X, y, STEPS, metric=metric, progress=False, **more)


def plain(records: list[Record]) -> list[tuple[Any, ...]]:
    """What records say, without their names and units."""
    return [(r.value, r.n, r.interval, r.how) for r in records]


@pytest.mark.parametrize("more", [{}, {"twin": {"act1": 3.0, "act2": 3.0}}])
def test_a_metric_that_counts_right_answers_is_accuracy(more: dict[str, Any]) -> None:
    """At every step, of source and twin, drops and early exits: values and intervals alike."""
    labels = conversion().evaluate(X, Y, STEPS, thresholds=[0.6], progress=False, **more).records
    scores = evaluated(hit, thresholds=[0.6], **more).records
    for theirs, mine in (
        ("accuracy", "hit"),
        ("source accuracy", "source hit"),
        ("accuracy drop", "hit drop"),
        ("early exit accuracy", "early exit hit"),
        *([("twin accuracy", "twin hit")] if more else []),
    ):
        expected = plain(select(labels, theirs))
        assert expected
        assert plain(select(scores, mine)) == expected
    for shared in ("agreement", "relative difference", "early exit steps", "spikes per sample"):
        assert select(scores, shared) == select(labels, shared)
    assert {"accuracy", "accuracy drop"}.isdisjoint({r.name for r in scores})


def test_scores_may_be_any_numbers() -> None:
    """Means with their normal intervals; the drop is that of the same samples."""
    found = evaluated(likelihood)
    rows = found.samples["score", "output", "mean"]
    source = found.samples["source score", "output"]
    outputs = np.asarray(conversion().run(X, 4).predict_at_every_step())[:, 3]
    record = found.score("mean", 4)
    (drop,) = select(found.records, "likelihood drop", readout="mean", steps=4)

    np.testing.assert_array_equal(rows[:, 3], likelihood(outputs, Y))
    assert rows.min() < -1.0
    assert (record.value, record.unit) == (rows[:, 3].mean(), "score")
    assert record.interval == mean_interval(rows[:, 3])
    assert drop.value == (source - rows[:, 3]).mean()
    assert drop.interval == mean_interval(source - rows[:, 3])
    assert found.settings["metric"] == "likelihood"


def bad(outputs: Any, y: Any) -> Any:
    """As many numbers as there are values."""
    return outputs


def endless(outputs: Any, y: Any) -> Any:
    """Infinity for some."""
    return np.where(y == 0, np.inf, 1.0)


def failing(outputs: Any, y: Any) -> Any:
    """An error."""
    return {}["nothing"]


def meddling(outputs: Any, y: Any) -> Any:
    """Changes what others look at."""
    outputs[:] = 0
    return outputs[:, 0]


def agreement(outputs: Any, y: Any) -> Any:
    """The name of another measure."""
    return outputs[:, 0]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("accuracy", r"metric must be a function f\(outputs, y\), got 'accuracy'"),
        (bad, r"'bad' must give one number a sample, \(7,\), .* got shape \(7, 3\) of float"),
        (lambda outputs, y: 1.0, r"one number a sample, \(7,\), .* got shape \(\) of float64"),
        (lambda outputs, y: ["a"] * len(y), "one number a sample"),
        (lambda outputs, y: None, "one number a sample"),
        (endless, r"must give finite numbers, got inf for \d of 7 samples"),
        (failing, "'failing' failed on outputs of shape .*: KeyError: 'nothing'"),
        (meddling, "'meddling' failed .* read-only"),
        (agreement, "name of another measure: rename"),
    ],
)
def test_what_is_no_metric_is_refused(metric: Any, message: str) -> None:
    """By its name, with what came."""
    with pytest.raises(SimulationError, match=message):
        evaluated(metric)


def test_workers_elsewhere_run_no_function_of_a_user() -> None:
    """The error says where it runs."""
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(SimulationError, match=r"'likelihood' .* use executor=.local"),
    ):
        evaluated(likelihood, executor=pool)


def test_without_a_metric_there_is_no_score() -> None:
    """The error says what it takes."""
    with pytest.raises(SimulationError, match=r"it needs metric=f\(outputs, y\)"):
        evaluated(None).score()
