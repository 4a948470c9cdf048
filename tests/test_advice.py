"""Advice: what an error says next is done literally, and works."""

from __future__ import annotations

import re
import shlex
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

import spikewright
import spikewright as sw
from spikewright.advice import ADVICE, advise, on_the_command_line
from spikewright.cli.main import main
from spikewright.errors import ConversionWarning, SpikewrightError
from spikewright.frontends.keras import code, loading, parameters
from spikewright.frontends.keras import registry as of_keras
from spikewright.frontends.onnx import registry as of_onnx
from spikewright.frontends.pytorch import registry as of_pytorch
from spikewright.graph.layers import Activation

L, nn = keras.layers, torch.nn
X = np.random.default_rng(0).uniform(size=(8, 5)).astype(np.float32)
IMAGES = np.random.default_rng(0).uniform(size=(4, 8, 8, 3)).astype(np.float32)
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A failure, what its advice is about, and what its call is done with.

    `model` is what fails, `names` are others in the call. `facts` are what the sentence holds, or
    found in the error. `command` are the words of a command that fails likewise, in a folder with
    the file that `saved` writes; `patch` makes the failure on a machine where nothing would fail.
    """

    model: Any
    names: Facts = field(default_factory=dict)
    facts: Facts | Callable[[str], Facts] = field(default_factory=dict)
    fail: Callable[[Any, Any], Any] = lambda model, x: sw.convert(model, example_input=x)
    x: Any = field(default_factory=lambda: X)
    command: tuple[str, ...] = ()
    patch: Callable[[pytest.MonkeyPatch], None] = lambda patch: None


class _Module(nn.Module):
    """A module whose code is a function of a linear layer and the input."""

    def __init__(self, function: Callable[[Any, Any], Any], size: int = 5) -> None:
        super().__init__()
        self.linear, self.function = nn.Linear(size, 3), function

    def forward(self, x: Any) -> Any:
        return self.function(self.linear, x)


class _Bessel(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.special.bessel_j0(x)


class _Numpy(nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.from_numpy(np.sqrt(np.abs(x.detach().numpy())))


class _Texts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 3)

    def forward(self, x: Any, text: Any = None) -> Any:
        return self.linear(x) * text.sum(1, keepdim=True)


def dense(*between: Any, size: int = 3) -> Any:
    """A small Keras model, with layers before its last."""
    layers = [keras.Input((5,)), L.Dense(4, activation="relu"), *between, L.Dense(size)]
    return keras.Sequential(layers)


def unreadable() -> Any:
    """A Keras model with an operation that cannot be read."""
    x = keras.Input((5,), name="x")
    hidden = L.Dense(4, activation="relu")(x)
    return keras.Model(x, L.Dense(3)(keras.ops.median(hidden, axis=-1, keepdims=True)))


def ends_in_positions() -> Any:
    """An ONNX model with its scores and the place of the largest as outputs."""
    make, tensor = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    weight = onnx.numpy_helper.from_array(np.ones((5, 3), np.float32), "w")
    nodes = [make("MatMul", ["x", "w"], ["y"], name="scores"),
             make("ArgMax", ["y"], ["k"], name="place", axis=1, keepdims=0)]  # fmt: skip
    ends = [tensor("y", 1, ["n", 3]), tensor("k", 7, ["n"])]
    graph = onnx.helper.make_graph(nodes, "g", [tensor("x", 1, ["n", 5])], ends, [weight])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])


def foreign() -> Any:
    """An ONNX model with an operator of another domain."""
    make, tensor = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [make("Strange", ["x"], ["y"], name="strange", domain="some.where")]
    ends = [tensor("x", 1, ["n", 5])], [tensor("y", 1, ["n", 5])]
    graph = onnx.helper.make_graph(nodes, "g", *ends)
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("some.where", 1)]
    return onnx.helper.make_model(graph, opset_imports=opsets)


def images() -> Any:
    """A Keras model of images of any size."""
    layers = [L.Conv2D(2, 3, activation="relu"), L.GlobalAveragePooling2D(), L.Dense(3)]
    return keras.Sequential([keras.Input((None, None, 3)), *layers])


def _branch(linear: Any, x: Any) -> Any:
    return linear(x) if float(x.sum()) > 0 else linear(-x)


def _whole(linear: Any, x: Any) -> Any:
    return linear(torch.from_numpy(np.sort(x.detach().numpy())))


def _without_example(model: Any, x: Any) -> Any:
    return sw.convert(model)


def _rate(model: Any, x: Any) -> Any:
    return sw.convert(model, spiking=True, scale_firing_rates=sw.Percentile())


def _few(model: Any, x: Any) -> Any:
    return sw.convert(model, spiking=True, scale_firing_rates=1.0).run(x, 4, progress=False)


def _backend(model: Any, x: Any) -> Any:
    return loading.choose_backend()


def _on_another_backend(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(code, "can_trace", lambda layer: False)


def _without_modes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(parameters, "MODES", {})


def arcsinh() -> Any:
    """A model of Keras with an operation that has no reader."""
    x = keras.Input((5,))
    return keras.Model(x, L.Dense(3)(keras.ops.arcsinh(x)))


def quantised() -> Any:
    """A quantised model of Keras."""
    model = dense()
    model.quantize("int8")
    return model


def _found(pattern: str, *names: str) -> Callable[[str], Facts]:
    """Facts that an error holds, found by a pattern with a group for each."""

    def facts(text: str) -> Facts:
        match = re.search(pattern, text)
        assert match is not None, text
        return dict(zip(names, match.groups(), strict=True))

    return facts


CASES: dict[str, Callable[[], Case]] = {
    "other outputs": lambda: Case(
        ends_in_positions(), facts=_found(r"outputs=(\[.*?\]) cuts it", "kept"),
        command=("convert", "{model}"),
    ),
    "no other output": lambda: Case(
        _Module(lambda linear, x: linear.weight[None]),
        {"returning": _Module(lambda linear, x: linear(x))},
    ),
    "call of a live model": lambda: Case(nn.Sequential(nn.Linear(5, 3), _Bessel())),
    "call of a loaded model": lambda: Case(
        unreadable(), {"keras": keras}, _found(r'load_model\("(.*?)"\)', "path"),
        command=("convert", "{model}"),
    ),
    "reader of a Keras layer": lambda: Case(
        arcsinh(), {"reader": lambda call: call.add(Activation("relu"))},
        {"kind": "ops.Arcsinh"}, command=("convert", "{model}"),
    ),
    "reader of a PyTorch operator": lambda: Case(
        nn.Sequential(nn.Linear(5, 3), _Bessel()),
        {"reader": lambda call: call.add(Activation("relu"), call.value("self"))},
        {"target": "aten.special_bessel_j0.default"}, command=("convert", "{model}"),
    ),
    "reader of an ONNX operator": lambda: Case(
        foreign(), {"reader": lambda node: node.add(Activation("relu"), node.signal(0))},
        {"kind": "Strange", "domain": "some.where"}, command=("convert", "{model}"),
    ),
    "Keras code on another backend": lambda: Case(
        dense(L.Lambda(lambda x: x * 2.0)), patch=_on_another_backend,
    ),
    "Keras without a backend": lambda: Case(
        dense(), fail=_backend, patch=lambda patch: patch.setenv("KERAS_BACKEND", "jax"),
    ),
    "example of a module": lambda: Case(nn.Linear(5, 3), fail=_without_example),
    "shape of an input": lambda: Case(
        images(), fail=_without_example, x=IMAGES, command=("convert", "{model}"),
    ),
    "example that the module takes": lambda: Case(
        nn.Sequential(nn.Linear(6, 3)), {"right": np.zeros((2, 6), np.float32)}
    ),
    "numbers of rows": lambda: Case(
        nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 3)), x=torch.ones(2, 5)
    ),
    "absent arguments": lambda: Case(
        _Texts(), {"named": {"x": X, "text": X}}, {"names": "text"}
    ),
    "branches": lambda: Case(
        _Module(_branch), {"chosen": _Module(lambda linear, x: torch.where(x > 0, x, -x))}
    ),
    "part of a module": lambda: Case(
        _Module(_whole), facts={"part": "model.linear (Linear)", "module": "model.linear"}
    ),
    "call of a part": lambda: Case(nn.Sequential(nn.Linear(5, 3), _Numpy(), nn.Linear(3, 2))),
    "quantized weights": lambda: Case(
        quantised(), {"before": dense()}, {"mode": "int8"}, patch=_without_modes,
    ),
    "data for a rule": lambda: Case(
        dense(), fail=_rate, command=("convert", "{model}", "--scale", "percentile")
    ),
    "rates that nothing chose": lambda: Case(
        dense(), facts={"example": "example_input=x[:1], "},
        fail=lambda model, x: sw.convert(model, example_input=x, spiking=True),
        command=("convert", "{model}", "--spiking"),
    ),
    "few spikes": lambda: Case(
        dense(), facts={"steps": 4}, fail=_few,
        command=("run", "{model}", "--data", "{folder}/data.npz", "--steps", "4", "--limit", "1"),
    ),
}  # fmt: skip


def test_every_advice_is_tried() -> None:
    """One that is entered without a case here fails."""
    assert set(CASES) == set(ADVICE)


@pytest.fixture
def registries() -> Iterator[None]:
    """Readers that a test registers are gone after it."""
    found = [of_keras._readers, of_pytorch._registry, of_onnx._readers]
    before = [dict(registry) for registry in found]
    yield
    for registry, kept in zip(found, before, strict=True):
        registry.clear()
        registry.update(kept)


def _told(case: Case, model: Any) -> str:
    """What an error or a warning says."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", ConversionWarning)
        try:
            case.fail(model, case.x)
        except SpikewrightError as error:
            return str(error)
    return "\n".join(str(one.message) for one in heard)


