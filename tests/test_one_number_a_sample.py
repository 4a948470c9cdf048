"""Inputs and outputs of one number a sample: whatever takes data takes `(batch,)`."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import spikewright as sw
from one_number import CASES, READERS, SAMPLES, with_columns
from spikewright.cli import main
from spikewright.conversion import watch
from spikewright.errors import NetworkError, SimulationError, SpikewrightError
from spikewright.explorer.explore import _subject
from spikewright.measure import accuracy, accuracy_over_time
from spikewright.measure.operations import Counter
from spikewright.network.storage import load, save
from spikewright.records import Record

STEPS = 6
CHOICES: Mapping[str, Any] = {
    "spiking": True, "scale_firing_rates": 400.0, "max_spikes_per_step": 1,
}  # fmt: skip
QUIET: Mapping[str, Any] = {"steps": STEPS, "progress": False}


@dataclass(frozen=True)
class Given:
    """A conversion, and data as its source takes it: one array, or a tuple of them."""

    conversion: sw.Conversion
    arrays: Mapping[str, NDArray]
    y: NDArray
    folder: Path

    @property
    def x(self) -> Any:
        """The arguments of the source's own call."""
        return self.of(self.arrays)

    def of(self, arrays: Mapping[str, NDArray]) -> Any:
        """These arrays in the order of the source's arguments."""
        values = tuple(arrays.values())
        return values if len(values) > 1 else values[0]

    def part(self, samples: slice) -> Any:
        """Some samples."""
        return self.of({name: array[samples] for name, array in self.arrays.items()})

    def over_time(self) -> Any:
        """The same values in each of some steps."""
        return self.of({n: np.repeat(a[:, None], STEPS, 1) for n, a in self.arrays.items()})

    def batches(self) -> list[Any]:
        """Pairs of inputs and labels or targets."""
        halves = slice(0, 30), slice(30, None)
        return [(self.part(half), self.y[half]) for half in halves]

    def loader(self) -> Any:
        """A `DataLoader` over a data set whose items are numbers."""
        parts = [torch.as_tensor(a) for a in (*self.arrays.values(), self.y)]
        return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*parts), batch_size=30)

    @property
    def command(self) -> tuple[str, str]:
        """Files of the network and of the samples."""
        model, data = self.folder / "network.spike", self.folder / "data.npz"
        self.conversion.save(model, overwrite=True)
        np.savez(data, y=self.y, **self.arrays)
        return str(model), str(data)


MEASURES = (
    "accuracy", "agreement", "relative error", "root mean square error", "spikes per sample",
    "relative difference",
)  # fmt: skip


def _measured(records: Sequence[Record]) -> list[float]:
    """Measures of outputs and spikes, which the form of an output does not change."""
    found = [r.value for r in records if r.name in MEASURES and "layer" not in r.how]
    assert len(found) > 2
    return found


def _evaluated(given: Given, *data: Any, **more: Any) -> list[float]:
    return _measured(given.conversion.evaluate(*data, **QUIET, **more).records)


def _elsewhere(given: Given) -> list[float]:
    with ThreadPoolExecutor(1) as executor:
        return _evaluated(given, given.x, given.y, executor=executor)


def _called(arguments: Sequence[str]) -> list[float]:
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return [
        record["value"]
        for record in json.loads(result.stdout)["records"]
        if record["name"] in MEASURES and "layer" not in record["how"]
    ]


def _streamed(given: Given) -> Any:
    conversion = given.conversion
    with conversion.stream(batch_size=3) as together, conversion.stream() as alone:
        three, first = given.part(slice(3)), given.of({n: a[0] for n, a in given.arrays.items()})
        for _ in range(STEPS):
            last = together.step(three), alone.step(first)
        return *last, together.predict(), alone.predict()


def _simulated(given: Given) -> Any:
    conversion = given.conversion
    (output,) = conversion.outputs.values()
    with conversion.network:
        probe = sw.Probe(output.neurons if isinstance(output, sw.Ensemble) else output)
    try:
        with sw.Simulator(conversion.network, batch_size=SAMPLES, progress_bar=False) as simulator:
            simulator.run_steps(
                STEPS, {node: given.arrays[name] for name, node in conversion.inputs.items()}
            )
            return np.array(simulator.data[probe])
    finally:
        conversion.network.probes.remove(probe)


