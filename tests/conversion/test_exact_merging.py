"""Records do not depend, to the last digit, on how data is cut, nor on where work is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models
import spikewright as sw
from spikewright.errors import SimulationError
from spikewright.evaluation import sharded
from spikewright.executors import Executor, Function

GRAPH = models.mlp()
X = models.inputs(GRAPH, 41, seed=1).astype(np.float32)
Y = np.random.default_rng(2).integers(0, 3, 41)
CONVERSION = sw.convert(GRAPH, spiking=True, scale_firing_rates=300.0)
ASKED: dict[str, Any] = {"steps": 9, "at": [2, 5], "thresholds": [0.6, 0.9]}


@pytest.fixture(autouse=True, scope="module")
def small_shards() -> Iterator[None]:
    """Eleven shards, the last of which has one sample."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharded, "_MOST", 4)
        yield


@pytest.fixture(scope="module")
def expected() -> sw.Evaluation:
    """In one process, in order."""
    return CONVERSION.evaluate(X, Y, **ASKED)


def same(found: sw.Evaluation, expected: sw.Evaluation) -> None:
    """Records, rows and totals, bit for bit."""
    assert found.records == expected.records
    assert set(found.samples) == set(expected.samples)
    for key, rows in expected.samples.items():
        np.testing.assert_array_equal(found.samples[key], rows)
    for layer, totals in expected.totals.items():
        np.testing.assert_array_equal(found.totals[layer], totals)


@settings(max_examples=10)
@given(cuts=st.lists(st.integers(0, 41), max_size=6), batch_size=st.integers(1, 9))
def test_batches_do_not_matter(expected: sw.Evaluation, cuts: list[int], batch_size: int) -> None:
    """Neither those that data comes in nor those that run side by side."""
    edges = [0, *sorted(cuts), 41]
    batches = [(X[a:b], Y[a:b]) for a, b in pairwise(edges)]

    same(CONVERSION.evaluate(iter(batches), **ASKED, batch_size=batch_size), expected)


class Shuffled(Executor):
    """Does the tasks in an order of its own."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def completed(self, function: Function, shared: Any, tasks: Iterable[Any]) -> Iterator[Any]:
        waiting = list(tasks)
        for index in self._rng.permutation(len(waiting)):
            yield function(shared, waiting[index], 1)


@settings(max_examples=5)
@given(seed=st.integers(0, 1000))
def test_order_does_not_matter(expected: sw.Evaluation, seed: int) -> None:
    """Shards that are done in any order, from the bytes of a saved conversion."""
    same(CONVERSION.evaluate(X, Y, **ASKED, executor=Shuffled(seed)), expected)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_exact_engines_give_the_same_records(expected: sw.Evaluation, engine: str) -> None:
    """The engine is named in the settings, and nowhere else."""
    found = CONVERSION.evaluate(X, Y, **ASKED, engine=engine)

    assert found.records == expected.records
    assert found.settings["engine"] == engine


def test_threads_do_not_matter(expected: sw.Evaluation) -> None:
    """Those of the engine, and those of a pool that shares one conversion."""
    same(CONVERSION.evaluate(X, Y, **ASKED, threads=2), expected)
    with ThreadPoolExecutor(3) as pool:
        same(CONVERSION.evaluate(X, Y, **ASKED, executor=pool), expected)


def test_processes_do_not_matter(expected: sw.Evaluation) -> None:
    """Fresh interpreters, which import nothing but the library."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        same(CONVERSION.evaluate(X, Y, **ASKED, executor=pool), expected)


def test_a_dask_cluster_does_not_matter(expected: sw.Evaluation) -> None:
    """By a client of it, and by its address."""
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        same(CONVERSION.evaluate(X, Y, **ASKED, executor=client), expected)
        address = cluster.scheduler_address
        same(CONVERSION.evaluate(X, Y, **ASKED, executor="dask", address=address), expected)


def test_samples_count_in_order() -> None:
    """Rows are samples: turned round, so are the rows, and records stay but for rounding."""
    forth = CONVERSION.evaluate(X, Y, **ASKED)
    back = CONVERSION.evaluate(X[::-1], Y[::-1], **ASKED)
    for key, rows in forth.samples.items():
        np.testing.assert_array_equal(back.samples[key][::-1], rows)
    for one, other in zip(forth.records, back.records, strict=True):
        assert other.value == pytest.approx(one.value, rel=1e-12)


def test_memory_does_not_grow_with_neurons_times_samples() -> None:
    """What is kept of a sample is a number a layer and step, whatever the neurons."""
    found = CONVERSION.evaluate(X, Y, **ASKED)
    widest = max(rows[0].size for rows in found.samples.values())

    assert widest <= 9
    assert sum(total.size for total in found.totals.values()) == 3 * (12 + 8)


def test_shards_follow_from_the_network_and_the_steps_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not from batch size, threads or executor; wide outputs make them smaller."""
    sizes = set()
    original = sharded.shard_size

    def spy(*arguments: Any) -> int:
        sizes.add(original(*arguments))
        return original(*arguments)

    monkeypatch.setattr(sharded, "shard_size", spy)
    for more in ({}, {"batch_size": 3}, {"threads": 1}, {"executor": Shuffled(0)}):
        CONVERSION.evaluate(X, Y, **ASKED, **more)  # type: ignore[arg-type]
    assert sizes == {4}
    monkeypatch.setattr(sharded, "_VALUES", 2 * 9 * 3)
    CONVERSION.evaluate(X, Y, **ASKED)
    assert sizes == {4, 2}


@pytest.mark.parametrize("executor", ["local", Shuffled(0)])
def test_a_failing_shard_ends_the_evaluation(executor: Any) -> None:
    """With its own error, wherever it was done."""
    x = X.copy()
    x[30] = np.inf
    with pytest.raises(SimulationError, match="NaN or infinity"):
        CONVERSION.evaluate(x, Y, **ASKED, executor=executor)


def test_encoders_of_ones_own_stay_at_home() -> None:
    """A worker elsewhere runs the library's code alone."""

    class Mine(sw.encoders.Regular):
        """The same under another name."""

    with pytest.raises(SimulationError, match='executor="local"'):
        CONVERSION.evaluate(X, Y, **ASKED, encoder=Mine(), executor=Shuffled(0))
    assert CONVERSION.evaluate(X, Y, **ASKED, encoder=Mine()).records
