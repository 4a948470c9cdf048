"""Spikewright: a trained network in, a spiking network out, and what every choice costs.

Public names are imported when they are asked for, so that importing the package is quick.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

__version__ = "0.1.0"

_NAMES = {
    "choosing": "ScaleRule Statistics",
    "choosing.rules": """
        ConstantScale DataFreeCalibration EnergyBudget LocalThresholdBalancing MinimumError
        Percentile TargetRate ThresholdIteration
    """,
    "conversion": "Conversion convert load",
    "explorer": "explore",
    "choosing.coding": "RateCode SignedDigits",
    "choosing.correction": "BiasCorrection StepCorrection VoltageCorrection",
    "evaluation.device_noise": "DeviceNoise",
    "engines.decoder_cache": "DecoderCache",
    "modelling.nengo_reader": "from_nengo",
    "measure": "MeanAfter Evaluation Window",
    "modelling.nengo_simulator": "NengoSimulator",
    "network": """
        Config Connection Default Ensemble MaxPool Network Node Probe distributions processes
        solvers
    """,
    "network.learning": "BCM LearningRuleType Oja PES RLS Voja",
    "network.neurons": """
        AdaptiveLIF AdaptiveLIFRate BipolarIntegrateAndFire ClippedReLU Direct DiscreteLI
        DiscreteLIF Elementwise FixedPointIntegrateAndFire GridLIF IntegrateAndFire Izhikevich
        LIF LIFRate LeakyReLU NeuronType ParametricReLU PoissonSpiking RectifiedLinear
        RegularSpiking RunningMeanSpiking Sigmoid SignedIntegrateAndFire SoftLIFRate Softplus
        SpikingLeakyReLU SpikingRectifiedLinear StochasticSpiking Tanh
    """,
    "network.synapses": "Alpha LinearFilter Lowpass Synapse Triangle WindowMean",
    "network.transforms": "Convolution Dense Sparse Transform",
    "quantising": "Quantised",
    "study.best_rule": "best_rule",
    "study.point": "StudySetting",
    "simulator": "Simulator",
    "study.sweep": "sweep",
    "study.search.tune": "tune",
}
"""Where each public name is; `__init__.pyi` tells type checkers the same."""

_MODULES = {
    "chips": "chips",
    "curves": "modelling.curves",
    "demo": "showing.demo",
    "encoders": "running.encoders",
    "energy": "measure.energy",
    "engines": "engines",
    "networks": "modelling.networks",
    "plot": "showing.plot",
    "results": "results",
    "semantic": "modelling.semantic",
    "surrogates": "training.surrogates",
    "transforms": "network.transforms",
}
"""Public names that are modules."""

_OF_FRAMEWORKS = {
    "keras": "sources.keras",
    "nir": "exchange.nir",
    "onnx": "exchange.onnx",
    "torch": "sources.torch",
}
"""Public modules named as the packages that they import.

`from spikewright import *` leaves them out: it would hide the packages.
"""

_PLACES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = sorted({*_PLACES, *_MODULES})


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        found = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    elif not name.startswith("__") and find_spec(
        module := f"{__name__}.{(_MODULES | _OF_FRAMEWORKS).get(name, name)}"
    ):
        found = import_module(module)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_OF_FRAMEWORKS})
