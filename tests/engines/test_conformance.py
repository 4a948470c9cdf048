"""Every engine that can run here passes the conformance suite."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from spikewright import engines
from spikewright.network.neurons import NEURON_TYPES
from spikewright.network.synapses import SYNAPSES
from spikewright.network.transforms import TRANSFORMS
from spikewright.testing.engines import (
    EngineSuite,
    neuron_type_examples,
    synapse_examples,
    transform_examples,
)

NAMES = [n for n in engines.available() if find_spec(f"spikewright.engines.{n}") is not None]


@pytest.mark.parametrize("name", NAMES)
class TestEngine(EngineSuite):
    """The suite, once an engine."""

    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.engine = name


def test_every_registered_class_has_an_example() -> None:
    """A neuron type, synapse or transform cannot be registered without being tested."""
    types = {type(e.neuron_type).__name__ for e in neuron_type_examples()}
    synapses = {type(e.synapse).__name__ for e in synapse_examples()}
    transforms = {type(e.transform).__name__ for e in transform_examples()}
    assert types >= set(NEURON_TYPES)
    assert synapses >= set(SYNAPSES)
    assert transforms >= set(TRANSFORMS)


@pytest.mark.parametrize("examples", [neuron_type_examples, synapse_examples, transform_examples])
def test_examples_have_names_of_their_own(examples: object) -> None:
    """Names identify examples, and a second call gives the same ones."""
    first, second = examples(), examples()  # type: ignore[operator]
    names = [example.id for example in first]
    assert len(set(names)) == len(names)
    assert names == [example.id for example in second]
