"""Recurrent layers as recurrent connections: every step of a sequence takes some steps of time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import onnx_helpers
import pytest
import torch
from click.testing import CliRunner
from keras import layers as L
from numpy.typing import NDArray
from recurrent import INPUTS, TIME, UNITS, cell_of, error, graph_of, samples
from torch import nn

import spikewright as sw
from spikewright._base import storage
from spikewright.cli.main import main
from spikewright.conversion.arguments import Wanted
from spikewright.conversion.stages import ConvertibleModel
from spikewright.errors import (
    ConversionError,
    DamagedFileError,
    NetworkError,
    SimulationError,
)
from spikewright.frontends.unrolling import (
    SimpleCell,
)
from spikewright.graph import evaluate
from spikewright.network.neurons import IntegrateAndFire

STEPS = np.array([16, 32, 64, 128, 256, 512])
KINDS = ["tanh", "relu", "gru", "gru-after", "lstm", "lstm-peepholes"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_rate_network_computes_the_recurrence(kind: str) -> None:
    """With one step or several for each of the sequence; as the form with every step beside."""
    cell = cell_of(kind)
    x = samples()
    wanted = evaluate(graph_of(cell), {"x": x})
    beside = evaluate(graph_of(cell, kept=False), {"x": x})
    for step in (1, 3):
        conversion = sw.convert(graph_of(cell), sequence_step=step)
        found = conversion.run(x, progress=False).predict()
        for name, value in wanted.items():
            np.testing.assert_allclose(value, beside[name], atol=1e-12)
            assert found[name].shape == value.shape
            np.testing.assert_allclose(found[name], value, atol=1e-5 * np.abs(value).max())
        assert conversion.verify(rtol=1e-5).keys() >= {"rnn", "end"}


@pytest.mark.parametrize(
    ("kind", "cap"), [("tanh", 1), ("relu", None), ("gru-after", 1), ("lstm-peepholes", None)]
)
def test_the_error_falls_as_one_over_the_steps_of_a_step(kind: str, cap: int | None) -> None:
    """Of the outputs of every step, and of what stands behind the last: slope -0.8 or steeper.

    With one spike a step of either sign as well, as values fit below its height.
    """
    graph, x = graph_of(cell_of(kind)), samples()
    wanted = evaluate(graph, {"x": x})
    errors: dict[str, list[float]] = {"all": [], "end": []}
    for step in STEPS:
        conversion = sw.convert(
            graph,
            spiking=True,
            scale_firing_rates=200.0,
            max_spikes_per_step=cap,
            sequence_step=int(step),
        )
        run = conversion.run(x, progress=False)
        assert cap is None or all(p.totals.max() <= run.steps for p in run.populations.values())
        found = run.predict()
        for name, value in wanted.items():
            errors[name].append(error(found[name], value))

    assert conversion.trace.guarantee == ("convergent" if cap is None else "approximated")
    for found_errors in errors.values():
        assert np.polyfit(np.log(STEPS), np.log(found_errors), 1)[0] <= -0.8
        assert found_errors[-1] < 0.05


@pytest.mark.parametrize("kind", ["tanh", "relu"])
def test_a_layer_computes_its_recurrence_with_rounded_states(kind: str) -> None:
    """The law itself: every state is rounded to the nearest multiple of `1 / (s dt P)`, once."""
    cell, scale, step, dt = cell_of(kind), 100.0, 48, 0.001
    assert isinstance(cell, SimpleCell)
    conversion = sw.convert(
        graph_of(cell), spiking=True, scale_firing_rates=scale, sequence_step=step
    )
    x = samples(3, 40)
    found = conversion.run(x, dt=dt, progress=False, precision="float64").predict()["all"]
    unit = 1.0 / (scale * dt * step)
    f: Callable[[NDArray], NDArray] = np.tanh if kind == "tanh" else lambda v: np.maximum(v, 0)
    h = np.zeros((3, UNITS))
    for k in range(x.shape[1]):
        part = cell.current
        h = f(x[:, k] @ part.weight.T + h @ part.recurrent.T + part.bias)
        h = unit * np.round(h / unit)
        np.testing.assert_allclose(found[:, k], h, atol=1e-6 * unit)


def test_neurons_do_not_grow_with_the_sequence_and_any_length_runs() -> None:
    """600 steps are more than are ever written out side by side; a run may have other lengths."""
    short, long = (sw.convert(graph_of(cell_of("relu"), n), sequence_step=2) for n in (6, 600))
    assert short.network.n_neurons == long.network.n_neurons == UNITS
    x = samples(2, 600)
    wanted = evaluate(long.graph, {"x": x})
    for conversion in (short, long):
        run = conversion.run(x, progress=False)
        assert run.steps == 1200
        found = run.predict()
        np.testing.assert_allclose(found["all"], wanted["all"], atol=1e-5)
        np.testing.assert_allclose(found["end"], wanted["end"], atol=1e-5)


def test_a_sample_is_its_own_whatever_the_batch_and_the_engine() -> None:
    """Bit by bit on the reference and the native engine; on torch as far as sums are exact."""
    graph, x = graph_of(cell_of("lstm")), samples(5)
    conversion = sw.convert(graph, spiking=True, scale_firing_rates=50.0, sequence_step=40)
    runs = {name: conversion.run(x, engine=name, progress=False) for name in sw.engines.available()}
    reference = runs["reference"]
    for name, run in runs.items():
        for output, value in reference.raw.items():
            if name == "torch":
                assert error(run.predict()[output], reference.predict()[output]) < 0.1
            else:
                np.testing.assert_array_equal(run.raw[output], value)
        if name != "torch":
            counts = run.spike_counts()
            for layer, count in reference.spike_counts().items():
                np.testing.assert_array_equal(counts[layer], count)
    alone = conversion.run(x[3:4], progress=False)
    parts = conversion.run(x, batch_size=2, progress=False)
    for output, value in runs["native" if "native" in runs else "reference"].raw.items():
        np.testing.assert_array_equal(alone.raw[output], value[3:4])
        np.testing.assert_array_equal(parts.raw[output], value)


def test_what_does_not_run_natively_says_so() -> None:
    """The mean over windows does not; populations do, a window at a time, if all start together."""
    conversion = sw.convert(graph_of(cell_of("relu")), spiking=True, sequence_step=4)
    if "native" not in sw.engines.available():
        return
    plan = str(conversion.plan(engine="native"))
    assert "a mean over windows has no native kernel" in plan
    assert "native: integrate and fire" in plan and "a window at a time" in plan
    with conversion.network:
        for every in (None, 4):
            kind = IntegrateAndFire()
            sw.Ensemble(2, neuron_type=kind, gain=1.0, bias=1.0, restart_every=every)
    assert "starts again and again, and other parts" in str(conversion.plan(engine="native"))


def a_keras_model() -> Any:
    """Stacked layers of every kind, activations and dense layers around them."""
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            L.Input((TIME, INPUTS)),
            L.TimeDistributed(L.Dense(5, activation="relu"), name="before"),
            L.SimpleRNN(6, activation="relu", return_sequences=True, name="simple"),
            L.Dropout(0.2),
            L.GRU(5, return_sequences=True, name="gru"),
            L.LayerNormalization(name="norm"),
            L.RNN([L.LSTMCell(4), L.SimpleRNNCell(4)], return_sequences=True, name="cells"),
            L.Dense(3, activation="softmax", name="classes"),
        ]
    )


def test_keras() -> None:
    """Values of every step, layers under the source's names, readouts step by step."""
    model = a_keras_model()
    x = samples().astype(np.float32)
    wanted = model.predict(x, verbose=0)
    conversion = sw.convert(model, sequence_step=4)
    found = conversion.run(x, progress=False).predict()

    assert found.shape == wanted.shape == (4, TIME, 3)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    errors = conversion.verify(rtol=1e-5)
    assert {"before", "simple", "gru", "norm", "cells", "classes"} <= errors.keys()
    assert {"simple", "gru", "cells"} <= conversion.layers.keys()
    assert conversion.layers["simple"].shape == (6,)  # type: ignore[union-attr]
    spiking = conversion.replace(spiking=True, scale_firing_rates=2000.0, sequence_step=128)
    run = spiking.run(x, progress=False)
    assert error(run.predict(), wanted) < 0.1
    assert run.predict_at_every_step().shape == (4, TIME * 128, 3)
    np.testing.assert_allclose(run.predict_at_every_step()[:, 127::128], run.predict(), atol=1e-6)


