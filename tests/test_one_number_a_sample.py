"""Inputs and outputs of one number a sample: whatever takes data takes `(batch,)`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import spikewright as sw
from data_entries import CHOICES, ENTRIES, QUIET, STEPS, Given
from one_number import CASES, READERS, SAMPLES, with_columns
from spikewright.errors import NetworkError, SimulationError, SpikewrightError
from spikewright.explorer.explore import _session
from spikewright.measure import accuracy, accuracy_over_time
from spikewright.network.storage import load, save


@cache
def conversion_of(reader: str, kind: str) -> sw.Conversion:
    """A model, read and made to spike."""
    arrays = tuple(CASES[kind].x.values())
    example = arrays if len(arrays) > 1 else arrays[0]
    return sw.convert(READERS[reader](kind), example_input=example, **CHOICES)


@cache
def columns_of(reader: str, kind: str) -> sw.Conversion:
    """The same with columns for numbers."""
    return sw.convert(with_columns(conversion_of(reader, kind).graph), **CHOICES)


def given(reader: str, kind: str, folder: Path) -> Given:
    """The model, and one number a sample."""
    case = CASES[kind]
    return Given(conversion_of(reader, kind), case.x, case.y, folder)


def given_columns(reader: str, kind: str, folder: Path) -> Given:
    """The same model with columns, and columns."""
    arrays = {n: a[:, None] if a.ndim == 1 else a for n, a in CASES[kind].x.items()}
    return Given(columns_of(reader, kind), arrays, CASES[kind].y, folder)


def plain(found: Any) -> list[Any]:
    """Every number of a result, in order, whatever its shape."""
    return list(_numbers(found))


def _numbers(found: Any) -> Iterator[Any]:
    if isinstance(found, list | tuple):
        for part in found:
            yield from _numbers(part)
    elif isinstance(found, np.ndarray):
        yield from found.ravel().tolist()
    else:
        yield found


KINDS = list(CASES)


def _check(entry: str, found: Given, wanted: Given) -> None:
    made, expected = plain(ENTRIES[entry](found)), plain(ENTRIES[entry](wanted))
    assert made == pytest.approx(expected, rel=1e-5, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    ("entry", "kind", "reader"),
    list(
        zip(
            ENTRIES,
            cycle(KINDS),
            cycle(np.repeat(list(READERS), len(KINDS)).tolist()),
            strict=False,
        )
    ),
)
def test_every_entry_takes_one_number_a_sample(
    entry: str, kind: str, reader: str, tmp_path: Path
) -> None:
    """What comes out is what the same model gives for a column `(batch, 1)`."""
    _check(entry, given(reader, kind, tmp_path), given_columns(reader, kind, tmp_path))


@pytest.mark.parametrize(("kind", "reader"), list(zip(KINDS, cycle(READERS), strict=False)))
def test_outputs_have_the_shape_of_the_sources_own_call(kind: str, reader: str) -> None:
    """Of one number a sample `(batch,)`: of runs, at every step, and of streams."""
    conversion, x = conversion_of(reader, kind), CASES[kind].x
    (called,) = conversion.source.call(conversion.as_inputs(dict(x))).values()
    run = conversion.run(dict(x), **QUIET)
    assert run.predict().shape == called.shape
    assert run.output.shape == (SAMPLES, STEPS, *called.shape[1:])
    with conversion.stream(batch_size=SAMPLES) as stream:
        assert stream.step(dict(x)).shape == called.shape
    with conversion.stream() as stream:
        assert np.shape(stream.step({n: a[0] for n, a in x.items()})) == called.shape[1:]


# These run networks and not conversions, or have an axis of time.
STRICT = {
    "Simulator", "ONNX step", "operations", "torch module", "run over time", "evaluate over time",
}  # fmt: skip


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry not in STRICT][::4])
def test_a_column_is_taken_for_numbers_and_numbers_for_a_column(entry: str, tmp_path: Path) -> None:
    """As Keras does: `(batch, 1)` and `(batch,)` are the same samples, in every entry."""
    numbers, columns = (
        given("pytorch", "ratings", tmp_path),
        given_columns("pytorch", "ratings", tmp_path),
    )
    _check(entry, replace(numbers, arrays=columns.arrays), numbers)
    _check(entry, replace(columns, arrays=numbers.arrays), columns)


UNCHECKED = {"Simulator", "ONNX step", "operations", "verify on random input", "fits a chip"}
CHECKED = [entry for entry in ENTRIES if entry not in UNCHECKED]


def test_a_number_of_a_row_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Nowhere is the nearest row taken: the error has the input, the sample and the value."""
    good = given("pytorch", "ratings", tmp_path)
    items = good.arrays["item"].copy()
    items[0] = 99
    bad = replace(good, arrays={**good.arrays, "item": items})
    named = r"input 'item' holds 99 (in sample 0, )?but rows of its table are numbered 0 to 14"
    for entry in CHECKED:
        with pytest.raises((SpikewrightError, AssertionError), match=named):
            ENTRIES[entry](bad)


