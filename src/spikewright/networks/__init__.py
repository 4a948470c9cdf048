"""Ready-made networks: populations that multiply, bind, integrate, remember and choose."""

from spikewright.networks.associative_memory import AssociativeMemory
from spikewright.networks.basal_ganglia import BasalGanglia
from spikewright.networks.circular_convolution import CircularConvolution
from spikewright.networks.ensemble_array import EnsembleArray
from spikewright.networks.independent_accumulator import IndependentAccumulator
from spikewright.networks.input_gated_memory import InputGatedMemory
from spikewright.networks.integrator import Integrator
from spikewright.networks.oscillator import Oscillator
from spikewright.networks.presets import ThresholdingEnsembles
from spikewright.networks.product import Product, dot_product_transform
from spikewright.networks.thalamus import Thalamus

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
    "ThresholdingEnsembles",
    "dot_product_transform",
]
