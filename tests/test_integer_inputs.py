"""Embeddings of token numbers: rows that are looked up, exactly, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
import torch
from torch import nn

import spikewright as sw
from spikewright.errors import SimulationError
from spikewright.graph import evaluate, load, save
from spikewright.graph.integer_inputs import random_inputs, whole_inputs
from spikewright.graph.layers import Input, Lookup

L, ops = keras.layers, keras.ops
ROWS, STEPS = 11, 6
IDS = np.random.default_rng(0).integers(0, ROWS, (4, STEPS))
TABLE = np.random.default_rng(1).normal(size=(ROWS, 3)).astype(np.float32)


def keras_model() -> Any:
    """Tokens and their positions, embedded; whole numbers as the model's input."""
    keras.utils.set_random_seed(0)
    ids = keras.Input((STEPS,), dtype="int32", name="ids")
    words = L.Embedding(ROWS, 3, name="words")(ids)
    places = L.Embedding(STEPS, 3, name="places")(ops.arange(STEPS))
    y = L.Dense(5, activation="relu", name="hidden")(words + places)
    return keras.Model(ids, L.Dense(2, name="out")(L.Flatten()(y)))


class Module(nn.Module):
    """The same in PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.places = nn.Embedding(ROWS, 3), nn.Embedding(STEPS, 3)
        self.hidden, self.out = nn.Linear(3, 5), nn.Linear(5 * STEPS, 2)

    def forward(self, ids: Any) -> Any:
        """Tokens and positions."""
        y = self.words(ids) + self.places(torch.arange(ids.shape[1]))
        return self.out(torch.relu(self.hidden(y)).flatten(1))


MODELS: dict[str, Callable[[], Any]] = {"keras": keras_model, "pytorch": Module}


@pytest.fixture(params=MODELS, scope="module")
def spiking(request: pytest.FixtureRequest) -> sw.Conversion:
    """Each model as a spiking network."""
    model = MODELS[request.param]()
    return sw.convert(model, spiking=True, scale_firing_rates=500.0, example_input=IDS)


def test_token_numbers_go_in_and_rows_come_out(spiking: sw.Conversion) -> None:
    """The source agrees on given and on random numbers, and the guarantee of the rows is exact."""
    assert max(spiking.verify(IDS).values()) < 1e-6
    assert max(spiking.verify().values()) < 1e-6  # random inputs are numbers of rows
    (rows,) = whole_inputs(spiking.graph).values()
    assert rows == ROWS
    status = {e.layer: e.status for e in spiking.trace if e.stage == "lower"}
    assert status["words"] == "exact"
    assert spiking.trace.guarantee == "convergent"
    assert "words" not in spiking.populations()


@pytest.mark.parametrize("engine", ["native", "reference", "torch"])
def test_rows_are_right_at_every_step(spiking: sw.Conversion, engine: str) -> None:
    """The error of the output falls with the steps, and engines agree."""
    (truth,) = evaluate(spiking.graph, {next(iter(spiking.graph.inputs)): IDS}).values()
    run = spiking.run(IDS, steps=200, engine=engine, progress=False)
    means = run.predict_at_every_step("mean")
    early, late = (np.abs(means[:, t - 1] - truth).max() for t in (5, 200))
    assert late < 0.02 * np.abs(truth).max() < early or late < early / 10


def test_a_number_that_no_row_has_is_an_error(spiking: sw.Conversion) -> None:
    """Not the nearest row, and not a crash: the sample, the value and what there is."""
    for wrong in (IDS + 0.5, IDS + ROWS, IDS - ROWS, IDS * 1000):
        with pytest.raises(SimulationError, match=r"in sample \d, but rows .* numbered 0 to 10"):
            spiking.run(wrong, steps=3, progress=False)


def test_files_hold_tables(spiking: sw.Conversion, tmp_path: Path) -> None:
    """Of graphs and of conversions."""
    save(spiking.graph, path := tmp_path / "graph")
    read, layer = load(path)["words"].layer, spiking.graph["words"].layer
    assert isinstance(read, Lookup)
    assert isinstance(layer, Lookup)
    np.testing.assert_array_equal(read.table, layer.table)
    spiking.save(tmp_path / "network")
    found = sw.load(tmp_path / "network").run(IDS, steps=9, progress=False).predict()
    np.testing.assert_array_equal(found, spiking.run(IDS, steps=9, progress=False).predict())


def test_a_table_may_be_indexed_in_any_way() -> None:
    """By an operation of Keras, by PyTorch's indexing; one-hot vectors are rows too."""
    ids = keras.Input((STEPS,), dtype="int32")
    taken = ops.take(TABLE, ids, axis=0), ops.one_hot(ids, ROWS)
    conversion = sw.convert(keras.Model(ids, list(taken)))
    assert max(conversion.verify(IDS).values()) == 0.0

    class Indexing(nn.Module):
        def forward(self, ids: Any) -> Any:
            table = torch.from_numpy(TABLE)
            rows = table[ids.long()], torch.index_select(table, 0, ids[:, 1].int())
            return *rows, nn.functional.one_hot(ids, ROWS).float()

    conversion = sw.convert(Indexing(), example_input=IDS)
    assert max(conversion.verify(IDS).values()) == 0.0
    assert len(conversion.outputs) == 3