def test_other_shapes_are_refused(tmp_path: Path) -> None:
    """Two numbers a sample are neither held nor over time: the error has the input and shapes."""
    good = given("pytorch", "number", tmp_path)
    bad = replace(good, arrays={"number": np.ones((SAMPLES, STEPS, 2), np.float32)})
    for entry in sorted({*CHECKED} - {"watch", "stream"}):
        with pytest.raises(
            (SpikewrightError, AssertionError), match=r"'number' must be \(batch,\)"
        ):
            ENTRIES[entry](bad)


def test_steps_of_an_array_are_those_of_the_run() -> None:
    """`(batch, steps)` is over time: another number of steps is refused, not broadcast."""
    conversion = conversion_of("pytorch", "number")
    timed = np.ones((SAMPLES, 3), np.float32)
    assert conversion.run(timed, progress=False).steps == 3
    with pytest.raises(SimulationError, match="'number' has 3 steps, the run 5"):
        conversion.run(timed, 5, progress=False)


def test_numbers_in_lists_and_alone() -> None:
    """Lists of numbers are samples, and a stream of its own takes numbers."""
    ratings, category = (conversion_of("pytorch", kind) for kind in ("ratings", "category"))
    user, item = (array.tolist() for array in CASES["ratings"].x.values())
    y = CASES["ratings"].y.tolist()
    whole = ratings.run(CASES["ratings"].x, **QUIET).predict().tolist()
    assert ratings.run([user, item], **QUIET).predict().tolist() == whole
    assert ratings.evaluate([([user, item], y)], **QUIET).settings["samples"] == SAMPLES
    assert category.calibrate(user, progress=False) == category.calibrate(np.array(user))
    with pytest.raises(SimulationError, match=r"batch 0 must be \(x, y\)"):
        category.evaluate([(user[0], 1), (user[1], 2)], **QUIET)  # samples, and no batches
    samples = [tuple(map(torch.tensor, sample)) for sample in zip(user, item, y, strict=True)]
    with pytest.raises(SimulationError, match="give batches of samples, as a DataLoader makes"):
        ratings.evaluate(samples, **QUIET)
    with ratings.stream() as two, category.stream() as one:
        assert two.step([user[0], item[0]]).shape == ()
        assert one.step(user[0]).shape == (3,)


def test_a_probability_of_one_number_is_a_binary_classifier() -> None:
    """Its answer is whether it is above one half, at every step; labels may be a column."""
    conversion, case = conversion_of("keras", "chances"), CASES["chances"]
    run = conversion.run(case.x, **QUIET)
    right = (run.predict() > 0.5) == case.y
    for y in (case.y, case.y[:, None], case.y.astype(float)):
        assert accuracy(run, y).value == right.mean()
        found = conversion.evaluate(case.x, y, **QUIET, thresholds=[0.6])
        assert found.accuracy().value == right.mean()
    assert len(accuracy_over_time(run, case.y)) == STEPS
    with pytest.raises(SimulationError, match="run from 0 to 2; for its 2 classes"):
        accuracy(run, np.arange(SAMPLES) % 3)


def test_a_score_of_one_number_has_no_classes() -> None:
    """Labels are refused with the reason, and targets may be a column."""
    conversion, case = conversion_of("keras", "ratings"), CASES["ratings"]
    with pytest.raises(SimulationError, match="without a sigmoid tell no classes apart"):
        conversion.evaluate(case.x, np.arange(SAMPLES) % 2, **QUIET)
    alike = [conversion.evaluate(case.x, y, **QUIET).records for y in (case.y, case.y[:, None])]
    assert alike[0] == alike[1]
    assert "root mean square error" in {record.name for record in alike[0]}


@pytest.mark.slow
def test_tune_takes_one_number_a_sample() -> None:
    """A search over a binary classifier of two ids."""
    case = CASES["chances"]
    x, y = {n: np.tile(a, 3) for n, a in case.x.items()}, np.tile(case.y, 3)
    model = READERS["keras"]("chances")
    found = sw.tune(model, x, y, trials=3, max_drop=0.5, timeout=60, progress=False)
    assert found.facts["held_back"] + found.facts["searched_on"] == 3 * SAMPLES
    assert found.best is not None and found.best.lost <= 0.5


def test_exploring_draws_ids_that_there_are() -> None:
    """Without data the page has numbers of rows for ids, and values from 0 to 1 for the rest."""
    conversion = conversion_of("pytorch", "ratings")
    session = _session(conversion, None, None, None, (), "")
    for name, rows in conversion.graph.structure.rows.items():
        assert set(np.unique(session.x[name])) <= set(range(int(rows)))
    assert conversion.run(dict(session.x), **QUIET).predict().shape == (len(session.x["user"]),)


