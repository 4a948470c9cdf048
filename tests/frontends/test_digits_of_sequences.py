"""Signed digits in recurrent layers: a row of a sequence takes the critical path of its cell."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import onnx_helpers
import pytest
import torch
from keras import layers as L
from numpy.typing import NDArray
from recurrent import INPUTS, TIME, UNITS, cell_of, graph_of, samples
from torch import nn

import spikewright as sw
from spikewright.choosing.rows import rows_of_graph
from spikewright.choosing.silent_steps import MOST_APART, DigitComparison
from spikewright.engines import Execution, compile_network, get
from spikewright.errors import ConversionError, NetworkError, SimulationError
from spikewright.lower.choices import STEP
from spikewright.measure.operations import Counter
from spikewright.network.connection import object_of
from spikewright.network.layer_times import evaluations, is_carried, waits_of
from spikewright.running.recording import probes_of
from twins import units_of

STEPS = 4
KINDS = ["tanh", "relu", "gru", "gru-after", "lstm", "lstm-peepholes"]


def converted(kind: str, silent: Any = 1, steps: int = STEPS) -> tuple[sw.Conversion, NDArray]:
    """A cell along a sequence in digits, and the sequences that were seen."""
    return by_rows(graph_of(cell_of(kind)), samples(8), silent, steps)


def by_rows(
    model: Any, x: NDArray, silent: Any, steps: int = STEPS
) -> tuple[sw.Conversion, NDArray]:
    """A model with recurrent layers in digits, row by row, and the sequences that were seen."""
    coding = sw.SignedDigits(steps, silent)
    given: dict[str, Any] = {} if isinstance(model, sw.graph.Graph) else {"example_input": x[:2]}
    conversion = sw.convert(
        model, spiking=True, coding=coding, sequence_step=steps, calibration=x, **given
    )
    return conversion, x


def twin(conversion: sw.Conversion, x: NDArray) -> list[Any]:
    """The values of all nodes row by row, each activation rounded to whole units, ties going up."""
    units, most = units_of(conversion), 2.0**conversion.coding.steps - 1  # type: ignore[operator]

    def passed_on(name: str, value: NDArray) -> NDArray:
        if name not in units:
            return value
        return np.asarray(np.clip(np.floor(value / units[name] + 0.5), -most, most) * units[name])

    return rows_of_graph(conversion, conversion.as_inputs(x), passed_on)


def check_is_its_twin(conversion: sw.Conversion, x: NDArray, engine: str = "auto") -> None:
    """Every layer in every row has said the digits of its rounded twin."""
    names, units = list(conversion.populations()), units_of(conversion)
    precision: Any = "float32" if engine == "torch" else "float64"
    run = conversion.run(x, record=names, engine=engine, precision=precision, progress=False)
    rows = twin(conversion, x)
    assert len(rows) == x.shape[1]
    for name in names:
        values = run.recorded[name]
        said = values.reshape(len(x), len(rows), -1, *values.shape[2:]).mean(axis=2)
        for number, row in enumerate(rows):
            if name in row:  # what only leads to the end has a value in the last row
                apart = np.abs(said[:, number] - row[name]) / units[name]
                assert apart.max() < 0.01, (name, number)


@pytest.mark.parametrize("engine", sw.engines.available())
@pytest.mark.parametrize("kind", KINDS)
def test_with_all_input_known_every_row_is_that_of_the_rounded_twin(kind: str, engine: str) -> None:
    """The law: with as many silent steps as digits, and states of the row before as they are."""
    check_is_its_twin(*converted(kind, STEPS), engine)


@pytest.mark.parametrize(("kind", "waits"), [("tanh", 1), ("gru", 4), ("lstm", 4)])
@pytest.mark.parametrize("silent", [1, 2])
def test_a_row_takes_the_critical_path_of_the_cell(kind: str, waits: int, silent: int) -> None:
    """T and the silent steps along it; a run says both numbers of steps, and its readouts fit."""
    conversion, x = converted(kind, silent)
    times = conversion.lowered.times
    assert times is not None and times.row == times.pace == STEPS + waits * silent
    run = conversion.run(x, record=list(conversion.populations()), progress=False)
    assert run.steps == TIME * STEPS and run.network_steps == TIME * times.row
    assert run.sequence_step == STEPS
    for name, spikes in run.spike_counts().items():
        sent = np.abs(run.spikes_over_time(name))
        assert sent.max() == 1 and spikes.sum() == sent.sum()
        ensemble = conversion.populations()[name]
        whole = times.done(ensemble, run.network_steps)
        assert whole == (TIME * STEPS, TIME * (STEPS + silent))
    found, at_every = run.predict(), run.predict_at_every_step()
    np.testing.assert_allclose(at_every["all"][:, STEPS - 1 :: STEPS], found["all"], atol=1e-12)
    np.testing.assert_allclose(at_every["end"][:, -1], found["end"], atol=1e-12)


@pytest.mark.parametrize("silent", [1, 2])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "gru-after"])
def test_both_forms_say_the_same(kind: str, silent: int) -> None:
    """Step by step and written out, where units are the same: to the unit, whatever is late.

    A GRU that resets behind its weights multiplies constants in its first row, which need no
    neurons where it is written out.
    """
    x = samples()
    given: dict[str, Any] = {
        "spiking": True,
        "coding": sw.SignedDigits(STEPS, silent),
        "scale_firing_rates": 1000.0,
    }
    stepped = sw.convert(graph_of(cell_of(kind)), sequence_step=STEPS, **given)
    written_out = sw.convert(graph_of(cell_of(kind), kept=False), **given)
    one, other = (c.run(x, precision="float64", progress=False) for c in (stepped, written_out))
    for name, value in other.predict().items():
        np.testing.assert_allclose(one.predict()[name], value, atol=1e-12)


@pytest.mark.parametrize("engine", sw.engines.available())
@pytest.mark.parametrize("kind", ["relu", "gru", "lstm"])
def test_the_network_itself_sends_what_a_run_does(kind: str, engine: str) -> None:
    """In its own steps, with delays and starts; whatever the number of steps worked on at once."""
    conversion, x = converted(kind)
    network, times = conversion.network, conversion.lowered.times
    assert times is not None and times.row is not None
    precision: Any = "float32" if engine == "torch" else "float64"
    run = conversion.run(x, engine=engine, precision=precision, progress=False)
    (node,) = conversion.inputs.values()
    fed = {node: np.repeat(x, times.row, axis=1)}
    program = compile_network(network, STEP, 0, precision, probes_of(conversion.lowered.outputs))
    assert program.whole_steps is None
    for block in (None, 3):
        execution = Execution(
            program, get(engine, program), len(x), network.all_ensembles, block=block
        )
        found = execution.run(TIME * times.row, fed)
        for name, ensemble in conversion.populations().items():
            sent = run.populations[name].totals
            np.testing.assert_array_equal(execution.totals()[ensemble], sent)
        for name, values in zip(conversion.lowered.outputs, found, strict=True):
            rows = values.reshape(len(x), TIME, times.row, -1).sum(axis=2) / STEPS
            rows = rows if name == "all" else rows[:, -1]
            np.testing.assert_allclose(rows, run.predict()[name], atol=1e-6)


@pytest.mark.parametrize("engine", [e for e in sw.engines.available() if e != "torch"])
def test_a_sample_is_its_own_whatever_is_beside_it(engine: str) -> None:
    """Alone, some at a time, of another length, and as a stream, bit by bit."""
    conversion, x = converted("lstm")
    whole = conversion.run(x, engine=engine, progress=False)
    parts = conversion.run(x, engine=engine, batch_size=3, progress=False)
    alone = conversion.run(x[2:3], engine=engine, progress=False)
    shorter = conversion.run(x[:, :3], engine=engine, progress=False)
    for name, value in whole.raw.items():
        np.testing.assert_array_equal(parts.raw[name], value)
        np.testing.assert_array_equal(alone.raw[name], value[2:3])
        np.testing.assert_array_equal(shorter.raw[name], value[:, : 3 * STEPS])
    for name, spikes in whole.spike_counts().items():
        np.testing.assert_array_equal(parts.spike_counts()[name], spikes)
    stream = conversion.stream(batch_size=len(x), engine=engine)
    for number in range(TIME):
        found = stream.step(x[:, number])
        np.testing.assert_allclose(found["all"], whole.predict()["all"][:, number], atol=1e-6)
    assert stream.n_steps == whole.network_steps


@pytest.mark.parametrize("kind", ["relu", "gru", "lstm"])
def test_auto_is_about_as_close_as_the_twin(kind: str) -> None:
    """Over all rows, and no layer waits for more than all digits."""
    conversion, x = converted(kind, "auto", 5)
    compared = DigitComparison(conversion, conversion.as_inputs(x))
    apart, sent = compared.distance()
    assert apart <= MOST_APART * compared.twin or not any(compared.late(sent).values())
    exact = [row["rnn"] for row in rows_of_graph(conversion, conversion.as_inputs(x))]
    found = twin(conversion, x)
    of_all = np.stack([row["rnn"] for row in found], 1) - np.stack(exact, 1)
    at_end = found[-1]["end"] - rows_of_graph(conversion, conversion.as_inputs(x))[-1]["end"]
    squares = np.concatenate([np.square(of_all).ravel(), np.square(at_end).ravel()])
    np.testing.assert_allclose(compared.twin, np.sqrt(squares.mean()), rtol=1e-9)


@pytest.mark.parametrize("silent", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_values_are_counted_as_often_as_engines_compute_them(kind: str, silent: int) -> None:
    """Counters and engines agree; what the next row reads is computed for every digit."""
    conversion, _ = converted(kind, silent)
    network, times = conversion.network, conversion.lowered.times
    assert times is not None
    counted = evaluations(network, times)
    for connection, ahead in waits_of(network, times, ()).items():
        pre, post = object_of(connection.pre_obj), object_of(connection.post_obj)
        sent_at_once = isinstance(pre, sw.Ensemble)
        assert ahead == (STEPS if sent_at_once else counted[pre]) - counted[post]
    carried = [object_of(c.pre_obj) for c in network.all_connections if is_carried(c)]
    nodes = [place for place in carried if isinstance(place, sw.Node)]
    assert all(counted[node] == STEPS for node in nodes)
    assert bool(nodes) == kind.startswith(("gru", "lstm"))


def a_torch_model(kind: str) -> tuple[Any, NDArray]:
    """Two layers that begin with states of their own, and a head behind each step."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = getattr(nn, kind)(INPUTS, 5, 2, batch_first=True)
            self.begins = nn.Parameter(torch.randn(2, 1, 5))
            self.head = nn.Linear(5, 2)

        def forward(self, x: torch.Tensor) -> Any:
            h = self.begins.expand(2, len(x), 5).contiguous()
            made, _ = self.rnn(x, (h, 0.5 * h) if kind == "LSTM" else h)
            return self.head(torch.relu(made))

    torch.manual_seed(0)
    return Model().eval(), samples().astype(np.float32)


