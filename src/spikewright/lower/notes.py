"""What each layer became, in words, and what that guarantees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spikewright.network import Ensemble, NodeFunction
from spikewright.network.neurons import (
    BipolarIntegrateAndFire,
    Elementwise,
    IntegrateAndFire,
    NeuronType,
    RunningMeanSpiking,
    SignedIntegrateAndFire,
)
from spikewright.network.node_functions import MaxPool, ReduceMax

Status = Literal["exact", "convergent", "approximated"]
_OF_MEANS = "mean is f of the inputs' means"
_RECTIFIERS = (BipolarIntegrateAndFire, IntegrateAndFire)


@dataclass(frozen=True)
class LayerNote:
    """What one layer became, what that guarantees, and `why` in a few words."""

    layer: str
    text: str
    status: Status
    why: str = ""


def population_note(name: str, ensemble: Ensemble, behind: str = "") -> LayerNote:
    """What an activation became, or a function: `behind` says what the neurons stand behind."""
    neuron_type = ensemble.neuron_type
    kind = _named(neuron_type)
    if not neuron_type.spiking:
        why = "rate neurons answer what the layer does"
        return LayerNote(name, f"{behind}{ensemble.n_neurons} {kind} neurons", "exact", why)
    scale = ensemble.rate_scale
    shown = f"{float(scale):g}" if scale.ndim == 0 else f"{scale.min():g}..{scale.max():g}"
    where = "gain" if neuron_type.scaling == "gain" else "spiking"
    text = f"{behind}{ensemble.n_neurons} {kind} neurons, {where} x {shown}, spike height / {shown}"
    status, why = _promise(neuron_type, bool(behind))
    sent = behind and status == "convergent"
    return LayerNote(name, f"{text}: {why}", status, _OF_MEANS if sent else why)


def _promise(neuron_type: NeuronType, behind: bool) -> tuple[Status, str]:
    """What a spiking type guarantees of an activation, or `behind` a function, and why."""
    if _tends_to_source(neuron_type, behind):
        return "convergent", f"mean tends to the source's{_takes_back(neuron_type)}"
    if isinstance(neuron_type, RunningMeanSpiking) and not behind:
        jumps = isinstance(neuron_type.base_type, Elementwise) and neuron_type.base_type.curve.jumps
        but = ", save where f jumps" if jumps else ""
        return "convergent", f"mean tends to f of the mean current{but}"
    return "approximated", _why_approximate(neuron_type, behind)


def linear_note(name: str, part_of: str | None = None) -> LayerNote:
    """What a linear layer became: connections, straight into a population where one reads it."""
    where = "" if part_of is None else f", straight into {part_of}"
    why = "linear: acts on spikes as they are"
    return LayerNote(name, f"{why}{where}", "exact", why)


def function_note(name: str, function: NodeFunction) -> LayerNote:
    """What a layer became whose value is that of a node's function alone."""
    if not function.accumulate:
        what = "maximum of its inputs" if isinstance(function, MaxPool | ReduceMax) else "computed"
        return LayerNote(name, f"{what} at every step", "exact", f"{what} at every step")
    largest = isinstance(function, MaxPool | ReduceMax)
    why = "mean is the maximum of the inputs' means" if largest else _OF_MEANS
    return LayerNote(name, _sent(function), "convergent", why)


def behind_function(function: NodeFunction) -> str:
    """What stands before a population that carries a function's value."""
    return f"{_sent(function)}; behind it " if function.accumulate else "computed at every step; "


def _sent(function: NodeFunction) -> str:
    if isinstance(function, MaxPool | ReduceMax):
        return (
            "passes on the increase of the largest running sum, so its mean is the maximum of "
            "the inputs' means"
        )
    if function.homogeneous:
        return "passes on the increase of f of the running sums, so its mean is f of the means"
    return "passes on t f(m_t) - (t-1) f(m_(t-1)) of the running means, so its mean is f of them"


def _named(neuron_type: NeuronType) -> str:
    """A type's name, with the function or the type that it is made of where that says more."""
    kind = type(neuron_type).__name__
    if isinstance(neuron_type, Elementwise):
        return f"{kind} {neuron_type.function}"
    base = getattr(neuron_type, "base_type", None)
    return f"{kind} {base.function}" if isinstance(base, Elementwise) else kind


def _tends_to_source(neuron_type: NeuronType, signed: bool) -> bool:
    if isinstance(neuron_type, SignedIntegrateAndFire):
        return True
    return isinstance(neuron_type, _RECTIFIERS) and neuron_type.most_spikes is None and not signed


def _takes_back(neuron_type: NeuronType) -> str:
    return "; takes spikes back" if isinstance(neuron_type, BipolarIntegrateAndFire) else ""


def _why_approximate(neuron_type: NeuronType, behind: bool) -> str:
    if isinstance(neuron_type, _RECTIFIERS):
        if behind:
            return "values below zero are not sent"
        cap = neuron_type.most_spikes
        spikes = "1 spike" if cap == 1 else f"{cap} spikes"
        return f"at most {spikes} a step, larger values clip{_takes_back(neuron_type)}"
    reasons = {
        "SpikingRectifiedLinear": "negative current is thrown away at every step",
        "RegularSpiking": "the mean of f of a spiky current is not f of its mean",
        "SpikingLeakyReLU": "the mean of f of a spiky current is not f of its mean",
    }
    name = type(neuron_type).__name__
    return reasons.get(name, "its rate is not the source's activation, or holds on average alone")
