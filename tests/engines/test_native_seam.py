"""The seam between Python and the kernels: what stands once, and what goes by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conformance.rule_examples import rule_examples
from spikewright.engines.native import _kernels, kernel_selection
from spikewright.engines.native._kernels import (
    Action,
    Geometry,
    Limbs,
    NeuronKind,
    NeuronModel,
    Rate,
    Rule,
    Term,
)
from spikewright.engines.native.learning_kernels import rule_parameters
from spikewright.engines.native.neuron_kernels import kernel_model, states
from spikewright.network.neurons import (
    TOLERANCE,
    BipolarIntegrateAndFire,
    Elementwise,
    NeuronType,
)
from spikewright.testing.modelling import neuron_type_examples

DT = 0.001
NAMED = ("view", "population", "layer", "fire", "pool", "take", "put", "combine", "load", "store")
NAMED += (
    "filter",
    "piecewise",
    "encoders",
    "readout",
    "scatter",
    "weights",
    "call",
    "sparse",
    "axis_map",
)


def _described() -> list[tuple[NeuronType, NeuronModel]]:
    kinds = [one.neuron_type for one in neuron_type_examples()]
    curves = [Elementwise.of(name) for name in ("gelu", "silu")]
    kinds += [BipolarIntegrateAndFire.digits(4, response=curve) for curve in curves]
    models = [(kind, kernel_model(kind, DT)) for kind in kinds]
    return [(kind, model) for kind, model in models if model is not None]


def test_each_cell_and_rate_of_the_kernels_is_that_of_a_neuron_type() -> None:
    """The extension lists them; one that no type uses would be dead, and is found here."""
    assert {model.neuron_kind for _, model in _described()} >= set(NeuronKind)
    assert {model.rate for _, model in _described()} >= set(Rate)


@pytest.mark.parametrize("rule", Rule)
def test_each_form_of_a_rule_is_that_of_a_learning_rule(rule: Rule) -> None:
    """As for cells."""
    forms = []
    for example in rule_examples():
        try:
            forms.append(rule_parameters(example.rule, DT, 3).rule)
        except KeyError:  # no kernel
            continue
    assert rule in forms


def test_names_of_enumerations_are_their_numbers_in_order() -> None:
    """Names are read off the declaration in C++, so number k is the k-th name."""
    for kind in (Action, NeuronKind, Rate, Rule):
        members = list(kind)
        assert [one.value for one in members] == list(range(len(members)))
        assert all(one.name.isidentifier() for one in members)


def test_kernels_absorb_the_rounding_that_neurons_do() -> None:
    """The tolerance of the equations in Python is the kernels' own."""
    assert _kernels.TOLERANCE == TOLERANCE


def test_state_beside_the_voltage_has_a_memory_of_its_own() -> None:
    """Kernels keep two such numbers a neuron: no described type has more."""
    for kind, _ in _described():
        kept = tuple(name for name in states(kind) if name is not None)
        assert tuple(kind.initial_values()) == kept, kind


def test_numbers_go_to_a_kernel_by_name_alone() -> None:
    """Two numbers in the wrong order would be a wrong result: without names they are refused."""
    region = _kernels.Region()
    number = region.buffer(False, 4)
    for name in NAMED:
        method: Callable[..., object] = getattr(region, name)
        with pytest.raises(TypeError, match="incompatible function arguments"):
            method(*[number] * 4)


def test_descriptions_take_names_that_exist() -> None:
    """A misspelled parameter is an error, in a description and in a call."""
    with pytest.raises(AttributeError):
        NeuronModel().tau_fer = 0.002  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        Term(sauce=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Geometry([1, 1, 3], [1, 1, 2])  # type: ignore[misc]


def test_stubs_name_all_that_the_extension_has() -> None:
    """What Python may read is in the stubs that type checkers see."""
    stubs = Path(kernel_selection.__file__).with_name("_kernels.pyi").read_text()
    public = [name for name in vars(_kernels) if not name.startswith("_")]
    assert [name for name in public if f"{name}:" not in stubs and f"{name}(" not in stubs] == []
    members = [one.name for kind in (NeuronKind, Rate, Rule) for one in kind]
    assert [name for name in members if f"    {name} = ..." not in stubs] == []


def test_weights_must_fit_the_layer_that_they_fill() -> None:
    """A layer's geometry is checked against its buffers when it is added."""
    region = _kernels.Region()
    source, target = region.buffer(True, 3), region.buffer(False, 2)
    given = {"input": source, "output": target, "population": -1, "gain": None, "joined": -1}
    given |= {
        "bias": np.zeros((1, 2)),
        "factor": None,
        "limbs": Limbs(bits=20, most=2, weights=1),
        "weight_limbs": 1,
    }
    given["action"] = Action.layer
    region.layer(geometry=Geometry(input=[1, 1, 3], output=[1, 1, 2]), **given)
    with pytest.raises(ValueError, match="a layer's buffers have its sizes"):
        region.layer(geometry=Geometry(input=[1, 1, 4], output=[1, 1, 2]), **given)
