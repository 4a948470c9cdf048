"""A measure of one's own stands in for accuracy: the same shards, intervals, drops, early exits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import models
import spikewright as sw
from class_metrics import hit
from spikewright.errors import SimulationError
from spikewright.evaluation import sharded
from spikewright.graph import Graph
from spikewright.measure import mean_interval
from spikewright.measure.targets import Metric
from spikewright.records import Record, select, worths
from spikewright.report import write_html
from spikewright.report.figures import over_time_infos, trade_off_info
from spikewright.report.tables import early_exit_table, over_time_table

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


def likelihood(outputs: Any, y: Any) -> Any:
    """The logarithm of what the right class was given: any number below zero."""
    return np.log(outputs[np.arange(len(y)), y] + 1e-9)


def evaluated(metric: Any, y: Any = Y, **more: Any) -> sw.Evaluation:
    """An evaluation by a metric."""
    return conversion().evaluate(X, y, STEPS, metric=metric, progress=False, **more)


def plain(records: list[Record]) -> list[tuple[Any, ...]]:
    """What records say, without their names and units."""
    return [(r.value, r.n, r.interval, r.how) for r in records]


def test_a_metric_that_counts_right_answers_is_accuracy() -> None:
    """At every step, of the source, drops and early exits: values and intervals alike."""
    labels = conversion().evaluate(X, Y, STEPS, thresholds=[0.6], progress=False).records
    scores = evaluated(hit, thresholds=[0.6]).records
    for theirs, mine in (
        ("accuracy", "hit"),
        ("source accuracy", "source hit"),
        ("accuracy drop", "hit drop"),
        ("early exit accuracy", "early exit hit"),
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


def test_the_way_that_data_is_given_changes_nothing() -> None:
    """Batches, and tensors in and out."""
    expected = evaluated(likelihood).records
    batches = ((X[i : i + 11], Y[i : i + 11]) for i in range(0, 50, 11))
    found = conversion().evaluate(batches, steps=STEPS, metric=likelihood).records

    def likelihood_of_tensors(outputs: Any, y: Any) -> Any:
        return torch.from_numpy(likelihood(outputs, y)).requires_grad_()

    likelihood_of_tensors.__name__ = "likelihood"
    assert found == expected
    assert evaluated(likelihood_of_tensors, torch.from_numpy(Y)).records == expected


def test_y_is_whatever_the_metric_knows() -> None:
    """Rows of any shape, by name, words, or nothing at all."""
    boxes = np.random.default_rng(5).normal(size=(50, 4, 2))
    words = np.array(["a", "bc", "d"])[Y]

    def distance(outputs: Any, y: Any) -> Any:
        assert set(y) == {"boxes", "weights"}
        return -np.abs(outputs.mean(axis=1) - y["boxes"].mean(axis=(1, 2))) * y["weights"]

    def spelled(outputs: Any, y: Any) -> Any:
        return np.array(["a", "bc", "d"])[outputs.argmax(axis=1)] == y

    def sharpness(outputs: Any, y: Any) -> Any:
        assert y is None
        return outputs.max(axis=1)

    named = evaluated(distance, {"boxes": boxes, "weights": np.arange(50.0)})
    assert named.score().value < 0
    assert evaluated(spelled, words).score().value == evaluated(hit).score().value
    assert 0 < evaluated(sharpness, None).score("last").value <= 1


def test_several_outputs_are_judged_together() -> None:
    """The function gets all of them by name, and its records belong to none."""

    def both(outputs: Any, y: Any) -> Any:
        assert set(outputs) == {"class", "value"}
        return (outputs["class"].argmax(axis=1) == y) - np.abs(outputs["value"][:, 0])

    found = conversion(models.two_headed()).evaluate(X, Y, STEPS, metric=both)
    outputs: Any = conversion(models.two_headed()).run(X, STEPS).predict_at_every_step()
    last = {name: values[:, -1] for name, values in outputs.items()}

    assert found.score().value == pytest.approx(np.mean(both(last, Y)), rel=1e-12)
    assert all("output" not in r.how for r in select(found.records, "both"))
    assert len(select(found.records, "agreement", output="class")) == 2 * STEPS
    with pytest.raises(SimulationError, match="which of several says when"):
        conversion(models.two_headed()).evaluate(X, Y, STEPS, metric=both, thresholds=[0.5])


def top(outputs: Any, y: Any, most: int = 1) -> Any:
    """Whether the right class is among the largest."""
    return np.any(np.argsort(outputs, axis=1)[:, -most:] == y[:, None], axis=1)


class Margin:
    """A metric that is an object."""

    def __call__(self, outputs: Any, y: Any) -> Any:
        return np.ptp(outputs, axis=1)


def test_the_name_is_that_of_the_function() -> None:
    """Also behind `partial`; of an object that of its class, of a lambda "score"."""
    names = {"top": partial(top, most=2), "Margin": Margin(), "score": lambda o, y: o[:, 0]}
    for name, metric in names.items():
        (worth, *_) = worths(evaluated(metric).records)
        assert (worth.name, worth.rising, worth.fraction) == (name, True, False)
    keys = {Metric(partial(top, most=n)).key for n in (1, 2)} | {Metric(top).key}
    assert len(keys) == 3


def test_it_takes_its_place_in_tables_figures_and_page(tmp_path: Path) -> None:
    """Before agreement; as a number, not as percent."""
    found = evaluated(likelihood, thresholds=[0.5], at=[2]).records
    table = over_time_table(found, [STEPS])
    (info,) = over_time_infos(found)
    by_steps = [
        Record(r.name, r.value, r.unit, r.n, r.interval, {**r.how, "setting": r.how["steps"]})
        for r in found
        if r.how.get("readout", "mean") == "mean" and r.how.get("steps") in (2, STEPS)
    ]
    page = write_html(tmp_path / "page.html", found).read_text(encoding="utf-8")

    assert [c.key for c in table.columns][2:7] == [
        "likelihood", "likelihood_low", "likelihood_high", "rounded_likelihood", "likelihood_drop",
    ]  # fmt: skip
    assert table.columns[2].format(-1.25) == "-1.25"
    assert early_exit_table(found).columns[1].heading == "likelihood"
    assert info.rows()[0][3] == info.chart().panels[0].y.heading == "likelihood"
    assert trade_off_info(by_steps).rows()[0][1] == "likelihood"
    assert "has a mean likelihood of" in page
    assert "Likelihood against steps" in page


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
