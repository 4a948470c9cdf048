"""Warnings of arguments of `convert` that change nothing in the network that was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spikewright._base.arguments import is_number
from spikewright.conversion.arguments import Wanted
from spikewright.errors import listed
from spikewright.graph import Graph
from spikewright.lower import Lowered
from spikewright.lower.trace import Trace
from spikewright.network import Node, NodeFunction
from spikewright.network.neurons import NeuronType
from spikewright.network.node_functions import PythonCall

_Acts = Callable[[NeuronType], bool]
ACT_ON: Mapping[str, tuple[_Acts, str]] = {
    "scale_firing_rates": (
        lambda kind: kind.spiking or kind.scaling == "skewed",
        "no neuron of the network spikes, and rates mean the same at any scale",
    ),
    "initial_voltage": (lambda kind: kind.has_voltage, "no neuron of the network has a voltage"),
    "max_spikes_per_step": (lambda kind: kind.spiking, "no neuron of the network spikes"),
    "synapse": (lambda kind: True, ""),
    "bias_correction": (lambda kind: True, ""),
}
"""For each argument about neurons the types that it acts on, and why it acts on no others."""


def warn_of_no_effect(trace: Trace, wanted: Wanted, lowered: Lowered) -> None:
    """Warn of each argument about neurons that acts on none of the network's.

    A scale of 1 is taken to be no choice.
    """
    kinds = [ensemble.neuron_type for ensemble in lowered.network.all_ensembles]
    for name, (acts, why) in ACT_ON.items():
        value = wanted.given.get(name)
        neutral = name == "scale_firing_rates" and is_number(value) and value == 1
        if value is None or neutral or any(map(acts, kinds)):
            continue
        reason = why if kinds else "no layer of the network has neurons"
        advice = (
            "Leave it out" if wanted.neurons.is_spiking else "Give spiking=True, or leave it out"
        )
        trace.say(name, f"{name}={_short(value)} changes nothing: {reason}. {advice}")


def warn_of_no_spikes(trace: Trace, wanted: Wanted, lowered: Lowered, graph: Graph) -> None:
    """Warn where a network that is to spike has no neuron that does, naming what stays analog."""
    ensembles = lowered.network.all_ensembles
    if not _asks(wanted["spiking"]) or any(e.neuron_type.spiking for e in ensembles):
        return
    analog = _analog(lowered, graph)
    if not analog:
        trace.say("spiking", f"{_asked(wanted)}, and the model has no activations: nothing spikes")
        return
    advice = (
        'Layers that fallback="python" calls hold their activations: replace them by layers that '
        "can be read, as conversion.trace says"
        if any(map(_is_call, _functions(lowered)))
        else "Choose spiking neuron types, or read a layer before the last activation"
    )
    trace.say(
        "spiking",
        f"{_asked(wanted)}, and no neuron does: 0 of {len(analog)} activations spike, and these "
        f"layers hold those that stay analog: {listed(analog)}. {advice}",
    )


def _analog(lowered: Lowered, graph: Graph) -> list[str]:
    """Layers with rate neurons, with a function that a node computes, and of what is read out."""
    rates = [e.label or "" for e in lowered.network.all_ensembles]
    computed = [(node.label or "").removesuffix(".function") for node in _functions(lowered)]
    read_out = [graph.outputs[output] for output in lowered.readouts]
    return list(dict.fromkeys([*rates, *computed, *read_out]))


def _functions(lowered: Lowered) -> list[Node]:
    return [n for n in lowered.network.all_nodes if isinstance(n.output, NodeFunction)]


def _is_call(node: Node) -> bool:
    return isinstance(node.output, PythonCall)


def _asks(spiking: Any) -> bool:
    """Whether neurons are to spike: some of the chosen types do, or all by default."""
    if isinstance(spiking, Mapping):
        return any(kind.spiking for kind in spiking.values())
    return bool(spiking)


def _asked(wanted: Wanted) -> str:
    return f"spiking={_short(wanted['spiking'])} asks for neurons that spike"


def _short(value: Any) -> str:
    """A value in a few characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
