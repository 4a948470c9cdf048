"""What `spikewright` offers, for type checkers and editors; `__init__.py` imports it on demand."""

from spikewright import chips, engines
from spikewright._base.windows import Windows
from spikewright.chips import Chip
from spikewright.choosing import ScaleRule, Statistics
from spikewright.choosing.correction import (
    BiasCorrection,
    StepCorrection,
    VoltageCorrection,
)
from spikewright.choosing.fission import Fission
from spikewright.choosing.rules import (
    EnergyBudget,
    FromWeights,
    LocalThresholdBalancing,
    MinimumError,
    OneScale,
    Percentile,
    TargetRate,
    ThresholdIteration,
)
from spikewright.conversion import Conversion, load
from spikewright.conversion.pipeline import convert
from spikewright.conversion.verified import Verification
from spikewright.diagnosis import Diagnosis
from spikewright.engines.decoder_cache import DecoderCache
from spikewright.evaluation.mismatch import Mismatch
from spikewright.exchange import nir as nir
from spikewright.exchange import onnx as onnx
from spikewright.explorer import Explorer, explore
from spikewright.measure import (
    After,
    Evaluation,
    Run,
    Window,
    energy,
)
from spikewright.modelling import networks, semantic
from spikewright.modelling.curves import (
    decoded_function,
    response_curves,
    tuning_curves,
)
from spikewright.modelling.nengo_reader import NengoNetwork, from_nengo
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
)
from spikewright.network.learning import (
    BCM,
    PES,
    RLS,
    LearningRule,
    LearningRuleType,
    Oja,
    Voja,
)
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
from spikewright.network.synapses import (
    Alpha,
    LinearFilter,
    Lowpass,
    Synapse,
    Triangle,
    WindowMean,
)
from spikewright.network.transforms import (
    AxisMap,
    Convolution,
    ConvolutionTranspose,
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
from spikewright.quantising import Quantised
from spikewright.running import encoders
from spikewright.running.stream import Stream
from spikewright.showing import demo, plot
from spikewright.simulator import Simulator, full_weights
from spikewright.sources import keras as keras
from spikewright.sources import torch as torch
from spikewright.study.grid.sweep import sweep
from spikewright.study.halving.best_rule import best_rule
from spikewright.study.point import OperatingPoint
from spikewright.study.result import StudyResult
from spikewright.study.search.tune import tune
from spikewright.study.setting import StudySetting
from spikewright.training import Training, surrogates

__version__: str
__all__ = [
    "BCM",
    "LIF",
    "PES",
    "RLS",
    "AdaptiveLIF",
    "AdaptiveLIFRate",
    "After",
    "Alpha",
    "AxisMap",
    "BiasCorrection",
    "BipolarIntegrateAndFire",
    "Chip",
    "ClippedReLU",
    "Config",
    "Connection",
    "Conversion",
    "Convolution",
    "ConvolutionTranspose",
    "DecoderCache",
    "Default",
    "Dense",
    "Diagnosis",
    "Direct",
    "DiscreteLI",
    "DiscreteLIF",
    "Elementwise",
    "EnergyBudget",
    "Ensemble",
    "Evaluation",
    "Explorer",
    "Fission",
    "FixedPointIntegrateAndFire",
    "FromWeights",
    "GridLIF",
    "IntegrateAndFire",
    "Izhikevich",
    "LIFRate",
    "LeakyReLU",
    "LearningRule",
    "LearningRuleType",
    "LinearFilter",
    "LocalThresholdBalancing",
    "Lowpass",
    "MaxPool",
    "MinimumError",
    "Mismatch",
    "NengoNetwork",
    "NengoSimulator",
    "Network",
    "NeuronType",
    "Node",
    "Oja",
    "OneScale",
    "OperatingPoint",
    "ParametricReLU",
    "Percentile",
    "Permute",
    "Place",
    "PoissonSpiking",
    "Probe",
    "Quantised",
    "RectifiedLinear",
    "RegularSpiking",
    "Reshape",
    "Run",
    "RunningMeanSpiking",
    "Scale",
    "ScaleRule",
    "Sigmoid",
    "SignedIntegrateAndFire",
    "Simulator",
    "Slice",
    "SoftLIFRate",
    "Softplus",
    "Sparse",
    "SpikingLeakyReLU",
    "SpikingRectifiedLinear",
    "Statistics",
    "StepCorrection",
    "StochasticSpiking",
    "Stream",
    "StudyResult",
    "StudySetting",
    "SumPool",
    "Synapse",
    "Take",
    "Tanh",
    "TargetRate",
    "ThresholdIteration",
    "Training",
    "Transform",
    "Triangle",
    "Verification",
    "Voja",
    "VoltageCorrection",
    "Window",
    "WindowMean",
    "Windows",
    "best_rule",
    "chips",
    "convert",
    "decoded_function",
    "demo",
    "distributions",
    "encoders",
    "energy",
    "engines",
    "explore",
    "from_nengo",
    "full_weights",
    "load",
    "networks",
    "plot",
    "processes",
    "response_curves",
    "semantic",
    "solvers",
    "surrogates",
    "sweep",
    "tune",
    "tuning_curves",
]
