"""What each layer became, in words, and what that guarantees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spikewright.network import Ensemble
from spikewright.network.neurons import IntegrateAndFire, NeuronType, RunningMeanSpiking

Status = Literal["exact", "convergent", "approximated"]


@dataclass(frozen=True)
class LayerNote:
    """What one layer became, and what that guarantees."""

    layer: str
    text: str
    status: Status


def population_note(name: str, ensemble: Ensemble) -> LayerNote:
    """What an activation became."""
    neuron_type = ensemble.neuron_type
    kind = type(neuron_type).__name__
    if not neuron_type.spiking:
        return LayerNote(name, f"{ensemble.n_neurons} {kind} neurons", "exact")
    scale = ensemble.rate_scale
    shown = f"{float(scale):g}" if scale.ndim == 0 else f"{scale.min():g}..{scale.max():g}"
    where = "gain" if neuron_type.scaling == "gain" else "spiking"
    text = f"{ensemble.n_neurons} {kind} neurons, {where} x {shown}, spike height / {shown}"
    if isinstance(neuron_type, IntegrateAndFire) and neuron_type.max_spikes_per_step is None:
        return LayerNote(name, f"{text}: mean tends to the source's", "convergent")
    if isinstance(neuron_type, RunningMeanSpiking):
        return LayerNote(name, f"{text}: mean tends to f of the mean current", "convergent")
    return LayerNote(name, f"{text}: {_why_approximate(neuron_type)}", "approximated")


def _why_approximate(neuron_type: NeuronType) -> str:
    reasons = {
        "SpikingRectifiedLinear": "negative current is thrown away at every step",
        "IntegrateAndFire": "at most "
        f"{getattr(neuron_type, 'max_spikes_per_step', None)} spikes a step, larger values clip",
        "RegularSpiking": "the mean of f of a spiky current is not f of its mean",
        "SpikingLeakyReLU": "the mean of f of a spiky current is not f of its mean",
    }
    name = type(neuron_type).__name__
    return reasons.get(name, "its rate is not the source's activation, or holds on average alone")
