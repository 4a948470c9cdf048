"""Ready-made networks: populations that multiply, bind, integrate, remember and choose."""

from spikewright.modelling.networks.associative_memory import (
    AssociativeMemory,
    ThresholdingAssociativeMemory,
)
from spikewright.modelling.networks.basal_ganglia import BasalGanglia
from spikewright.modelling.networks.circular_convolution import CircularConvolution
from spikewright.modelling.networks.ensemble_array import EnsembleArray
from spikewright.modelling.networks.independent_accumulator import IndependentAccumulator
from spikewright.modelling.networks.input_gated_memory import InputGatedMemory
from spikewright.modelling.networks.integrator import Integrator
from spikewright.modelling.networks.oscillator import Oscillator
from spikewright.modelling.networks.presets import ThresholdingEnsembles
from spikewright.modelling.networks.product import Product, dot_product_transform
from spikewright.modelling.networks.thalamus import Thalamus

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
