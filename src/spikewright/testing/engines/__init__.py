"""The conformance suite that every engine passes (needs pytest).

::

    class TestMine(EngineSuite):
        engine = "mine"          # a name, or an `Engine`

An `exact` engine is held to bit-identical results; any other has three bounds. Spikes are those of
exact arithmetic wherever the arithmetic is exact (whole and dyadic numbers). Analog values agree to
rounding. Elsewhere a spike moves to a neighbouring step at most.
"""

from spikewright.testing.engines.cuts import CutTests, ResumingTests
from spikewright.testing.engines.delays import DelayTests, SynapseTests
from spikewright.testing.engines.learning import LearningTests
from spikewright.testing.engines.nodes import FunctionTests, NodeTests
from spikewright.testing.engines.parts import PartTests, ProbeTests
from spikewright.testing.engines.steps import StepTests, WindowTests
from spikewright.testing.layers import function_examples
from spikewright.testing.learning import rule_examples
from spikewright.testing.modelling import (
    neuron_type_examples,
    synapse_examples,
    transform_examples,
)

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
