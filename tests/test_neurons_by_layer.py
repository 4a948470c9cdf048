"""Neuron types layer by layer: a layer's name beside, and before, its activation."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

import spikewright as sw
from spikewright.cli.main import main
from spikewright.cli.option_texts import NEURONS
from spikewright.errors import ConversionError
from spikewright.network.neurons import NEURON_TYPES
from spikewright.study.programs import ProgramWriter

L = keras.layers
X = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
LEAKY, SIGNED = sw.SpikingRectifiedLinear(), sw.BipolarIntegrateAndFire()


def keras_model(last: str = "other") -> Any:
    """Two ReLU layers, `first` with its activation inside and `last` on its own."""
    x = keras.Input((5,), name="x")
    y = L.Dense(4, activation="relu", name="first")(x)
    y = L.ReLU(name=last)(L.Dense(4, name="second")(y))
    return keras.Model(x, L.Dense(2, name="out")(y))


class Module(torch.nn.Module):
    """The same in PyTorch."""

    def __init__(self, other: Any = None) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(5, 4), torch.nn.Linear(4, 4)
        self.other, self.out = other or torch.nn.ReLU(), torch.nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        """Both layers."""
        return self.out(self.other(self.second(torch.relu(self.first(x)))))


def onnx_model() -> Any:
    """The same in ONNX."""
    rng = np.random.default_rng(1)
    make = onnx.helper.make_node
    nodes = [
        make("MatMul", ["x", "a"], ["p"], name="first"),
        make("Relu", ["p"], ["q"], name="rectified"),
        make("MatMul", ["q", "b"], ["r"], name="second"),
        make("Relu", ["r"], ["s"], name="other"),
        make("MatMul", ["s", "c"], ["y"], name="out"),
    ]
    weights = [
        onnx.numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
        for name, shape in (("a", (5, 4)), ("b", (4, 4)), ("c", (4, 2)))
    ]
    tensor = onnx.helper.make_tensor_value_info
    ends = [tensor("x", 1, ["n", 5])], [tensor("y", 1, ["n", 2])]
    graph = onnx.helper.make_graph(nodes, "small", *ends, weights)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])


MODELS: dict[str, Callable[[], Any]] = {
    "keras": keras_model,
    "pytorch": Module,
    "onnx": onnx_model,
}


def types(conversion: sw.Conversion) -> list[Any]:
    """The neuron types of the populations, in order."""
    return [ensemble.neuron_type for ensemble in conversion.populations().values()]


@pytest.mark.parametrize("framework", MODELS)
@pytest.mark.parametrize("activation", ["relu", sw.RectifiedLinear, sw.RectifiedLinear()])
def test_a_layers_name_wins_over_its_activation(framework: str, activation: Any) -> None:
    """In every front end, whichever comes first in the dict, and `replace` too."""
    model = MODELS[framework]()
    conversion = sw.convert(model, spiking={"first": LEAKY, activation: SIGNED}, example_input=X)
    assert types(conversion) == [LEAKY, SIGNED]
    turned = conversion.replace(spiking={activation: LEAKY, "second": SIGNED})
    assert types(turned) == [LEAKY, SIGNED]
    assert types(conversion.replace(spiking={"other": LEAKY})) == [sw.IntegrateAndFire(), LEAKY]


def test_files_keep_the_types_of_layers(tmp_path: Path) -> None:
    """What was chosen is in the network, and the trace tells it layer by layer."""
    conversion = sw.convert(keras_model(), spiking={"first": LEAKY})
    conversion.save(path := tmp_path / "saved.spk")
    assert types(sw.load(path)) == [LEAKY, sw.IntegrateAndFire()]
    status = {e.layer: e.status for e in conversion.trace if e.stage == "lower"}
    assert (status["first"], status["other"]) == ("approximated", "convergent")


def test_a_layer_that_became_several_populations_means_all_of_them() -> None:
    """The gates of a recurrent layer are one layer of the source."""
    x = keras.Input((3, 2), name="x")
    model = keras.Model(x, L.Dense(1)(L.GRU(2, name="memory")(x)))
    conversion = sw.convert(model, spiking={"memory": sw.SignedIntegrateAndFire()})
    assert len(types(conversion)) > 4
    assert set(types(conversion)) == {sw.SignedIntegrateAndFire()}


def test_a_name_that_is_a_layers_and_an_activations_is_an_error() -> None:
    """Where both mean the same there is nothing to ask; the way out is in the message."""
    model = keras_model(last="relu")
    with pytest.raises(ConversionError, match="the name of a layer, and of an activation") as info:
        sw.convert(model, spiking={"relu": LEAKY})
    assert "{sw.RectifiedLinear: ...}" in str(info.value)
    assert types(sw.convert(model, spiking={sw.RectifiedLinear: LEAKY})) == [LEAKY, LEAKY]
    assert types(sw.convert(model, spiking={"second": LEAKY})) == [sw.IntegrateAndFire(), LEAKY]
    alone = keras.Sequential([keras.Input((5,)), L.ReLU(name="relu"), L.Dense(2)])
    assert types(sw.convert(alone, spiking={"relu": LEAKY})) == [LEAKY]


@pytest.mark.parametrize("framework", ["keras", "pytorch"])
def test_functions_in_code_have_no_name_but_what_they_do(framework: str) -> None:
    """`relu` means all of them, though the first is called that; the second has a name."""
    if framework == "keras":
        keras.utils.clear_session()  # it counts the names of operations from there
        x = keras.Input((5,), name="x")
        y = keras.ops.relu(L.Dense(3)(keras.ops.relu(L.Dense(4, name="first")(x))))
        model = keras.Model(x, L.Dense(2)(y))
    else:
        model = Module(torch.relu)
    conversion = sw.convert(model, spiking={"relu": LEAKY, "relu_1": SIGNED}, example_input=X)
    assert list(conversion.populations()) == ["relu", "relu_1"]
    assert types(conversion) == [LEAKY, SIGNED]
    assert types(conversion.replace(spiking={"relu": LEAKY})) == [LEAKY, LEAKY]
    assert types(conversion.replace(spiking={"first": LEAKY, "relu": SIGNED})) == [LEAKY, SIGNED]


def test_two_names_of_one_population_agree() -> None:
    """They may be given twice, with one value."""
    both = {"second": LEAKY, "other": LEAKY}
    assert types(sw.convert(keras_model(), spiking=both)) == [sw.IntegrateAndFire(), LEAKY]
    with pytest.raises(ConversionError, match="'second' are one population"):
        sw.convert(keras_model(), spiking={**both, "other": SIGNED})


def test_unknown_keys_list_what_there_is() -> None:
    """Activations, layers with neurons, and the one that was probably meant."""
    with pytest.raises(ConversionError) as info:
        sw.convert(keras_model(), spiking={"frist": LEAKY, "out": LEAKY})
    first, second = info.value.refusals
    assert first.options == (
        "Did you mean 'first'? It has the activations relu; layers with neurons are first, other"
    )
    assert "no layer with neurons" in second.reason


@pytest.mark.parametrize("name", NEURON_TYPES)
def test_every_neuron_type_can_be_written_on_the_command_line(name: str) -> None:
    """With its defaults, with a type inside a wrapper, or a refusal that says what is missing."""
    kind = NEURON_TYPES[name]
    needed = [f for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    written = [("Tanh" if f.type == "NeuronType" else None) for f in needed]
    if None in written:
        with pytest.raises(ValueError, match=rf"{needed[0].name} is missing; {name} takes"):
            NEURONS(name)
    else:
        given = {f.name: sw.Tanh() for f in needed}
        assert NEURONS(f"{name}:{','.join(written)}") == kind(**given)


WRITTEN = [
    (name, f)
    for name, kind in NEURON_TYPES.items()
    for f in fields(kind)
    if f.type == "bool" and not any(g.type == "NDArray" for g in fields(kind))
]


@pytest.mark.parametrize(("name", "field"), WRITTEN, ids=lambda part: getattr(part, "name", part))
def test_what_is_true_or_false_is_written_so(name: str, field: Field[Any]) -> None:
    """Either word of either case is that value, of every type; any other word is refused."""
    wraps = any(f.name == "base_type" for f in fields(NEURON_TYPES[name]))
    needed = ["base_type=Tanh"] if wraps else []
    for word, value in (("true", True), ("False", False), ("TRUE", True)):
        made = NEURONS(f"{name}:" + ",".join([*needed, f"{field.name}={word}"]))
        assert getattr(made, field.name) is value
    with pytest.raises(ValueError, match=rf"{field.name} is true or false, not 'no'"):
        NEURONS(f"{name}:" + ",".join([*needed, f"{field.name}=no"]))


def test_there_are_types_with_such_a_choice() -> None:
    """The law above is no empty one."""
    assert ("LIF", "skewed_scaling") in {(name, f.name) for name, f in WRITTEN}


def test_the_command_line_takes_neurons_by_name(tmp_path: Path) -> None:
    """Of layers and of activations; spikes are implied, and rate neurons contradict."""
    keras_model().save(model := tmp_path / "model.keras")

    def invoke(*options: str) -> Any:
        return CliRunner().invoke(main, ["convert", str(model), *options])

    neurons = ("--neurons", "first=SpikingRectifiedLinear")
    capped = ("--neurons", "relu=IntegrateAndFire:max_spikes_per_step=2")
    shown = json.loads(invoke(*neurons, *capped, "--json").stdout)
    lines = {e["layer"]: e["text"] for e in shown["trace"] if "neurons" in e["text"]}
    assert "SpikingRectifiedLinear" in lines["first"]
    assert "at most 2 spikes" in lines["other"]
    falling = "relu=BipolarIntegrateAndFire:max_spikes_per_step=3,spike_heights"
    shown = json.loads(invoke("--neurons", f"{falling}=6/4/3", "--json").stdout)
    texts = [e["text"] for e in shown["trace"] if e["layer"] == "first"]
    assert any("spikes of the first 3 steps are worth 6, 4, 3" in text for text in texts)
    for options, words in (
        ((*neurons, "--rate"), "leave --rate out"),
        (("--neurons", "SpikingRectifiedLinear"), "give NAME=TYPE"),
        (("--neurons", "first=Spiking"), "is no neuron type; neuron types are"),
        (("--neurons", f"{falling}=6/4/x"), "spike_heights is whole numbers such as 6/4/3/3, not"),
        (("--neurons", f"{falling}=3/4"), "of which none is above the one before it"),
        (("--neurons", "relu=BipolarIntegrateAndFire:assumed_spikes=1"), "assumed_spikes"),
    ):
        refused = invoke(*options)
        assert refused.exit_code == 2
        assert words in refused.output


def test_choices_by_type_are_python_again_as_text() -> None:
    """What searches print can be pasted."""
    chosen = {sw.RectifiedLinear: SIGNED, "first": LEAKY}
    assert eval(ProgramWriter().text(chosen), {"sw": sw}) == chosen
