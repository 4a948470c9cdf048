"""What `spikewright` offers, for type checkers and editors; `__init__.py` imports it on demand."""

from spikewright import chips, engines, results
from spikewright.choosing import ScaleRule, Statistics
from spikewright.choosing.coding import RateCode, SignedDigits
from spikewright.choosing.correction import BiasCorrection, StepCorrection, VoltageCorrection
from spikewright.choosing.rules import (
    ConstantScale,
    DataFreeCalibration,
    EnergyBudget,
    LocalThresholdBalancing,
    MinimumError,
    Percentile,
    TargetRate,
    ThresholdIteration,
)
from spikewright.conversion import Conversion, convert, load
from spikewright.engines.decoder_cache import DecoderCache
from spikewright.evaluation.device_noise import DeviceNoise
from spikewright.exchange import nir as nir
from spikewright.exchange import onnx as onnx
from spikewright.explorer import explore
from spikewright.measure import Evaluation, MeanAfter, Window, energy
from spikewright.modelling import curves, networks, semantic
from spikewright.modelling.nengo_reader import from_nengo
from spikewright.modelling.nengo_simulator import NengoSimulator
from spikewright.network import (
    Config,
    Connection,
    Default,
    Ensemble,
    MaxPool,
    Network,
    Node,
    Probe,
    distributions,
    processes,
    solvers,
    transforms,
)
from spikewright.network.learning import BCM, PES, RLS, LearningRuleType, Oja, Voja
from spikewright.network.neurons import (
    LIF,
    AdaptiveLIF,
    AdaptiveLIFRate,
    BipolarIntegrateAndFire,
    ClippedReLU,
    Direct,
    DiscreteLI,
    DiscreteLIF,
    Elementwise,
    FixedPointIntegrateAndFire,
    GridLIF,
    IntegrateAndFire,
    Izhikevich,
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
    SoftLIFRate,
    Softplus,
    SpikingLeakyReLU,
    SpikingRectifiedLinear,
    StochasticSpiking,
    Tanh,
)
from spikewright.network.synapses import Alpha, LinearFilter, Lowpass, Synapse, Triangle, WindowMean
from spikewright.network.transforms import Convolution, Dense, Sparse, Transform
from spikewright.quantising import Quantised
from spikewright.running import encoders
from spikewright.showing import demo, plot
from spikewright.simulator import Simulator
from spikewright.sources import keras as keras
from spikewright.sources import torch as torch
from spikewright.study.best_rule import best_rule
from spikewright.study.point import StudySetting
from spikewright.study.search.tune import tune
from spikewright.study.sweep import sweep
from spikewright.training import surrogates

__version__: str
__all__ = [
    "BCM",
    "LIF",
    "PES",
    "RLS",
    "AdaptiveLIF",
    "AdaptiveLIFRate",
    "Alpha",
    "BiasCorrection",
    "BipolarIntegrateAndFire",
    "ClippedReLU",
    "Config",
    "Connection",
    "ConstantScale",
    "Conversion",
    "Convolution",
    "DataFreeCalibration",
    "DecoderCache",
    "Default",
    "Dense",
    "DeviceNoise",
    "Direct",
    "DiscreteLI",
    "DiscreteLIF",
    "Elementwise",
    "EnergyBudget",
    "Ensemble",
    "Evaluation",
    "FixedPointIntegrateAndFire",
    "GridLIF",
    "IntegrateAndFire",
    "Izhikevich",
    "LIFRate",
    "LeakyReLU",
    "LearningRuleType",
    "LinearFilter",
    "LocalThresholdBalancing",
    "Lowpass",
    "MaxPool",
    "MeanAfter",
    "MinimumError",
    "NengoSimulator",
    "Network",
    "NeuronType",
    "Node",
    "Oja",
    "ParametricReLU",
    "Percentile",
    "PoissonSpiking",
    "Probe",
    "Quantised",
    "RateCode",
    "RectifiedLinear",
    "RegularSpiking",
    "RunningMeanSpiking",
    "ScaleRule",
    "Sigmoid",
    "SignedDigits",
    "SignedIntegrateAndFire",
    "Simulator",
    "SoftLIFRate",
    "Softplus",
    "Sparse",
    "SpikingLeakyReLU",
    "SpikingRectifiedLinear",
    "Statistics",
    "StepCorrection",
    "StochasticSpiking",
    "StudySetting",
    "Synapse",
    "Tanh",
    "TargetRate",
    "ThresholdIteration",
    "Transform",
    "Triangle",
    "Voja",
    "VoltageCorrection",
    "Window",
    "WindowMean",
    "best_rule",
    "chips",
    "convert",
    "curves",
    "demo",
    "distributions",
    "encoders",
    "energy",
    "engines",
    "explore",
    "from_nengo",
    "load",
    "networks",
    "plot",
    "processes",
    "results",
    "semantic",
    "solvers",
    "surrogates",
    "sweep",
    "transforms",
    "tune",
]
