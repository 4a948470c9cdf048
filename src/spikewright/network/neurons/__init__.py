"""Neuron types: each one's equation, rate function and gain solution, written once."""

from spikewright.network.neurons.base import NEURON_TYPES, NeuronType, register
from spikewright.network.neurons.bipolar import BipolarIntegrateAndFire
from spikewright.network.neurons.discrete import Direct, DiscreteLI, DiscreteLIF, Izhikevich
from spikewright.network.neurons.lif import (
    LIF,
    AdaptiveLIF,
    AdaptiveLIFRate,
    GridLIF,
    LIFRate,
    SoftLIFRate,
)
from spikewright.network.neurons.namespace import (
    NUMPY_NEURONS,
    TOLERANCE,
    Clock,
    integrate,
    no_draws,
)
from spikewright.network.neurons.rectified import (
    ROUNDING,
    FixedPointIntegrateAndFire,
    IntegrateAndFire,
    LeakyReLU,
    RectifiedLinear,
    SignedIntegrateAndFire,
    SpikingLeakyReLU,
    SpikingRectifiedLinear,
)
from spikewright.network.neurons.smooth import (
    ClippedReLU,
    Elementwise,
    ParametricReLU,
    Sigmoid,
    Softplus,
    Tanh,
)
from spikewright.network.neurons.wrappers import (
    PoissonSpiking,
    RegularSpiking,
    RunningMeanSpiking,
    StochasticSpiking,
)

__all__ = [
    "LIF",
    "NEURON_TYPES",
    "NUMPY_NEURONS",
    "ROUNDING",
    "TOLERANCE",
    "AdaptiveLIF",
    "AdaptiveLIFRate",
    "BipolarIntegrateAndFire",
    "ClippedReLU",
    "Clock",
    "Direct",
    "DiscreteLI",
    "DiscreteLIF",
    "Elementwise",
    "FixedPointIntegrateAndFire",
    "GridLIF",
    "IntegrateAndFire",
    "Izhikevich",
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
    "SoftLIFRate",
    "Softplus",
    "SpikingLeakyReLU",
    "SpikingRectifiedLinear",
    "StochasticSpiking",
    "Tanh",
    "integrate",
    "no_draws",
    "register",
]
