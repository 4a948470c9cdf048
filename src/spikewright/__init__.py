"""Spikewright: a trained network in, a spiking network out, and what every choice costs."""

from spikewright import encoders, engines
from spikewright._windows import Windows
from spikewright.conversion import Conversion
from spikewright.conversion.diagnosis import Diagnosis
from spikewright.measure import After, Evaluation, Run, Window
from spikewright.network import Connection, Ensemble, MaxPool, Network, Node, Probe
from spikewright.network.neurons import (
    LIF,
    BipolarIntegrateAndFire,
    ClippedReLU,
    Elementwise,
    IntegrateAndFire,
    LeakyReLU,
    LIFRate,
    NeuronType,
    ParametricReLU,
    PoissonSpiking,
    RectifiedLinear,
    RegularSpiking,
    RunningMeanSpiking,
    Sigmoid,
    SignedIntegrateAndFire,
    Softplus,
    SpikingLeakyReLU,
    SpikingRectifiedLinear,
    StochasticSpiking,
    Tanh,
)
from spikewright.network.synapses import Alpha, LinearFilter, Lowpass, Synapse
from spikewright.network.transforms import (
    AxisMap,
    Convolution,
    Dense,
    Permute,
    Place,
    Reshape,
    Scale,
    Slice,
    Sparse,
    SumPool,
    Take,
    Transform,
)
from spikewright.pipeline import convert
from spikewright.simulator import Simulator

load = Conversion.load
__version__ = "0.1.0"

__all__ = [
    "LIF",
    "After",
    "Alpha",
    "AxisMap",
    "BipolarIntegrateAndFire",
    "ClippedReLU",
    "Connection",
    "Conversion",
    "Convolution",
    "Dense",
    "Diagnosis",
    "Elementwise",
    "Ensemble",
    "Evaluation",
    "IntegrateAndFire",
    "LIFRate",
    "LeakyReLU",
    "LinearFilter",
    "Lowpass",
    "MaxPool",
    "Network",
    "NeuronType",
    "Node",
    "ParametricReLU",
    "Permute",
    "Place",
    "PoissonSpiking",
    "Probe",
    "RectifiedLinear",
    "RegularSpiking",
    "Reshape",
    "Run",
    "RunningMeanSpiking",
    "Scale",
    "Sigmoid",
    "SignedIntegrateAndFire",
    "Simulator",
    "Slice",
    "Softplus",
    "Sparse",
    "SpikingLeakyReLU",
    "SpikingRectifiedLinear",
    "StochasticSpiking",
    "SumPool",
    "Synapse",
    "Take",
    "Tanh",
    "Transform",
    "Window",
    "Windows",
    "convert",
    "encoders",
    "engines",
    "load",
]