def a_keras_model(kind: str) -> tuple[Any, NDArray]:
    """Two layers, dense ones around them, and the last step alone."""
    keras.utils.set_random_seed(3)
    layer = getattr(L, kind)
    parts = [
        L.Input((TIME, INPUTS)),
        L.TimeDistributed(L.Dense(5, activation="relu")),
        layer(6, return_sequences=True),
        layer(4),
        L.Dense(3),
    ]
    return keras.Sequential(parts), samples().astype(np.float32)


def an_onnx_model(kind: str) -> tuple[Any, NDArray]:
    """An operator with time first and weights behind it."""
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    weights = {
        "w": onnx_helpers.random(1, gates * 4, INPUTS, seed=1),
        "r": 0.5 * onnx_helpers.random(1, gates * 4, 4, seed=2),
        "b": onnx_helpers.random(1, 2 * gates * 4, seed=3),
        "axis": np.array([1]),
        "v": onnx_helpers.random(4, 2, seed=4),
    }
    node = onnx_helpers.node
    nodes = [
        node("Transpose", "x", "turned", perm=[1, 0, 2]),
        node(kind, "turned w r b", "y yh", "it", hidden_size=4),
        node("Squeeze", "y axis", "z"),
        node("Transpose", "z", "batched", perm=[1, 0, 2]),
        node("MatMul", "batched v", "out", "weights"),
    ]
    made = onnx_helpers.model(nodes, {"x": ("batch", TIME, INPUTS)}, ["out"], weights)
    return made, samples().astype(np.float32)


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        *((a_torch_model, kind) for kind in ("RNN", "GRU", "LSTM")),
        *((a_keras_model, kind) for kind in ("SimpleRNN", "GRU", "LSTM")),
        *((an_onnx_model, kind) for kind in ("RNN", "GRU", "LSTM")),
    ],
)
def test_the_layers_of_every_reader_are_their_twins(made: Any, kind: str) -> None:
    """Stacks, states to begin with, which are not rounded, and layers around."""
    conversion, x = by_rows(*made(kind), STEPS)
    check_is_its_twin(conversion, x)


