"""Frozen layers keep their weights and biases, in every reader and for every kind of layer."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from frozen_models import MODELS, frozen_by_keras, frozen_by_pytorch
from torch import nn
from trainings import READERS, moved_arrays, same_model, trained

import spikewright as sw
from spikewright.choosing.statistics.fingerprint import fingerprint
from spikewright.errors import ConversionWarning, ReadError, TrainingError
from spikewright.frontends.provenance import parameters_of
from spikewright.graph import storage as graph_storage

FROZEN = {"keras": frozen_by_keras, "pytorch": frozen_by_pytorch}
CASES = [(kind, name) for kind, models in MODELS.items() for name in models]


def made(kind: str, name: str) -> tuple[Any, Any, Any]:
    """A model with a frozen layer, its conversion, and its inputs."""
    torch.manual_seed(0)
    model, x = MODELS[kind][name]()
    model = model.eval() if kind == "pytorch" else model
    example = x[:1] if kind == "pytorch" else None
    return model, sw.convert(model, spiking=True, example_input=example), x


def fitted(conversion: sw.Conversion, x: Any, **how: Any) -> Any:
    """A training whose last epoch is kept."""
    return trained(conversion, x, **{"keep": "last", "epochs": 1, "learning_rate": 1e-2, **how})


def moved(before: Any, after: Any) -> set[str]:
    """The names of parameters with other values."""
    assert before.keys() == after.keys()
    return {name for name, value in before.items() if not np.array_equal(value, after[name])}


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_what_the_source_froze_stays_to_the_last_bit(kind: str, name: str) -> None:
    """In the trained network and in the model; the rest moves, and the frozen part would too."""
    model, conversion, x = made(kind, name)
    frozen, parameters = FROZEN[kind](model), parameters_of(kind).parameters
    before = parameters(model)
    assert frozen
    result, free = fitted(conversion, x), fitted(conversion, x, frozen=())
    assert moved(before, free.source_state()) & frozen  # the case occurs
    assert not moved(before, result.source_state()) & frozen
    assert moved(before, result.source_state()) == moved(before, free.source_state()) - frozen
    changed = moved_arrays(conversion.graph, result.conversion.graph)
    assert changed
    assert not changed & {(n, f) for n, fs in result.frozen.items() for f in fs}
    result.write_back(model)
    assert moved(before, parameters(model)) == moved(before, result.source_state())
    assert f"frozen: {next(iter(result.frozen))} (" in repr(result)
    assert not free.frozen
    assert "frozen" not in repr(free)


def saved(model: Any, kind: str, x: Any, folder: Path) -> Path:
    """The file of its framework that holds a model."""
    path = folder / ("model.keras" if kind == "keras" else "model.pt2")
    if kind == "keras":
        model.save(path)
    else:
        batch = torch.export.Dim("batch")
        example = torch.from_numpy(x[:2])
        program = torch.export.export(model, (example,), dynamic_shapes=({0: batch},))
        torch.export.save(program, path)
    return path


@pytest.mark.parametrize("kind", MODELS)
def test_files_say_what_is_frozen(kind: str, tmp_path: Path) -> None:
    """A model's file, and a conversion's: of a live model, of a file, and of a training.

    What is named takes the place of what a file says.
    """
    model, live, x = made(kind, "convolution before a normalisation")
    frozen = fitted(live, x).frozen
    assert list(frozen.values()) == [("weight", "bias")]
    of_file = sw.convert(saved(model, kind, x, tmp_path), spiking=True)
    once = fitted(of_file, x)
    for number, conversion in enumerate((live, of_file, once.conversion)):
        conversion.save(tmp_path / f"{number}.sw")
        for found in (conversion, sw.load(tmp_path / f"{number}.sw")):
            result = fitted(found, x)
            assert result.frozen == frozen
            changed = moved_arrays(found.graph, result.conversion.graph)
            assert {f for n, f in changed if n not in frozen} >= {"gamma", "beta", "weight"}
            assert not {n for n, _ in changed} & frozen.keys()
    free = fitted(sw.load(tmp_path / "0.sw"), x, frozen=())
    assert {n for n, _ in moved_arrays(live.graph, free.conversion.graph)} & frozen.keys()


def test_a_program_keeps_what_its_module_froze() -> None:
    """A live `torch.export` program is trained, written to, and says what is frozen."""
    torch.manual_seed(0)
    model, x = MODELS["pytorch"]["one variable"]()
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(model.eval(), (torch.from_numpy(x[:2]),), dynamic_shapes=shapes)
    before = {name: value.detach().clone() for name, value in program.state_dict.items()}
    result = fitted(sw.convert(program, spiking=True), x)
    assert result.write_back(program) is program
    same = {n for n, value in program.state_dict.items() if torch.equal(value, before[n])}
    assert same == {"0.weight"}


@pytest.mark.parametrize("kind", READERS)
def test_names_take_the_place_of_what_the_source_froze(kind: str) -> None:
    """A layer's name, or that of the model or module around it; its neighbours move."""
    if kind == "onnx":
        _, _, conversion, x = same_model("perceptron", kind)
    else:
        _, conversion, x = made(kind, "model inside")
    weighted = [n.source for n in conversion.graph if "weight" in n.layer.arrays()]
    first, *others = dict.fromkeys(weighted)
    around = [first[:end] for end, sign in enumerate(first) if sign in "./" and end]
    for name in (first, *around):
        result = fitted(conversion, x, frozen=name)
        inside = [layer for layer in dict.fromkeys(weighted) if layer.startswith(name)]
        assert list(result.frozen) == inside
        changed = {n for n, _ in moved_arrays(conversion.graph, result.conversion.graph)}
        assert changed
        assert not any(conversion.graph[n].source in inside for n in changed)
    assert others
    assert around or kind == "onnx"


