"""Layers whose names are numbers: they are shown with their kind, everywhere, and taken so."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

import spikewright as sw
from spikewright._base.formatting import label_to_name, layer_label
from spikewright.cli.main import main
from spikewright.errors import GraphError, ReadError, UnsupportedLayerError
from spikewright.explorer.answers import sample_answer
from spikewright.explorer.explore import _session as session_of
from spikewright.showing.inspection import inspect
from test_shown_in_notebooks import kinds

RNG = np.random.default_rng(0)
X = RNG.uniform(size=(12, 5)).astype(np.float32)
Y = RNG.integers(0, 3, 12)
FEW: dict[str, Any] = {"steps": 4, "progress": False}


def sequential() -> Any:
    """A Sequential of PyTorch: its layers are called 0, 1, 2, 3 and 4."""
    torch.manual_seed(0)
    nn = torch.nn
    return nn.Sequential(
        nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)
    ).eval()


def numbered() -> Any:
    """The same in ONNX, its nodes called 0, 1, 2, 3 and 4."""
    module, make = sequential(), onnx.helper.make_node
    nodes, weights, before = [], [], "x"
    for number, layer in enumerate(module):
        value, inputs = f"v{number}", [before]
        for name, tensor in layer.named_parameters():
            weights.append(onnx.numpy_helper.from_array(tensor.detach().numpy(), f"{name}{number}"))
            inputs.append(weights[-1].name)
        kind, more = ("Gemm", {"transB": 1}) if len(inputs) > 1 else ("Relu", {})
        nodes.append(make(kind, inputs, [value], name=str(number), **more))
        before = value
    tensor = onnx.helper.make_tensor_value_info
    ends = [tensor("x", 1, ["n", 5])], [tensor(before, 1, ["n", 3])]
    graph = onnx.helper.make_graph(nodes, "numbers", *ends, weights)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])


@dataclass(frozen=True)
class Case:
    """A model, its conversion and files of both, and the names of its layers with neurons."""

    model: Any
    made: sw.Conversion
    folder: Path
    names: tuple[str, ...]

    def command(self, *words: str) -> str:
        """What a command prints."""
        done = CliRunner().invoke(main, [str(word).format(self.folder) for word in words])
        assert done.exit_code == 0, done.output
        return done.output


MODELS: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "pytorch": (sequential, ("1 ReLU", "3 ReLU")),
    "onnx": (numbered, ("1 Relu", "3 Relu")),
}


@pytest.fixture(params=MODELS, scope="module")
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The model of a reader."""
    make, names = MODELS[request.param]
    model, folder = make(), tmp_path_factory.mktemp(request.param)
    made = sw.convert(
        model, example_input=X, spiking=True, scale_firing_rates=50, max_spikes_per_step=1
    )
    made.save(folder / "net.spk")
    onnx.save(numbered(), folder / "model.onnx")
    np.savez(folder / "data.npz", x=X, y=Y)
    return Case(model, made, folder, names)


def _page(case: Case) -> str:
    """The explorer's message about a sample, with the names of layers."""
    whole = session_of(case.made, X, Y, None, (), "")
    return str(sample_answer(whole, 0, whole.first))


RESULTS: dict[str, Callable[[Case], str]] = {
    "Conversion": lambda c: repr(c.made) + c.made._repr_html_(),
    "Trace": lambda c: str(c.made.trace),
    "Run": lambda c: c.made.run(X, **FEW)._repr_html_(),
    "Evaluation": lambda c: str(c.made.evaluate(X, Y, **FEW).records),
    "Plan": lambda c: str(c.made.plan()),
    "Verification": lambda c: c.made.verify(X).table,
    "Diagnosis": lambda c: str(c.made.diagnose(X, Y, **FEW)),
    "Fit": lambda c: str(c.made.fits("loihi1")),
    "inspection": lambda c: str(inspect(c.model, example_input=X)),
    "explorer": _page,
}
OF_NO_LAYERS = {"MemoryNeed", "StudyResult", "Training"}
"""Results whose tables are about settings, objects of another format, or epochs."""
DATA = ("--data", "{}/data.npz")
COMMANDS: dict[str, tuple[str, ...]] = {
    "inspect": ("{}/model.onnx",),
    "convert": (
        "{}/net.spk",
        "--calibration",
        "{}/data.npz",
        "--statistics",
        "{}/found.spk",
        "--force",
    ),
    "run": ("{}/net.spk", *DATA, "--steps", "4"),
    "evaluate": ("{}/net.spk", *DATA, "--steps", "4", "--report", "{}/page.html", "--force"),
    "diagnose": ("{}/net.spk", *DATA, "--steps", "4"),
    "fits": ("{}/net.spk", "--chip", "loihi1"),
}
COMMANDS_OF_NO_LAYERS = {
    "demo", "explore", "sweep", "tune", "train", "doctor",
}  # fmt: skip
"""Commands that print no table of layers, or none of a model that is given."""