def test_operations_are_those_of_all_rows() -> None:
    """Neurons change in their own steps and in the silent ones before, row by row."""
    conversion, x = converted("gru", 2)
    run = conversion.run(x, progress=False)
    counter = Counter(conversion.network, conversion.populations(), conversion.inputs)
    found = counter.count({n: p.totals for n, p in run.populations.items()}, run.steps)
    neurons = conversion.network.n_neurons
    assert found.neuron_updates == TIME * (STEPS + 2) * neurons
    spikes = sum(int(p.totals.sum()) for p in run.populations.values())
    assert found.total().accumulates.sum() > spikes


def test_memory_is_that_of_all_rows() -> None:
    """Sequences say how many there are: no number of steps follows from the code."""
    conversion, _ = converted("gru")
    few, many = (conversion.memory(2, STEPS * rows).bytes for rows in (TIME, 10 * TIME))
    assert few < many
    with pytest.raises(SimulationError, match="steps must be a whole number"):
        conversion.memory(2)


def test_a_conversion_comes_back_from_a_file(tmp_path: Path) -> None:
    """With its rows, and the states that it begins with."""
    conversion, x = by_rows(*a_torch_model("GRU"), 1)
    conversion.save(tmp_path / "made.sw")
    loaded = sw.load(tmp_path / "made.sw")
    one, other = (c.run(x, progress=False) for c in (conversion, loaded))
    np.testing.assert_array_equal(one.predict(), other.predict())
    assert loaded.lowered.times.row == conversion.lowered.times.row  # type: ignore[union-attr]


def test_what_does_not_fit_is_refused() -> None:
    """Steps that are not those of the digits, and a network whose rows end too soon."""
    x = samples()
    with pytest.raises(ConversionError, match=r"in 4 steps.*got 5.*Give sequence_step=4"):
        sw.convert(
            graph_of(cell_of("relu")), spiking=True, coding=sw.SignedDigits(4, 1),
            sequence_step=5, calibration=x,
        )  # fmt: skip
    conversion, x = converted("relu")
    assert conversion.network.n_neurons == UNITS
    for ensemble in conversion.network.all_ensembles:
        ensemble.restart_every = STEPS
    with pytest.raises(NetworkError, match=r"rows of a sequence.*from 5.*after \{4\} steps"):
        conversion.run(x, progress=False)