def test_unknown_names_are_told_the_nearest() -> None:
    """Of a name that is no layer's the nearest is told; of one that is like none, the layers."""
    _, conversion, x = made("pytorch", "normalisation behind a convolution")
    for frozen, message in (
        (["00"], r"frozen: the model has no layer '00'. Did you mean '0'"),
        ("conv1", "no layer 'conv1'. It has the activations relu; layers are input, 0 Conv2d"),
        ([3], r"frozen must be names of layers, \(\) for none, or None, got \[3\]"),
        (True, "frozen must be names of layers"),
    ):
        with pytest.raises(TrainingError, match=message):
            fitted(conversion, x, frozen=frozen)


def test_a_source_that_is_frozen_as_a_whole() -> None:
    """It warns that thresholds and starts alone are trained; with weights alone that is refused."""
    model, _, x = made("pytorch", "dense")
    model.requires_grad_(False)
    conversion = sw.convert(model, spiking=True, example_input=x[:1])
    with pytest.warns(ConversionWarning, match=r"only thresholds and starts .* frozen=\(\)"):
        result = fitted(conversion, x)
    assert not moved_arrays(conversion.graph, result.conversion.graph)
    before = {r.how["layer"]: r.value for r in result.changes if "threshold" in r.name}
    assert any(value != 1.0 for value in before.values())
    with pytest.raises(TrainingError, match=r"all layers are frozen.*frozen=\(\)"):
        fitted(conversion, x, trainable=("weights", "biases"))
    with pytest.warns(ConversionWarning, match="write_back: the model keeps the weights"):
        result.write_back(model)


def test_reconstruction_leaves_biases_of_frozen_layers() -> None:
    """Nothing is added to their neurons' currents, and the trace says so."""
    _, conversion, _ = made("pytorch", "dense")
    x = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
    how = {"steps": 2, "epochs": 5, "learning_rate": 1e-2, "progress": False}
    found, free = (conversion.reconstruct(x, frozen=names, **how) for names in (None, ()))
    assert not np.any(found.resolved["bias_correction"]["3 ReLU"])
    assert np.any(found.resolved["bias_correction"]["1 ReLU"])
    assert np.any(free.resolved["bias_correction"]["3 ReLU"])
    told = {e.layer: e.text for e in found.trace if e.stage == "reconstruct"}
    assert told["2 Linear"] == "frozen: its biases stay"
    assert told["1 ReLU"].startswith("bias, threshold and start fitted")
    assert told["3 ReLU"].startswith("threshold and start fitted")