def _deployed(given: Given) -> Any:
    """The step as an ONNX model, run by onnxruntime on what the source's own call takes."""
    path = given.folder / "step.onnx"
    sw.onnx.save_step(given.conversion, path, overwrite=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    states, counter = json.loads(told["states"]), json.loads(told["step"])
    shapes = {i.name: i.shape[1:] for i in session.get_inputs()}
    feeds: dict[str, Any] = {n: a.astype(np.float32) for n, a in given.arrays.items()}
    state = {name: np.zeros((SAMPLES, *shapes[name])) for name in states}
    names = [output.name for output in session.get_outputs()]
    found: dict[str, Any] = {}
    for step in range(STEPS):
        found = dict(
            zip(names, session.run(names, {**feeds, **state, counter: np.array(step)}), strict=True)
        )
        state = {name: found[following] for name, following in states.items()}
    return [v for n, v in found.items() if n.startswith("mean ")]


def _operations(given: Given) -> Any:
    conversion = given.conversion
    lowered = conversion.lowered
    counter = Counter(lowered.network, conversion.populations(), lowered.inputs)
    run = conversion.run(given.x, **QUIET)
    totals = {name: part.totals for name, part in run.populations.items()}
    held, timed = (
        counter.count(totals, STEPS, x)
        for x in (
            given.arrays,
            {n: np.repeat(a[:, None], STEPS, 1) for n, a in given.arrays.items()},
        )
    )
    return [
        sum(layer.input_per_step.sum() for layer in found.layers.values())
        for found in (held, timed)
    ]


def _trained(given: Given, x: Any, y: Any = None, **more: Any) -> Any:
    made = given.conversion.train(
        x, y, epochs=1, validation=0.25, batch_size=16, learning_rate=1e-3, **QUIET, **more
    )
    return made.conversion.run(given.x, **QUIET).predict()


def _module(given: Given) -> Any:
    module = given.conversion.torch_module(STEPS)
    inputs = [torch.as_tensor(array) for array in given.arrays.values()]
    over_time = [x[:, None].expand(-1, STEPS, *x.shape[1:]) for x in inputs]
    return module(*inputs).detach().numpy(), module(*over_time).detach().numpy()


RULE = sw.MinimumError(STEPS, spikes_per_step=1)


def _scales(conversion: sw.Conversion) -> Any:
    return list(conversion.resolved["scale_firing_rates"].values())


def _again(given: Given, **changes: Any) -> Any:
    return given.conversion.again(**changes).run(given.x, **QUIET).predict()


ENTRIES: dict[str, Callable[[Given], Any]] = {
    "run": lambda g: g.conversion.run(g.x, **QUIET).predict(),
    "run by name": lambda g: g.conversion.run(dict(g.arrays), **QUIET).predict(),
    "run on tensors": lambda g: g.conversion.run(
        g.of({n: torch.as_tensor(a) for n, a in g.arrays.items()}), **QUIET
    ).predict(),
    "run on lists": lambda g: g.conversion.run(
        {n: a.tolist() for n, a in g.arrays.items()}, **QUIET
    ).predict(),
    "run over time": lambda g: g.conversion.run(g.over_time(), progress=False).predict(),
    "answers at every step": lambda g: g.conversion.run(g.x, **QUIET).predict_at_every_step("last"),
    "recorded": lambda g: list(
        g.conversion.run(g.x, **QUIET, record=list(g.conversion.populations())).recorded.values()
    ),
    "reference engine": lambda g: g.conversion.run(g.x, **QUIET, engine="reference").predict(),
    "torch engine": lambda g: g.conversion.run(g.x, **QUIET, engine="torch").predict(),
    "native engine": lambda g: g.conversion.run(g.x, **QUIET, engine="native").predict(),
    "small batches": lambda g: g.conversion.run(g.x, **QUIET, batch_size=7).predict(),
    "verify": lambda g: max(g.conversion.verify(g.x).values()) < 1e-6,
    "verify on random input": lambda g: max(g.conversion.verify().values()) < 1e-6,
    "evaluate": lambda g: _evaluated(g, g.x, g.y),
    "evaluate a column of y": lambda g: _evaluated(
        g, g.x, g.y[:, None] if g.y.ndim == 1 else g.y
    ),
    "evaluate without y": lambda g: _evaluated(g, g.x),
    "evaluate batches": lambda g: _evaluated(g, g.batches()),
    "evaluate a loader": lambda g: _evaluated(g, g.loader()),
    "evaluate over time": lambda g: _evaluated(g, g.over_time(), g.y),
    "evaluate elsewhere": lambda g: _elsewhere(g),
    "calibration": lambda g: _scales(
        g.conversion.again(scale_firing_rates=RULE, calibration=g.x)
    ),
    "calibration in batches": lambda g: _scales(
        g.conversion.again(scale_firing_rates=RULE, calibration=g.batches())
    ),
    "calibration from a loader": lambda g: _scales(
        g.conversion.again(scale_firing_rates=RULE, calibration=g.loader())
    ),
    "statistics": lambda g: _scales(
        g.conversion.again(
            scale_firing_rates=sw.Percentile(99.0, 300.0),
            calibration=g.conversion.calibrate(g.x, progress=False),
        )
    ),
    "bias correction": lambda g: _again(
        g, bias_correction=sw.BiasCorrection(STEPS), calibration=g.x
    ),
    "step correction": lambda g: _again(
        g, bias_correction=sw.StepCorrection(STEPS), calibration=g.x
    ),
    "fission": lambda g: g.conversion.fission(g.x, steps=STEPS).run(g.x, **QUIET).predict(),
    "best rule": lambda g: _scales(
        sw.best_rule(
            g.conversion, g.x, STEPS, candidates=[RULE, sw.Percentile(99.0, 300.0)], progress=False
        ).conversion
    ),
    "sweep": lambda g: _measured(
        sw.sweep(
            g.conversion, g.x, g.y, scales=[200.0, 400.0], steps=[2, STEPS], progress=False
        ).records
    ),
    "diagnose": lambda g: g.conversion.diagnose(g.x, g.y, **QUIET).loss.value,
    "stream": _streamed,
    "Simulator": _simulated,
    "saved": lambda g: sw.load(g.command[0]).run(g.x, **QUIET).predict(),
    "saved, verified": lambda g: max(sw.load(g.command[0]).verify(g.x).values()) < 1e-6,
    "pickled": lambda g: pickle.loads(pickle.dumps(g.conversion)).run(g.x, **QUIET).predict(),
    "ONNX step": _deployed,
    "operations": _operations,
    "watch": lambda g: list(
        watch(g.conversion, g.part(slice(1)), STEPS).answers.values()
    ),
    "train": lambda g: _trained(g, g.x, g.y),
    "train, imitating": lambda g: _trained(g, g.x),
    "train on a loader": lambda g: _trained(g, g.loader()),
    "train through time": lambda g: _trained(g, g.x, g.y, method="time"),
    "reconstruct": lambda g: g.conversion.reconstruct(g.x, epochs=1, **QUIET)
    .run(g.x, **QUIET)
    .predict(),
    "torch module": _module,
    "evaluate command": lambda g: _called(
        ["evaluate", g.command[0], "--data", g.command[1], "--steps", str(STEPS)]
    ),
    "fits a chip": lambda g: str(g.conversion.fits("loihi1")) != "",
}  # fmt: skip


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
OTHERS = [reader for reader in READERS if reader != "pytorch"]


def _check(entry: str, found: Given, wanted: Given) -> None:
    made, expected = plain(ENTRIES[entry](found)), plain(ENTRIES[entry](wanted))
    assert made == pytest.approx(expected, rel=1e-5, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_takes_one_number_a_sample(entry: str, kind: str, tmp_path: Path) -> None:
    """What comes out is what the same model gives for a column `(batch, 1)`."""
    _check(entry, given("pytorch", kind, tmp_path), given_columns("pytorch", kind, tmp_path))


@pytest.mark.parametrize("reader", OTHERS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_takes_it_whoever_read_the_model(
    entry: str, reader: str, tmp_path: Path
) -> None:
    """The same for the other readers, each entry with another of the models."""
    kind = KINDS[list(ENTRIES).index(entry) % len(KINDS)]
    _check(entry, given(reader, kind, tmp_path), given_columns(reader, kind, tmp_path))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS)
def test_outputs_have_the_shape_of_the_sources_own_call(reader: str, kind: str) -> None:
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


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry not in STRICT])
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


