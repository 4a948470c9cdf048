"""The seam between Python and the kernels: what stands once, and what goes by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spikewright.engines.native import _kernels
from spikewright.engines.native._kernels import Action, Cell, Cells, Rate, Rule
from spikewright.engines.native.cells import described, states
from spikewright.engines.native.rules import form_of
from spikewright.network.neurons import TOLERANCE, NeuronType
from spikewright.testing.learning import rule_examples
from spikewright.testing.modelling import neuron_type_examples

DT = 0.001
NAMED = ("view", "population", "layer", "fire", "pool", "take", "put", "combine", "load", "store")
NAMED += (
    "filter",
    "cells",
    "encoders",
    "readout",
    "scatter",
    "weights",
    "call",
    "sparse",
    "axis_map",
)


def _described() -> list[tuple[NeuronType, Cells]]:
    kinds = [(one.neuron_type, described(one.neuron_type, DT)) for one in neuron_type_examples()]
    return [(kind, cells) for kind, cells in kinds if cells is not None]


def test_each_cell_and_rate_of_the_kernels_is_that_of_a_neuron_type() -> None:
    """The extension lists them; one that no type uses would be dead, and is found here."""
    assert {cells.cell for _, cells in _described()} >= set(Cell)
    assert {cells.rate for _, cells in _described()} >= set(Rate)


@pytest.mark.parametrize("rule", Rule)
def test_each_form_of_a_rule_is_that_of_a_learning_rule(rule: Rule) -> None:
    """As for cells."""
    forms = []
    for example in rule_examples():
        try:
            forms.append(form_of(example.rule, DT, 3).rule)
        except KeyError:  # no kernel
            continue
    assert rule in forms


def test_names_of_enumerations_are_their_numbers_in_order() -> None:
    """Names are read off the declaration in C++, so number k is the k-th name."""
    for kind in (Action, Cell, Rate, Rule):
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