def _saved(model: Any, folder: Path) -> Path:
    """The file of a model."""
    if isinstance(model, onnx.ModelProto):
        onnx.save(model, folder / "model.onnx")
        return folder / "model.onnx"
    if isinstance(model, nn.Module) and not isinstance(model, keras.Model):
        torch.export.save(torch.export.export(model, (torch.zeros(2, 5),)), folder / "model.pt2")
        return folder / "model.pt2"
    model.save(folder / "model.keras")
    return folder / "model.keras"


@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize("cause", CASES)
def test_advice_works(
    cause: str, registries: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The failure says the sentence of the registry, and the call of the registry mends it."""
    case = CASES[cause]()
    model = _saved(case.model, tmp_path) if cause == "call of a loaded model" else case.model
    with monkeypatch.context() as patch:
        case.patch(patch)
        told = _told(case, model)
    facts = case.facts(told) if callable(case.facts) else case.facts
    assert advise(cause, **facts) in told
    names = {"sw": sw, "spikewright": spikewright, "model": model, "x": case.x, **case.names}
    made = eval(ADVICE[cause].call.format(**facts), names)
    assert isinstance(made, sw.Conversion)


@pytest.mark.filterwarnings("ignore::spikewright.errors.ConversionWarning")
@pytest.mark.parametrize("cause", [name for name, advice in ADVICE.items() if advice.command])
def test_advice_works_on_the_command_line(
    cause: str, registries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command says what to add to it, and works then; no Python stands alone in it."""
    case = CASES[cause]()
    model = _saved(case.model, tmp_path)
    np.savez(tmp_path / "data.npz", x=case.x)
    monkeypatch.chdir(tmp_path)
    case.patch(monkeypatch)
    command = [word.format(model=model, folder=tmp_path) for word in case.command]
    told = " ".join(CliRunner().invoke(main, command).output.split())
    found = _told(case, model)
    facts = dict(case.facts(found) if callable(case.facts) else case.facts)
    if cause == "other outputs":
        facts["options"] = " ".join(f"--outputs {name}" for name in eval(facts["kept"]))
    with on_the_command_line():
        assert advise(cause, **facts) in told
    if ADVICE[cause].words:
        words = shlex.split(ADVICE[cause].words.format(**facts))
        done = CliRunner().invoke(main, [*command, *words])
        assert done.exit_code == 0 and ADVICE[cause].command.format(**facts) not in done.output


def test_a_fallback_that_was_given_is_not_advised() -> None:
    """Neither where the call of the layer failed, nor for a file, which runs no code."""

    class Mixes(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.special.bessel_j0(x - x.mean(0))

    with pytest.raises(SpikewrightError) as info:
        sw.convert(nn.Sequential(nn.Linear(5, 3), Mixes()), example_input=X, fallback="python")
    assert "fallback" not in str(info.value)
