"""Settings that are given by layer: one set of keys for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import keras
import numpy as np
import pytest
import torch

import spikewright as sw
from spikewright.conversion import Conversion
from spikewright.conversion.arguments import BY_LAYER
from spikewright.errors import SpikewrightError
from spikewright.training import options
from spikewright.training.trainable import arrays_of

X = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
L = keras.layers


def keras_model() -> Any:
    """Two layers with a ReLU and one with tanh, the last two in a model of their own."""
    inner = keras.Sequential(
        [keras.Input((4,)), L.Dense(4, activation="relu", name="middle"),
         L.Dense(4, activation="tanh", name="curved")], name="block",
    )  # fmt: skip
    x = keras.Input((5,), name="x")
    y = inner(L.Dense(4, activation="relu", name="first")(x))
    return keras.Model(x, L.Dense(2, name="out")(y))


def pytorch_model() -> Any:
    """The same in PyTorch."""
    nn = torch.nn
    torch.manual_seed(0)
    block = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh())
    return nn.Sequential(nn.Linear(5, 4), nn.ReLU(), block, nn.Linear(4, 2)).eval()


@dataclass(frozen=True)
class Case:
    """A model: a name and the layer of one ReLU, the other ReLU, the block, and weights."""

    model: Any
    first: str
    layer: Any
    second: str
    block: Any
    curved: str
    weights: tuple[str, Any]


def keras_case() -> Case:
    """Layers have their activations inside."""
    model = keras_model()
    first, block = model.layers[1:3]
    names = "first", first, "block/middle", block, "block/curved"
    return Case(model, *names, ("first", first))


def pytorch_case() -> Case:
    """Layers are numbered."""
    model = pytorch_model()
    names = "1 ReLU", model[1], "2.1 ReLU", model[2], "2.3 Tanh"
    return Case(model, *names, ("0 Linear", model[0]))


CASES: dict[str, Callable[[], Case]] = {"keras": keras_case, "pytorch": pytorch_case}


def _ensembles(value: Callable[[Any], Any]) -> Callable[[Conversion], dict[str, Any]]:
    return lambda made: {name: value(e) for name, e in made.populations().items()}


def _converted(
    name: str, read: Callable[[Conversion], dict[str, Any]], **more: Any
) -> Callable[[Any, Any], dict[str, Any]]:
    def apply(model: Any, given: Any) -> dict[str, Any]:
        return read(sw.convert(model, example_input=X, **{"spiking": True, **more, name: given}))

    return apply


@dataclass(frozen=True)
class Values:
    """How a setting of values is given and found, two values, and that of layers left out."""

    apply: Callable[[Any, Any], dict[str, Any]]
    value: Any
    other: Any
    rest: Any
    found: Callable[[Any], Any] = lambda value: value


def number(value: Any) -> Any:
    """The one number of an array."""
    return float(np.max(value))


BIASES = _converted("bias_correction", lambda c: c.resolved["bias_correction"])
SETTINGS: Mapping[str, Values] = {
    "spiking": Values(
        _converted("spiking", _ensembles(lambda e: type(e.neuron_type))),
        sw.LIF(), sw.SpikingRectifiedLinear(), None, type,
    ),
    "scale_firing_rates": Values(
        _converted("scale_firing_rates", _ensembles(lambda e: number(e.rate_scale))), 100, 50, 1.0
    ),
    "synapse": Values(
        _converted("synapse", lambda c: {
            name: next((getattr(k.synapse, "tau", None) for k in c.network.all_connections
                        if getattr(k.pre_obj, "ensemble", k.pre_obj) is e), None)
            for name, e in c.populations().items()
        }), 0.01, 0.02, None,
    ),
    "initial_voltage": Values(
        _converted("initial_voltage", _ensembles(lambda e: e.initial_voltage)),
        "zero", "uniform", "half",
    ),
    "bias_correction": Values(
        lambda model, given: {n: number(v) for n, v in BIASES(model, given).items()}, 0.5, 0.25, 0.0
    ),
}  # fmt: skip


def _recorded(model: Any, keys: Any) -> list[str]:
    return list(sw.convert(model, example_input=X, spiking=True).run(
        X, 2, progress=False, record=keys
    ).recorded)  # fmt: skip


def _frozen(model: Any, keys: Any) -> list[str]:
    made = sw.convert(model, example_input=X)
    found = arrays_of(made.graph, options._frozen_names(made._model.named(keys))) or set()
    return sorted({made.graph[node].source for node, _ in found})


def _outputs(model: Any, keys: Any) -> list[str]:
    made = sw.convert(model, example_input=X, outputs=keys)
    return [made.graph[node].source or node for node in made.graph.outputs.values()]


SELECTIONS: Mapping[str, Callable[[Any, Any], list[str]]] = {
    "record": _recorded,
    "frozen": _frozen,
    "outputs": _outputs,
}


def test_every_setting_by_layer_is_tested() -> None:
    """A setting that is entered without a case here fails."""
    assert {*SETTINGS, *SELECTIONS} == set(BY_LAYER)


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    """The model of a framework."""
    return CASES[request.param]()


EVERY = pytest.mark.parametrize(
    ("name", "case"), list(zip(SETTINGS, cycle(CASES), strict=False)), indirect=["case"]
)
"""Every setting, on the models of the frameworks by turns."""


@EVERY
def test_layers_that_a_dict_leaves_out_keep_the_default(name: str, case: Case) -> None:
    """Or have that of the key `default`; all others have what is given."""
    setting = SETTINGS[name]
    alone = setting.apply(case.model, {case.first: setting.value})
    assert alone[case.first] == setting.found(setting.value)
    if setting.rest is not None or name != "spiking":
        assert alone[case.second] == setting.rest
    both = setting.apply(case.model, {"default": setting.other, case.first: setting.value})
    assert both[case.first] == setting.found(setting.value)
    assert both[case.second] == setting.found(setting.other)


@pytest.mark.parametrize(
    ("name", "case"), list(zip(SETTINGS, cycle(reversed(CASES)), strict=False)), indirect=["case"]
)
def test_a_key_may_be_a_layer_a_module_or_an_activation(name: str, case: Case) -> None:
    """A layer's name wins over a module around it, and this over an activation."""
    setting = SETTINGS[name]
    value, other = setting.found(setting.value), setting.found(setting.other)
    found = setting.apply(case.model, {"relu": setting.other, case.layer: setting.value})
    assert (found[case.first], found[case.second]) == (value, other)
    assert found[case.curved] != value and found[case.curved] != other
    found = setting.apply(case.model, {case.block: setting.value, "relu": setting.other})
    assert (found[case.first], found[case.second], found[case.curved]) == (other, value, value)