def _is_right(text: str, names: tuple[str, ...]) -> bool:
    """Whether every name stands in a text, and no number as the name of a layer."""
    return all(name in text for name in names) and not re.search(r"'\d+'", text)


def test_every_table_is_tested_below() -> None:
    """A new result or command that prints layers fails until it has a case here."""
    assert all(hasattr(sw, name) for name in sw.__all__)  # they are imported now
    shown = {*RESULTS, *OF_NO_LAYERS} - {"inspection", "explorer"}
    assert {kind.__name__ for kind in kinds()} == shown
    assert set(main.commands) == {*COMMANDS, *COMMANDS_OF_NO_LAYERS}


def test_results_name_layers_with_their_kind(case: Case) -> None:
    """Layers that are called by a number, wherever a result lists layers."""
    assert [name for name in RESULTS if not _is_right(RESULTS[name](case), case.names)] == []


def test_commands_name_layers_with_their_kind(case: Case) -> None:
    """As the library does, in the tables that they print and in a report."""
    for name, words in COMMANDS.items():
        names = MODELS["onnx"][1] if "{}/model.onnx" in words else case.names
        assert _is_right(case.command(name, *words), names), name
    assert _is_right((case.folder / "page.html").read_text(), case.names)


def test_a_printed_name_is_a_layers_own_with_its_kind() -> None:
    """Where its last part has no letter; a name that is a word stays as it is."""
    shown = {
        ("2", "Conv2d"): "2 Conv2d",
        ("features.3", "ReLU"): "features.3 ReLU",
        ("block/0", "Dense"): "block/0 Dense",
        ("conv1", "Conv2d"): "conv1",
        ("layer1.0.conv1", "Conv2d"): "layer1.0.conv1",
        ("2", ""): "2",
    }
    for (name, kind), expected in shown.items():
        assert layer_label(name, kind) == expected
        assert label_to_name(expected) == name


def test_names_are_taken_without_their_kind_too(case: Case) -> None:
    """In dicts, lists and outputs; on the command line."""
    bare, other = (name.partition(" ")[0] for name in case.names)
    made = case.made.replace(scale_firing_rates={bare: 7.0, case.names[1]: 9.0})
    assert made.resolved["scale_firing_rates"] == dict(zip(case.names, (7.0, 9.0), strict=True))
    assert list(made.run(X, **FEW, record=[other]).recorded) == [case.names[1]]
    for name in (bare, case.names[0]):
        cut = sw.convert(case.model, example_input=X, outputs=[name])
        assert list(cut.graph.outputs.values()) == [case.names[0]]
        assert made.layers[name] is made.populations()[case.names[0]]
    for text in (f"{bare}=3,default=5", f"{case.names[0]}=3,{other}=5"):
        printed = case.command("convert", "{}/net.spk", "--scale", text)
        assert f"{case.names[0]}" in printed and "gain x 3" in printed and "gain x 5" in printed


def test_a_name_with_another_kind_is_no_layer(case: Case) -> None:
    """It was copied from another model: the error has the layer of that number."""
    wrong = case.names[0].replace("R", "T", 1)
    with pytest.raises(ReadError, match=f"no output, layer or tensor '{wrong}'.*{case.names[0]}"):
        sw.convert(case.model, example_input=X, outputs=[wrong])
    with pytest.raises(ValueError, match=f"Did you mean '{case.names[0]}'"):
        case.made.replace(scale_firing_rates={wrong: 7.0})


def test_errors_name_layers_with_their_kind() -> None:
    """Those of reading too: a layer that cannot be read, and weights that are not finite."""

    class Odd(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.special.bessel_j0(x)

    with pytest.raises(UnsupportedLayerError) as info:
        sw.convert(torch.nn.Sequential(torch.nn.Linear(5, 6), Odd()).eval(), example_input=X)
    (refusal,) = info.value.refusals
    assert refusal.layer == "1 Odd" and str(info.value).startswith("layer '1 Odd'")
    assert {"0 Linear", "1 Odd"} <= set(info.value.met)
    broken = sequential()
    torch.nn.init.constant_(broken[2].weight, float("nan"))
    with pytest.raises(GraphError, match="layer '2 Linear'"):
        sw.convert(broken, example_input=X)


def test_files_and_weights_go_by_the_models_own_names(case: Case) -> None:
    """A saved network has the printed names; parameters of a live model have the model's."""
    assert list(sw.load(case.folder / "net.spk").populations()) == list(case.names)
    if isinstance(case.model, torch.nn.Module):
        state = case.made.to_torch(4).state_dict()
        assert set(case.model.state_dict()) <= set(state)