def keras_counting() -> Any:
    """Numbers of rows that are computed of an input of whole numbers."""
    ids = keras.Input((STEPS,), dtype="int32", name="ids")
    return keras.Model(ids, L.Embedding(ROWS + 3, 2)(ids + 3))


class Counting(nn.Module):
    """The same in PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Embedding(ROWS + 3, 2)

    def forward(self, ids: Any) -> Any:
        """Rows, three further on."""
        return self.rows(ids + 3)


def onnx_counting() -> Any:
    """The same in ONNX."""
    make, array = onnx.helper, onnx.numpy_helper.from_array
    nodes = [make.make_node("Add", ["ids", "three"], ["n"]), make.make_node("Gather", "tn", "y")]
    ids = make.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["batch", STEPS])
    y = make.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", STEPS, 2])
    table = np.random.default_rng(0).normal(size=(ROWS + 3, 2)).astype(np.float32)
    weights = [array(np.array(3), "three"), array(table, "t")]
    graph = make.make_graph(nodes, "counting", [ids], [y], weights)
    return make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize("make", [keras_counting, Counting, onnx_counting])
def test_inputs_of_whole_numbers_hold_them(make: Callable[[], Any], tmp_path: Path) -> None:
    """Whatever is computed of them before rows are looked up: an input says so, also in files."""
    conversion = sw.convert(make(), example_input=IDS)
    (name,) = conversion.graph.inputs
    assert conversion.verify()
    assert max(conversion.verify(IDS).values()) < 1e-6
    for seed in range(3):
        (value,) = random_inputs(conversion.graph, seed).values()
        assert np.array_equal(np.unique(value), [0, 1])
    save(conversion.graph, tmp_path / "graph")
    layer = load(tmp_path / "graph")[name].layer
    assert isinstance(layer, Input) and layer.whole


def test_a_sequence_of_tokens_runs_along_time() -> None:
    """One token after the other, into the same recurrent neurons."""
    keras.utils.set_random_seed(0)
    ids = keras.Input((STEPS,), dtype="int32", name="ids")
    y = L.SimpleRNN(3, activation="relu")(L.Embedding(ROWS, 4, name="words")(ids))
    model = keras.Model(ids, L.Dense(2)(y))
    conversion = sw.convert(model, sequence_step=64, spiking=True, scale_firing_rates=1e5)
    assert max(conversion.verify(IDS).values()) < 1e-5
    assert max(conversion.verify().values()) < 1e-5
    truth = model.predict(IDS, verbose=0)
    found = conversion.run(IDS, progress=False).predict("last")
    assert np.abs(found - truth).max() < 0.1 * np.abs(truth).max()


def test_statistics_and_rules_look_at_rows_of_random_numbers() -> None:
    """A rule without data draws numbers of rows; one with data reads them."""
    model = keras_model()
    known = sw.convert(model).calibrate(IDS, progress=False)
    drawn = sw.convert(model, spiking=True, scale_firing_rates=sw.DataFreeCalibration())
    seen = sw.convert(model, spiking=True, scale_firing_rates=sw.TargetRate(100), calibration=known)
    for conversion in (drawn, seen):
        assert conversion.run(IDS, steps=5, progress=False).populations["hidden"].totals.sum() > 0


MASKING: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "embedding": (lambda: L.Embedding(ROWS, 3, mask_zero=True), (STEPS,)),
    "masking": (lambda: L.Masking(), (STEPS, 3)),
}
BEHIND: dict[str, Callable[[Any], Any]] = {
    "recurrent": lambda y: L.GlobalAveragePooling1D()(L.LSTM(3, return_sequences=True)(y)),
    "around": lambda y: L.Flatten()(
        L.TimeDistributed(L.Dense(2))(L.Bidirectional(L.GRU(3, return_sequences=True))(y))
    ),
    "attention": lambda y: L.Flatten()(L.MultiHeadAttention(2, 2)(y, y)),
    "joined": lambda y: L.LSTM(3)(L.Concatenate(axis=-1)([y, L.Dropout(0.5)(y)])),
    "nested": lambda y: keras.Sequential([keras.Input((STEPS, 3)), L.LSTM(3)])(y),
}


@pytest.mark.parametrize(("behind", "masking"), list(zip(BEHIND, cycle(MASKING), strict=False)))
def test_a_mask_is_followed_to_whatever_takes_it(behind: str, masking: str) -> None:
    """The outputs are Keras's for padded samples."""
    keras.utils.set_random_seed(1)
    make, shape = MASKING[masking]
    x = keras.Input(shape)
    model = keras.Model(x, L.Dense(2)(BEHIND[behind](make()(x))))
    given = np.where(np.arange(STEPS) < [[STEPS], [2], [1]], IDS[:1] % (ROWS - 1) + 1, 0)
    if masking == "masking":
        given = given[..., None] * np.ones(3, np.float32)
    assert max(sw.convert(model).verify(given).values()) < 1e-5


def test_a_mask_that_no_layer_takes_changes_nothing() -> None:
    """Numbers of 0 are rows like others to layers that know no masks."""
    ids = keras.Input((STEPS,))
    y = L.Flatten()(L.Embedding(ROWS, 3, mask_zero=True)(ids))
    conversion = sw.convert(keras.Model(ids, L.Dense(2)(y)))
    assert max(conversion.verify(IDS * (IDS > 4)).values()) < 1e-6
