"""Ready-made networks: populations that multiply, bind, integrate, remember and choose."""

from spikewright.modelling.networks.arrays import (
    CircularConvolution,
    EnsembleArray,
    Product,
    ThresholdingEnsembles,
    dot_product_transform,
)
from spikewright.modelling.networks.associative_memory import (
    AssociativeMemory,
    ThresholdingAssociativeMemory,
)
from spikewright.modelling.networks.basal_ganglia import BasalGanglia, Thalamus
from spikewright.modelling.networks.recurrent import (
    IndependentAccumulator,
    InputGatedMemory,
    Integrator,
    Oscillator,
)

__all__ = [
    "AssociativeMemory",
    "BasalGanglia",
    "CircularConvolution",
    "EnsembleArray",
    "IndependentAccumulator",
    "InputGatedMemory",
    "Integrator",
    "Oscillator",
    "Product",
    "Thalamus",
    "ThresholdingAssociativeMemory",
    "ThresholdingEnsembles",
    "dot_product_transform",
]
