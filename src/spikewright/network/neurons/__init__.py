"""Neuron types: each one's equation, rate function and gain solution, written once."""

from spikewright.network.neurons.base import (
    NEURON_TYPES,
    NUMPY_RATES,
    TOLERANCE,
    Clock,
    NeuronType,
    register,
)
from spikewright.network.neurons.bipolar import BipolarIntegrateAndFire
from spikewright.network.neurons.elementwise import Elementwise, ParametricReLU
from spikewright.network.neurons.lif import LIF, LIFRate
from spikewright.network.neurons.rectified import (
    IntegrateAndFire,
    LeakyReLU,
    RectifiedLinear,
    SignedIntegrateAndFire,
    SpikingLeakyReLU,
    SpikingRectifiedLinear,
)
from spikewright.network.neurons.smooth import ClippedReLU, Sigmoid, Softplus, Tanh
from spikewright.network.neurons.wrappers import (
    PoissonSpiking,
    RegularSpiking,
    RunningMeanSpiking,
    StochasticSpiking,
)

__all__ = [
    "LIF",
    "NEURON_TYPES",
    "NUMPY_RATES",
    "TOLERANCE",
    "BipolarIntegrateAndFire",
    "ClippedReLU",
    "Clock",
    "Elementwise",
    "IntegrateAndFire",
    "LIFRate",
    "LeakyReLU",
    "NeuronType",
    "ParametricReLU",
    "PoissonSpiking",
    "RectifiedLinear",
    "RegularSpiking",
    "RunningMeanSpiking",
    "Sigmoid",
    "SignedIntegrateAndFire",
    "Softplus",
    "SpikingLeakyReLU",
    "SpikingRectifiedLinear",
    "StochasticSpiking",
    "Tanh",
    "register",
]