def test_a_module_holds_frozen_arrays_as_buffers(tmp_path: Path) -> None:
    """Those of a live model and of a file; an optimiser of its parameters leaves them alone."""
    _, conversion, _ = made("pytorch", "one variable")
    conversion.save(tmp_path / "conversion.sw")
    for module in (conversion.to_torch(2), sw.load(tmp_path / "conversion.sw").to_torch(2)):
        names = {name for name, _ in module.named_parameters()}
        assert "0.weight" not in names
        assert {"0.bias", "2.weight"} <= names
        assert "0.weight" in module.state_dict()


def test_a_checkpoint_of_other_frozen_layers_is_refused(tmp_path: Path) -> None:
    """It goes on with the same ones however they were given, and names the difference else."""
    _, conversion, x = made("pytorch", "dense")
    how = {"checkpoint": tmp_path / "training", "epochs": 1}
    first = fitted(conversion, x, **how)
    again = fitted(conversion, x, frozen=["2"], **how)
    assert not moved_arrays(first.conversion.graph, again.conversion.graph)
    for frozen in ((), ("0",)):
        with pytest.raises(TrainingError, match="differs in frozen"):
            fitted(conversion, x, frozen=frozen, **how)


def test_what_is_frozen_is_no_part_of_a_fingerprint(tmp_path: Path) -> None:
    """Statistics and checkpoints know a graph again, whatever of it is frozen."""
    _, conversion, _ = made("pytorch", "dense")
    graph = conversion.graph
    frozen = graph.with_frozen({("2 Linear", "weight")})
    assert frozen.frozen == {("2 Linear", "weight")}
    assert fingerprint(frozen) == fingerprint(graph)
    graph_storage.save(frozen, tmp_path / "graph")
    assert graph_storage.load(tmp_path / "graph").frozen == frozen.frozen


def test_a_model_that_keras_cannot_copy(tmp_path: Path) -> None:
    """Training it is an error that says what to do; a file of it warns that it knows too little."""
    import keras

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3)

        def call(self, x: Any) -> Any:
            return self.last(self.first(x))

    x = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)
    model = Own()
    model(x)
    conversion = sw.convert(model, spiking=True, example_input=x[:1])
    conversion.save(tmp_path / "all_trains.sw")
    with pytest.raises(ReadError, match=r"Keras cannot copy the model 'own.*register_keras"):
        fitted(conversion, x)
    model.first.trainable = False
    with pytest.warns(ConversionWarning, match=r"does not say which layers are frozen.*frozen=\["):
        conversion.save(tmp_path / "first_is_frozen.sw")
    assert not fitted(sw.load(tmp_path / "first_is_frozen.sw"), x).frozen


def test_a_training_that_kept_nothing_says_so() -> None:
    """Where no epoch was better, in its text and when it is to be written; else in neither."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    x = np.random.default_rng(0).normal(size=(100, 6)).astype(np.float32)
    conversion = sw.convert(model, spiking=True, example_input=x[:1])
    worse = trained(conversion, x, learning_rate=10.0, epochs=2)
    assert worse.kept == 0
    assert repr(worse) == "<Training of 2 epochs; none better than the start, which was kept>"
    assert "none better than the start" in worse._summary()[0]
    with pytest.warns(ConversionWarning, match="no epoch was better than the start"):
        assert worse.write_back(model) is model
    last = trained(conversion, x, keep="last", epochs=1)
    assert repr(last) == "<Training of 1 epoch>"
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConversionWarning)
        last.write_back(model)