@pytest.mark.parametrize("entry", CHECKED)
def test_a_number_of_a_row_that_is_not_there_is_named(entry: str, tmp_path: Path) -> None:
    """Nowhere is the nearest row taken: the error has the input, the sample and the value."""
    good = given("pytorch", "ratings", tmp_path)
    items = good.arrays["item"].copy()
    items[0] = 99
    bad = replace(good, arrays={**good.arrays, "item": items})
    with pytest.raises(
        (SpikewrightError, AssertionError),
        match=r"input 'item' holds 99 (in sample 0, )?but rows of its table are numbered 0 to 14",
    ):
        ENTRIES[entry](bad)


@pytest.mark.parametrize("entry", [e for e in CHECKED if e not in ("watch", "stream")])
def test_other_shapes_are_refused(entry: str, tmp_path: Path) -> None:
    """Two numbers a sample are neither held nor over time: the error has the input and shapes."""
    good = given("pytorch", "number", tmp_path)
    bad = replace(good, arrays={"number": np.ones((SAMPLES, STEPS, 2), np.float32)})
    with pytest.raises((SpikewrightError, AssertionError), match=r"'number' must be \(batch,\)"):
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
    assert found.held_back + found.searched_on == 3 * SAMPLES
    assert found.drop <= 0.5


def test_a_nir_file_is_checked_on_numbers_and_on_columns(tmp_path: Path) -> None:
    """NIR has an axis for every input, and samples may be `(batch,)` all the same."""
    sw.nir.save(conversion_of("pytorch", "number"), path := tmp_path / "number.nir", overwrite=True)
    x = CASES["number"].x["number"]
    found = [sw.nir.check(path, given, [], steps=STEPS) for given in (x, x[:, None])]
    assert str(found[0]) == str(found[1])


def test_exploring_draws_ids_that_there_are() -> None:
    """Without data the page has numbers of rows for ids, and values from 0 to 1 for the rest."""
    conversion = conversion_of("pytorch", "ratings")
    subject = _subject(conversion, None, None, None, (), "")
    for name, rows in conversion.graph.structure.rows.items():
        assert set(np.unique(subject.x[name])) <= set(range(int(rows)))
    assert conversion.run(dict(subject.x), **QUIET).predict().shape == (len(subject.x["user"]),)


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