class _Torch(nn.Module):
    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__()
        self.rnn = getattr(nn, kind)(INPUTS, 5, 2, batch_first=True, **options)
        self.head = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> Any:
        made, _ = self.rnn(x)
        return self.head(torch.relu(made)), self.head(made[:, -1])


@pytest.mark.parametrize(
    ("kind", "options"),
    [("RNN", {"nonlinearity": "relu"}), ("GRU", {"bias": False})],
)
def test_torch(kind: str, options: dict[str, Any]) -> None:
    """Two layers, the sequence and the last step, each behind the same head."""
    torch.manual_seed(0)
    module = _Torch(kind, **options).eval()
    x = torch.tensor(samples(), dtype=torch.float32)
    conversion = sw.convert(module, example_input=x, sequence_step=3)
    found = list(conversion.run(x, progress=False).predict().values())
    with torch.no_grad():
        wanted = [value.numpy() for value in module(x)]

    assert conversion.network.n_neurons <= 2 * 10 * 5 + 5
    for value, of_source in zip(found, wanted, strict=True):
        np.testing.assert_allclose(value, of_source, atol=1e-5)
    conversion.verify(rtol=1e-5)


def test_onnx() -> None:
    """An operator with time first, states to begin with, and weights behind its squeezed output."""
    n = 4 * 4
    weights = {
        "w": onnx_helpers.random(1, n, INPUTS, seed=1),
        "r": 0.5 * onnx_helpers.random(1, n, 4, seed=2),
        "b": onnx_helpers.random(1, 2 * n, seed=3),
        "axis": np.array([1]),
        "v": onnx_helpers.random(4, 2, seed=4),
    }
    node = onnx_helpers.node
    nodes = [
        node("Transpose", "x", "turned", perm=[1, 0, 2]),
        node("LSTM", "turned w r b", "y yh", "it", hidden_size=4),
        node("Squeeze", "y axis", "z"),
        node("Transpose", "z", "batched", perm=[1, 0, 2]),
        node("MatMul", "batched v", "out", "weights"),
    ]
    proto = onnx_helpers.model(nodes, {"x": ("batch", TIME, INPUTS)}, ["out"], weights)
    x = samples().astype(np.float32)
    conversion = sw.convert(proto, sequence_step=2)
    found = conversion.run(x, progress=False).predict()

    np.testing.assert_allclose(found, onnx_helpers.reference(proto, {"x": x})["out"], atol=1e-5)
    conversion.verify(rtol=1e-5)


