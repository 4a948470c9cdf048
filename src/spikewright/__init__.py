"""Spikewright: a trained network in, a spiking network out, and what every choice costs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spikewright import encoders, engines
from spikewright._windows import Windows
from spikewright.calibrate import ScaleRule, Statistics
from spikewright.conversion import Conversion
from spikewright.conversion.correction import BiasCorrection, VoltageCorrection
from spikewright.measure import After, Evaluation, Run, Window
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
    Elementwise,
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
from spikewright.search.choice import Choice
from spikewright.simulator import Simulator, full_weights
from spikewright.tuning import tune

if TYPE_CHECKING:
    from spikewright import networks, semantic
    from spikewright.calibrate.rules import (
        EnergyBudget,
        FromWeights,
        LocalThresholdBalancing,
        MinimumError,
        Percentile,
        TargetRate,
        ThresholdIteration,
    )
    from spikewright.choosing import BestRule, Candidate, best_rule
    from spikewright.conversion.diagnosis import Diagnosis
    from spikewright.curves import decoded_function, response_curves, tuning_curves
    from spikewright.engines.decoder_cache import DecoderCache
    from spikewright.frontends.nengo import NengoNetwork, from_nengo
    from spikewright.measure import energy
    from spikewright.nengo_simulator import NengoSimulator

load = Conversion.load
__version__ = "0.1.0"

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
    "BestRule",
    "BiasCorrection",
    "BipolarIntegrateAndFire",
    "Candidate",
    "Choice",
    "ClippedReLU",
    "Config",
    "Connection",
    "Conversion",
    "Convolution",
    "DecoderCache",
    "Default",
    "Dense",
    "Diagnosis",
    "Direct",
    "Elementwise",
    "EnergyBudget",
    "Ensemble",
    "Evaluation",
    "FromWeights",
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
    "NengoNetwork",
    "NengoSimulator",
    "Network",
    "NeuronType",
    "Node",
    "Oja",
    "ParametricReLU",
    "Percentile",
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
    "StochasticSpiking",
    "SumPool",
    "Synapse",
    "Take",
    "Tanh",
    "TargetRate",
    "ThresholdIteration",
    "Transform",
    "Triangle",
    "Voja",
    "VoltageCorrection",
    "Window",
    "WindowMean",
    "Windows",
    "best_rule",
    "convert",
    "decoded_function",
    "distributions",
    "encoders",
    "energy",
    "engines",
    "from_nengo",
    "full_weights",
    "load",
    "networks",
    "processes",
    "response_curves",
    "semantic",
    "solvers",
    "tune",
    "tuning_curves",
]


_RULES = (
    "EnergyBudget", "FromWeights", "LocalThresholdBalancing", "MinimumError", "Percentile",
    "TargetRate", "ThresholdIteration",
)  # fmt: skip
_PLACES = {
    **dict.fromkeys(_RULES, "spikewright.calibrate.rules"),
    **dict.fromkeys(("BestRule", "Candidate", "best_rule"), "spikewright.choosing"),
    "Diagnosis": "spikewright.conversion.diagnosis",
    "DecoderCache": "spikewright.engines.decoder_cache",
    **dict.fromkeys(("NengoNetwork", "from_nengo"), "spikewright.frontends.nengo"),
    "NengoSimulator": "spikewright.nengo_simulator",
    **dict.fromkeys(("decoded_function", "response_curves", "tuning_curves"), "spikewright.curves"),
}
"""Public names that are imported when they are asked for, so that importing is quick."""
_MODULES = {
    "energy": "spikewright.measure.energy",
    "networks": "spikewright.networks",
    "semantic": "spikewright.semantic",
}
"""Whole modules of that sort."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(_MODULES[name])
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