@EVERY
def test_unknown_keys_are_one_error(name: str, case: Case) -> None:
    """With the layer that was probably meant, for every unknown key."""
    setting = SETTINGS[name]
    near = case.first[:-1]
    with pytest.raises(SpikewrightError) as info:
        setting.apply(case.model, {near: setting.value, "rely": setting.value})
    assert f"Did you mean {case.first!r}?" in str(info.value)
    assert "Did you mean 'relu'?" in str(info.value)


@pytest.mark.parametrize("name", SELECTIONS)
def test_layers_are_selected_by_the_same_keys(name: str, case: Case) -> None:
    """By the name, and by the layer of the source; an unknown name says which was meant."""
    select = SELECTIONS[name]
    first, layer = case.weights if name == "frozen" else (case.first, case.layer)
    assert select(case.model, [first]) == [first]
    assert select(case.model, [layer]) == [first]
    assert select(case.model, layer) == [first]
    assert select(case.model, first) == [first]
    if name == "record":
        assert select(case.model, case.block) == select(case.model, [case.block])
        assert {case.second, case.curved} <= set(select(case.model, case.block))
        assert select(case.model, ["relu"]) == [case.first, case.second]
    if name == "frozen":
        assert len(select(case.model, case.block)) == 2
    with pytest.raises(SpikewrightError, match=f"(Did you mean|Near it are) '{first}'"):
        select(case.model, [first[:-1]])


def test_objects_of_a_layer_are_found_by_the_same_keys(case: Case) -> None:
    """One that means several layers is refused with their names."""
    made = sw.convert(case.model, example_input=X, spiking=True)
    ensemble = made.populations()[case.first]
    assert made.layers[case.first] is made.layers[case.layer] is ensemble
    assert made.layers["tanh"] is made.populations()[case.curved]
    assert case.first in made.layers and "nowhere" not in made.layers
    with pytest.raises(KeyError, match="means several layers"):
        made.layers["relu"]
    with pytest.raises(KeyError, match=f"Did you mean '{case.first}'"):
        made.layers[case.first[:-1]]


def test_files_hold_names(case: Case, tmp_path: Any) -> None:
    """No layer object stays among the arguments."""
    made = sw.convert(case.model, example_input=X, spiking=True, synapse={case.layer: 0.01})
    assert made.arguments["synapse"] == {case.first.partition(" ")[0]: 0.01}
    made.save(tmp_path / "net.spk")
    again = sw.load(tmp_path / "net.spk").replace(scale_firing_rates={"relu": 3.0})
    assert again.resolved["scale_firing_rates"][case.first] == 3.0
