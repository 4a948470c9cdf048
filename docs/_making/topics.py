"""Every public name, by topic, as a user writes it: what the site's reference is made from."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection
from functools import cached_property
from operator import attrgetter
from types import ModuleType
from typing import Any

import spikewright
from spikewright import (
    chips,
    encoders,
    engines,
    errors,
    executors,
    measure,
    network,
    networks,
    plot,
    report,
    semantic,
)
from spikewright._base.registries import Registry
from spikewright.conversion import Trace, watch
from spikewright.exchange import nir, onnx
from spikewright.measure import energy, operations
from spikewright.network import distributions, processes, solvers, transforms
from spikewright.report import figures
from spikewright.showing.inspection import inspect as inspect_model
from spikewright.sources import keras as sources_keras
from spikewright.sources import torch as sources_torch
from spikewright.training import surrogates

CONVERSION = (
    "convert",
    "Quantised",
    "RateCode",
    "SignedDigits",
    "load",
    "Conversion",
    "results.Run",
    "results.Stream",
    "Evaluation",
    "DeviceNoise",
    "results",
    "results.Diagnosis",
    "results.Verification",
    "results.Training",
    "Window",
    "MeanAfter",
    "best_rule",
    "sweep",
    "tune",
    "results.StudyResult",
    "results.OperatingPoint",
    "StudySetting",
)
CALIBRATION = (
    "ScaleRule",
    "TargetRate",
    "Percentile",
    "MinimumError",
    "ConstantScale",
    "LocalThresholdBalancing",
    "ThresholdIteration",
    "EnergyBudget",
    "DataFreeCalibration",
    "BiasCorrection",
    "StepCorrection",
    "VoltageCorrection",
    "Statistics",
)
MODELLING = (
    "Network",
    "Node",
    "Ensemble",
    "Connection",
    "Probe",
    "results.LearningRule",
    "Config",
    "Default",
    "Simulator",
    "DecoderCache",
    "from_nengo",
    "results.NengoNetwork",
    "NengoSimulator",
    "curves.tuning_curves",
    "curves.response_curves",
    "curves.decoded_function",
    "MaxPool",
)
# classes whose methods are listed too
MEMBERS = (
    "Conversion",
    "results.Run",
    "Evaluation",
    "results.Diagnosis",
    "results.Verification",
    "results.Training",
    "results.StudyResult",
    "results.OperatingPoint",
    "Statistics",
    "Network",
    "Simulator",
)


def topics() -> dict[str, dict[str, Any]]:
    """Every public name of each topic, as a user writes it, with its object."""
    public = {name: getattr(spikewright, name) for name in spikewright.__all__}
    neurons = [n for n, o in public.items() if _is(o, spikewright.NeuronType)]
    synapses = [n for n, o in public.items() if _is(o, spikewright.Synapse)]
    rules = [n for n, o in public.items() if _is(o, spikewright.LearningRuleType)]

    def of(names: Any) -> dict[str, Any]:
        listed: dict[str, Any] = {}
        for name in names:
            item = attrgetter(name)(spikewright)
            listed[f"sw.{name}"] = item
            if name in MEMBERS:
                listed.update(_members(name.rpartition(".")[2], item))
        return listed

    return {
        "Conversion": {
            "spikewright.showing.inspection.inspect": inspect_model,
            **of(CONVERSION),
            **_members("Conversion.trace", Trace),
        },
        "Calibration": of(CALIBRATION),
        "Surrogate gradients": {
            **of(["surrogates"]),
            **_module("sw.surrogates", surrogates, skip=("Any",)),
        },
        "Modelling": {
            **of(MODELLING),
            "sw.network.save": network.save,
            "sw.network.load": network.load,
            **of(["engines"]),
            "sw.engines.available": engines.available,
        },
        "Distributions": {**of(["distributions"]), **_module("sw.distributions", distributions)},
        "Solvers": {**of(["solvers"]), **_module("sw.solvers", solvers)},
        "Processes": {**of(["processes"]), **_module("sw.processes", processes)},
        "Ready-made networks": {**of(["networks"]), **_module("sw.networks", networks)},
        "Semantic pointers": {**of(["semantic"]), **_module("sw.semantic", semantic)},
        "Input encoders": {**of(["encoders"]), **_module("sw.encoders", encoders)},
        "Neuron types": of(neurons),
        "Synapses": of(synapses),
        "Learning rules": of(rules),
        "Transforms": {
            **of(["transforms"]),
            **_module("sw.transforms", transforms, skip=("Shape", "transposed")),
        },
        "Measuring": _module(
            "sw.measure", measure, skip=("Evaluation", "Run", "Window", "MeanAfter")
        ),
        "Operations and energy": {
            **_module("spikewright.measure.operations", operations),
            **of(["energy"]),
            **_module("sw.energy", energy, skip=[n for n in energy.__all__ if n.isupper()]),
        },
        "Chips": {**of(["chips"]), **_module("sw.chips", chips)},
        "Pictures": {**of(["plot"]), **_module("sw.plot", plot)},
        "The demonstration": of(["demo"]),
        "The explorer": of(["explore", "results.Explorer"]),
        "Sources made for spikes": {
            **_module("sw.keras", sources_keras),
            **_module("sw.torch", sources_torch),
        },
        "Other simulators and chips": {
            **_module("sw.nir", nir, skip=("DIALECTS",)),
            **_module("sw.onnx", onnx),
        },
        "Reports": {
            **_module("spikewright.report", report),
            "spikewright.conversion.watch": watch,
            **_module("spikewright.report.figures", figures, skip=("Row", "Info")),
        },
        "Executors": _module("spikewright.executors", executors),
        "Errors": _module("sw.errors", errors),
    }


def _is_registry(item: Any) -> bool:
    kind = isinstance(item, type) and issubclass(item, Registry)
    return kind or isinstance(item, Registry)


def _is(item: Any, base: type) -> bool:
    return isinstance(item, type) and issubclass(item, base)


def _members(name: str, cls: type) -> dict[str, Any]:
    """Public methods and properties that the class, or a base beside it, defines."""
    beside = [base for base in reversed(cls.__mro__) if base.__module__ == cls.__module__]
    return {
        f"{name}.{key}": member
        for base in beside
        for key, member in vars(base).items()
        if not key.startswith("_")
        and (callable(member) or isinstance(member, property | classmethod | cached_property))
    }


def _module(prefix: str, module: ModuleType, skip: Collection[str] = ()) -> dict[str, Any]:
    """Everything public that is written in a module or its parts."""
    names = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
    return {
        f"{prefix}.{name}": item
        for name in names
        if name not in skip
        and not _is_registry(getattr(module, name))
        and getattr(item := getattr(module, name), "__module__", "").startswith("spikewright")
    }


def first_line(item: Any) -> str:
    """The first sentence of a docstring, on one line."""
    target = item.__func__ if isinstance(item, classmethod) else item
    text = inspect.getdoc(target) or ""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    sentence = re.match(r"(?:`[^`]*`|.)*?(?=\. |$)", paragraph)  # no sentence ends within code
    return (sentence[0] if sentence else "").rstrip(".:") + "."