def test_a_conversion_comes_back_from_a_file(tmp_path: Path) -> None:
    """With its windows, its states and the axes of its outputs; it can still be verified."""
    conversion = sw.convert(a_keras_model(), spiking=True, scale_firing_rates=20.0, sequence_step=8)
    conversion.save(tmp_path / "network")
    loaded = sw.load(tmp_path / "network")
    x = samples()
    one, other = (c.run(x, progress=False) for c in (conversion, loaded))

    np.testing.assert_array_equal(one.predict(), other.predict())
    assert other.predict().shape == (4, TIME, 3)
    loaded.verify(rtol=1e-6)


def test_a_damaged_file_of_a_sequence(tmp_path: Path) -> None:
    """Steps, axes and names that cannot be are a sentence that names the file."""
    conversion = sw.convert(graph_of(cell_of("relu")), sequence_step=4)
    conversion.save(tmp_path / "good")
    content, arrays = storage.read(tmp_path / "good", "conversion")
    good = content["stepping"]
    wrong: list[dict[str, Any]] = [
        {"steps": 0},
        {"inputs": {}},
        {"outputs": {**good["outputs"], "all": -1}},
        {"values": {"rnn": "0"}},
    ]
    for change in wrong:
        damaged = {**content, "stepping": {**good, **change}}
        storage.write(tmp_path / "damaged", "conversion", damaged, {**arrays}, overwrite=True)
        with pytest.raises(DamagedFileError, match="damaged: its content"):
            sw.load(tmp_path / "damaged")


