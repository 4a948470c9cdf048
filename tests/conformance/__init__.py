"""The conformance suite that every engine passes.

::

    class TestMine(EngineSuite):
        engine = "mine"          # a name, or an `Engine`

An `exact` engine is held to bit-identical results; any other has three bounds. Spikes are those of
exact arithmetic wherever the arithmetic is exact (whole and dyadic numbers). Analog values agree to
rounding. Elsewhere a spike moves to a neighbouring step at most.
"""

from conformance.cuts import CutTests, ResumingTests
from conformance.delays import DelayTests, SynapseTests
from conformance.learning import LearningTests
from conformance.nodes import FunctionTests, NodeTests
from conformance.parts import PartTests, ProbeTests
from conformance.rule_examples import rule_examples
from conformance.steps import StepTests, WindowTests
from spikewright.testing.layers import function_examples
from spikewright.testing.modelling import neuron_type_examples, synapse_examples, transform_examples

__all__ = [
    "EngineSuite",
    "function_examples",
    "neuron_type_examples",
    "rule_examples",
    "synapse_examples",
    "transform_examples",
]


class EngineSuite(
    StepTests,
    PartTests,
    NodeTests,
    FunctionTests,
    WindowTests,
    LearningTests,
    ProbeTests,
    DelayTests,
    CutTests,
    ResumingTests,
    SynapseTests,
):
    """All tests of one engine; subclasses name it in `engine`."""