class Packed(torch.nn.Module):
    """Ids of two tables in the columns of one array."""

    def __init__(self) -> None:
        super().__init__()
        self.users, self.items = torch.nn.Embedding(12, 3), torch.nn.Embedding(4, 3)

    def forward(self, packed: Any) -> Any:
        """Rows of both, summed."""
        return torch.relu(self.users(packed[:, 0]) + self.items(packed[:, 1]))


def test_every_column_has_the_rows_of_its_own_table() -> None:
    """A number that one table has and the other has not is refused where it is not."""
    packed = np.array([[11, 3], [0, 0]])
    conversion = sw.convert(Packed().eval(), example_input=packed, **CHOICES)
    assert conversion.run(packed, **QUIET).predict().shape == (2, 3)
    packed[1, 1] = 11
    with pytest.raises(SimulationError, match=r"holds 11 in sample 1, but .* numbered 0 to 3"):
        conversion.run(packed, **QUIET)


def test_a_node_may_have_one_number_without_an_axis(tmp_path: Path) -> None:
    """Its size says so; else a number has one axis, as before, and other sizes are refused."""
    with sw.Network() as network:
        plain, alone = sw.Node(0.5), sw.Node(0.5, size_out=())
        end = sw.Node(size_in=())
        sw.Connection(alone, end, synapse=None)
        probe = sw.Probe(end)
    assert (plain.shape_out, alone.shape_out) == ((1,), ())
    save(network, tmp_path / "network")
    assert [n.shape_out for n in load(tmp_path / "network").nodes] == [(1,), (), ()]
    for engine in ("reference", "native", "torch"):
        with sw.Simulator(network, engine=engine, progress_bar=False) as simulator:
            simulator.run_steps(3)
            simulator.run_steps(2, {alone: np.array([1.0, 2.0])})
        assert simulator.data[probe].tolist() == [0.5, 0.5, 0.5, 1.0, 2.0]
    with pytest.raises(NetworkError, match="has shape \\(2,\\), got size_out=3"):
        sw.Node([1.0, 2.0], size_out=3)


class Flagged(torch.nn.Module):
    """One of two layers, as a truth value a sample says."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = torch.nn.Linear(3, 4), torch.nn.Linear(3, 4)

    def forward(self, x: Any, flag: Any) -> Any:
        """The chosen one, rectified."""
        return torch.relu(torch.where(flag[:, None], self.first(x), self.second(x)))


def _flagged_keras() -> Any:
    keras.utils.set_random_seed(0)
    x, flag = keras.Input((3,), name="x"), keras.Input((), dtype="bool", name="flag")
    first, second = keras.layers.Dense(4)(x), keras.layers.Dense(4)(x)
    chosen = keras.ops.where(keras.ops.expand_dims(flag, -1), first, second)
    return keras.Model([x, flag], keras.ops.relu(chosen))


def _flagged_onnx() -> Any:
    weights = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    nodes = [
        helper.make_node("Unsqueeze", ["flag", "one"], ["column"]),
        helper.make_node("MatMul", ["x", "weights"], ["first"]),
        helper.make_node("Neg", ["first"], ["second"]),
        helper.make_node("Where", ["column", "first", "second"], ["chosen"]),
        helper.make_node("Relu", ["chosen"], ["y"]),
    ]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
        for name, width in (("x", 3), ("y", 4))
    )
    flag = helper.make_tensor_value_info("flag", TensorProto.BOOL, ["n"])
    constants = {"weights": weights, "one": np.array([1])}
    held = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "flagged", [x, flag], [y], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


@pytest.mark.parametrize("make", [lambda: Flagged().eval(), _flagged_keras, _flagged_onnx])
def test_a_truth_value_a_sample_is_an_input(make: Callable[[], Any]) -> None:
    """`(batch,)` of truth values, or of zeros and ones; what `verify` draws is one of the two."""
    rng = np.random.default_rng(0)
    x, flag = rng.normal(size=(9, 3)).astype(np.float32), np.arange(9) % 2 == 0
    conversion = sw.convert(make(), example_input=(x, flag), **CHOICES)
    assert max(conversion.verify((x, flag)).values()) < 1e-6
    assert max(conversion.verify().values()) < 1e-6
    whole = conversion.run((x, flag), **QUIET).predict().tolist()
    assert conversion.run((x, flag.astype(float)), **QUIET).predict().tolist() == whole
    with conversion.stream() as stream:
        for _ in range(STEPS):
            stream.step((x[0], bool(flag[0])))
        assert stream.predict() == pytest.approx(np.array(whole[0]), rel=1e-6)