def test_a_sequence_that_no_file_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be read again is refused when it is saved, and nothing is written."""
    conversion = sw.convert(graph_of(cell_of("relu")), sequence_step=4)
    good = conversion.lowered.stepping
    assert good is not None
    wrong = replace(conversion.lowered, stepping=replace(good, steps=0))
    monkeypatch.setattr(conversion, "lowered", wrong)
    with pytest.raises(NetworkError, match="steps holds 0, where it takes a whole number from 1"):
        conversion.save(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_mistakes_in_runs() -> None:
    """Steps that the sequence does not take, encoders, shapes, lengths that differ."""
    conversion = sw.convert(graph_of(cell_of("relu")), sequence_step=4)
    x = samples(2)
    assert conversion.run(x, 4 * TIME, progress=False).steps == 4 * TIME
    with pytest.raises(SimulationError, match="take 24 steps, got steps=25"):
        conversion.run(x, 25, progress=False)
    with pytest.raises(SimulationError, match="leave encoder out"):
        conversion.run(x, encoder=sw.encoders.Poisson(100.0), progress=False)
    for method in (conversion.evaluate, conversion.diagnose):
        with pytest.raises(ConversionError, match=rf"{method.__name__}.*those of a sequence"):
            method(x)
    with pytest.raises(SimulationError, match=r"\(batch, frames, 3\)"):
        conversion.run(x[:, 0], progress=False)


def refused(build: Callable[[Any], Any], shape: tuple[int, ...] = (TIME, INPUTS)) -> str:
    """What is said of a Keras model."""
    x = keras.Input(shape, name="x")
    with pytest.raises(ConversionError) as caught:
        sw.convert(keras.Model(x, build(x)), sequence_step=4)
    return str(caught.value)


def test_refusals_name_the_layer_and_the_way_out() -> None:
    """From the end, both ways, along time, a second pass over time, no recurrent layer."""
    rnn = L.SimpleRNN(3, return_sequences=True)
    cases: list[tuple[Callable[[Any], Any], str]] = [
        (L.SimpleRNN(3, go_backwards=True, name="it"), "begins at the end"),
        (L.Bidirectional(L.SimpleRNN(3), name="it"), "begins at the end"),
        (lambda x: L.Conv1D(2, 3, name="it")(rnn(x)), "depends on others"),
        (lambda x: L.GlobalAveragePooling1D(name="it")(rnn(x)), "depends on others"),
        (lambda x: L.Flatten(name="it")(rnn(x)), "mixes the axis of time"),
        (lambda x: L.SimpleRNN(2, name="it")(L.RepeatVector(TIME)(L.SimpleRNN(3)(x))),
         "not there step by step"),
    ]  # fmt: skip
    for build, reason in cases:
        said = refused(build)
        assert "'it'" in said and reason in said and "Leave sequence_step out" in said, said
    assert "no recurrent layer" in refused(L.Dense(2))


def test_arguments_that_do_not_go_together() -> None:
    """The number of steps, synapses, and a graph of a cell without one."""
    graph = graph_of(cell_of("relu"))
    for wrong in (0, -1, 2.0, True, "4"):
        with pytest.raises(ConversionError, match=r"sequence_step.*whole number from 1"):
            sw.convert(graph, sequence_step=wrong)
    with pytest.raises(ConversionError, match=r"synapse.*nothing may arrive late"):
        sw.convert(graph, sequence_step=4, synapse=0.005)
    with pytest.raises(ConversionError, match=r"runs along a sequence.*sequence_step"):
        sw.convert(graph)
    with pytest.raises(ConversionError, match="read for another form"):
        model = ConvertibleModel(sw.Conversion, sw.frontends.read(graph))  # type: ignore[attr-defined]
        wanted = Wanted(sw.convert(graph, sequence_step=2).arguments)
        model.converted(wanted).replace(sequence_step=None)


def test_a_sequence_of_open_length_and_the_command_line(tmp_path: Path) -> None:
    """An example fixes the length that is read, and a run may have another one."""
    keras.utils.set_random_seed(5)
    model = keras.Sequential([L.Input((None, INPUTS), name="x"), L.GRU(4), L.Dense(2)])
    x, longer = (samples(time=n).astype(np.float32) for n in (TIME, 15))
    conversion = sw.convert(model, example_input=x, sequence_step=3)
    found = conversion.run(longer, progress=False).predict()
    np.testing.assert_allclose(found, model.predict(longer, verbose=0), atol=1e-5)

    model.save(tmp_path / "m.keras")
    np.savez(tmp_path / "d.npz", x=longer, y=model.predict(longer, verbose=0).argmax(axis=1))
    files = ["run", str(tmp_path / "m.keras"), "--data", str(tmp_path / "d.npz")]
    options = ["--rate", "--sequence-step", "3", "--example-shape", f"{TIME},{INPUTS}", "--json"]
    result = CliRunner().invoke(main, [*files, *options])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["run"]["steps"] == 45
    right = [r["value"] for r in document["records"] if r["name"] == "accuracy"]
    assert right == [1.0, 1.0]
    both = conversion.run(longer, progress=False)
    assert sw.measure.accuracy(both, found.argmax(axis=1)).value == 1.0
    timed = sw.convert(graph_of(cell_of("relu")), sequence_step=2).run(samples(), progress=False)
    single = replace(timed, raw={"all": timed.raw["all"]})
    with pytest.raises(SimulationError, match="every step of a sequence; accuracy needs one"):
        sw.measure.accuracy(single, np.zeros(4, int))
