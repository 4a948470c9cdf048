"""Every engine that can run here passes the conformance suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from conformance import (
    EngineSuite,
    function_examples,
    neuron_type_examples,
    rule_examples,
    synapse_examples,
    transform_examples,
)
from spikewright import engines
from spikewright.engines.kernel import DelayedKernel, Kernel
from spikewright.engines.operators import Filter, Linear, Operator, Smooth
from spikewright.engines.populations import Learned
from spikewright.engines.program import Program
from spikewright.engines.reference import ReferenceEngine
from spikewright.network import FUNCTIONS
from spikewright.network.learning import LEARNING_RULES
from spikewright.network.neurons import NEURON_TYPES
from spikewright.network.synapses import SYNAPSES
from spikewright.network.transforms import TRANSFORMS

NAMES = [n for n in engines.available() if find_spec(f"spikewright.engines.{n}") is not None]


@pytest.mark.parametrize("name", NAMES)
class TestEngine(EngineSuite):
    """The suite, once an engine."""

    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.engine = name


class Prompt(ReferenceEngine):
    """An engine whose filters do not lag: wrong on purpose."""

    def kernel(self, op: Operator, program: Program, batch: int, tally: bool) -> Kernel:
        kernel = super().kernel(op, program, batch, tally)
        return _WithoutLag(kernel) if isinstance(kernel, DelayedKernel) else kernel


class _WithoutLag(Kernel):
    def __init__(self, kernel: DelayedKernel) -> None:
        self._kernel = kernel

    def run(self, inputs: Sequence[Any], step: int, steps: int) -> Sequence[Any]:
        outputs = []
        for t in range(steps):
            self._kernel.absorb(inputs[0][:, min(t, inputs[0].shape[1] - 1)][:, None])
            outputs.append(self._kernel.emit().copy())
        return [np.concatenate(outputs, axis=1)]


class Coarse(ReferenceEngine):
    """An engine that rounds the currents of its connections to single precision."""

    def kernel(self, op: Operator, program: Program, batch: int, tally: bool) -> Kernel:
        kernel = super().kernel(op, program, batch, tally)
        if isinstance(op, Linear):
            exact = kernel.run
            kernel.run = lambda *a: [np.float64(np.float32(exact(*a)[0]))]  # type: ignore[method-assign]
        return kernel


def test_the_suite_takes_an_engine_itself_and_finds_faults() -> None:
    """An object serves as well as a name; a wrong engine fails where it is wrong."""
    suite = EngineSuite()
    suite.engine = ReferenceEngine()
    suite.test_delays("float64")
    suite.engine = Prompt()
    with pytest.raises(AssertionError):
        suite.test_delays("float64")
    suite.engine = Coarse()
    dense = next(e for e in transform_examples() if e.id == "dense")
    suite.test_transform(dense, "float32")
    with pytest.raises(AssertionError):
        suite.test_transform(dense, "float64")


class Lagging(ReferenceEngine):
    """An engine whose rules see the activities of the step before."""

    def kernel(self, op: Operator, program: Program, batch: int, tally: bool) -> Kernel:
        if isinstance(op, Smooth):
            op = Filter(op.label, op.inputs, op.output, op.filter)
        return super().kernel(op, program, batch, tally)


class Doubling(ReferenceEngine):
    """An engine that applies what a rule gives twice."""

    def kernel(self, op: Operator, program: Program, batch: int, tally: bool) -> Kernel:
        if isinstance(op, Learned):
            op = replace(op, unit=np.full((len(op.initial), 1), 0.5))  # deltas are divided by it
        return super().kernel(op, program, batch, tally)


@pytest.mark.parametrize("wrong", [Lagging(), Doubling()])
def test_the_suite_finds_faults_in_learning(wrong: ReferenceEngine) -> None:
    """Filters that lag and weights that change too much fail in the test of the rules."""
    example = next(e for e in rule_examples() if e.id == "pes")
    suite = EngineSuite()
    suite.engine = ReferenceEngine()
    suite.test_learning_rule(example, "float64")
    suite.engine = wrong
    with pytest.raises(AssertionError):
        suite.test_learning_rule(example, "float64")


def test_every_registered_class_has_an_example() -> None:
    """Neuron types, functions, synapses, transforms and learning rules are tested when they are."""
    types = {type(e.neuron_type).__name__ for e in neuron_type_examples()}
    synapses = {type(e.synapse).__name__ for e in synapse_examples()}
    transforms = {type(e.transform).__name__ for e in transform_examples()}
    functions = {type(e.function).__name__ for e in function_examples()}
    assert types >= set(NEURON_TYPES)
    assert functions == set(FUNCTIONS)
    assert synapses >= set(SYNAPSES)
    assert transforms >= set(TRANSFORMS)
    assert {type(e.rule).__name__ for e in rule_examples()} == set(LEARNING_RULES)


@pytest.mark.parametrize(
    "examples",
    [
        neuron_type_examples,
        function_examples,
        synapse_examples,
        transform_examples,
        rule_examples,
    ],
)
def test_examples_have_names_of_their_own(examples: object) -> None:
    """Names identify examples, and a second call gives the same ones."""
    first, second = examples(), examples()  # type: ignore[operator]
    names = [example.id for example in first]
    assert len(set(names)) == len(names)
    assert names == [example.id for example in second]
