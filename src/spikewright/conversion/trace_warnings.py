"""Warnings in traces: lengths of runs, few spikes, arguments without effect, masks of padding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spikewright._base.amounts import counted
from spikewright._base.arguments import is_number
from spikewright.advice import advise
from spikewright.choosing.scales import has_rule
from spikewright.conversion.arguments import Wanted
from spikewright.errors import listed
from spikewright.graph import Graph
from spikewright.graph.masks import Mask
from spikewright.lower import Lowered
from spikewright.lower.choices import rounded, seconds_until_exact
from spikewright.lower.trace import Trace, kind_of, steps_in
from spikewright.network import Node, NodeFunction
from spikewright.network.neurons import NeuronType
from spikewright.network.node_functions import PythonCall
from spikewright.running.protocols import ConversionLike, Made

CHOICE = "steps"
"""The stage of entries about what was chosen for a number of steps."""

_RUN = "this run has"
_COARSE = 1.0  # spikes a neuron and run, below which the trace has an entry
_LOST = 0.25  # below which there is a warning, where no data chose the scales


def warn_of_length(conversion: ConversionLike, steps: int, dt: float, about: str = _RUN) -> None:
    """Warn of a run of another length than the right one, once per conversion and length."""
    doubt = doubt_of_length(conversion, (steps,), dt, about)
    if doubt:
        conversion.trace.warn(f"run of {steps} x {dt}" if about == _RUN else about, doubt)


def doubt_of_length(
    conversion: ConversionLike, lengths: Sequence[int], dt: float, about: str = _RUN
) -> str:
    """The sentences on runs that are read out after these numbers of steps, if none is right.

    Layers that round by themselves are exact after a number of steps; input that comes at once is
    that of a number of steps, and of a shorter run it is too much. With `sequence_step` each step
    of the sequence is a run.
    """
    lowered = conversion.lowered
    if lowered.stepping is not None:
        lengths, about = (lowered.stepping.steps,), "a step of the sequence has"
    longest = max(lengths)
    return _too_short(lowered.at_once, longest, about) or _not_exact(
        _lengths(conversion), lengths, dt, f"{about} {counted(longest, 'step')} of {dt * 1000:g} ms"
    )


def _too_short(at_once: int, steps: int, about: str) -> str:
    if steps >= at_once:
        return ""
    return (
        f"{about} {counted(steps, 'step')}, and the input of {at_once} comes at once in the first, "
        f"so that every value is {at_once / steps:.3g} times too large. Give {at_once} steps or "
        "more, or choose neurons for fewer: sw.BipolarIntegrateAndFire.in_steps(steps)"
    )


def _lengths(conversion: ConversionLike) -> dict[str, float]:
    """The seconds after which each layer is exact, of those that were promised to be and still are.

    A layer that a correction fitted to a number of steps is exact after none.
    """
    promised = {e.layer for e in conversion.trace if kind_of(e.status) == "exact after"}
    fitted = {e.layer for e in conversion.trace if e.stage == "correct"}
    found = {
        name: seconds_until_exact(conversion.canonical[name].layer, ensemble)
        for name, ensemble in conversion.populations().items()
        if name in promised - fitted
    }
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def _not_exact(found: Mapping[str, float], lengths: Sequence[int], dt: float, has: str) -> str:
    """The sentences on layers that are exact after none of the numbers of steps, or nothing."""
    steps = {name: steps_in(seconds, dt) for name, seconds in found.items()}
    numbers = set(steps.values())
    if not found or (len(numbers) == 1 and numbers <= set(lengths)):
        return ""
    times = {name: _time(found[name], dt) for name in found}
    if len(set(times.values())) > 1:
        each = listed([f"{name} after {time}" for name, time in times.items()])
        longest = max(found.values())
        return (
            f"layers that round are exact after different numbers of steps ({each}), so that no "
            f"run has the source's values, and {has}. With the firing-rate scale levels / "
            f"(threshold x {longest:.6g}) for each of them all are exact after "
            f"{_time(longest, dt)}"
        )
    time = next(iter(times.values()))
    return (
        f"layers that round ({listed(list(found))}) are exact after {time} and at no other "
        f"length, and {has}: outputs are not the source's. Run {time}, or train the source with "
        "as many levels as there are to be steps"
    )


def _time(seconds: float, dt: float) -> str:
    """A number of steps, or milliseconds where no whole number of steps lasts so long."""
    steps = steps_in(seconds, dt)
    return f"{seconds * 1000:.6g} ms" if steps is None else counted(steps, "step")


def trace_choice(conversion: Made, why: str) -> Made:
    """Add the choice for a number of steps to the trace, with the reason; return the conversion."""
    coding, times = conversion.coding, conversion.lowered.times
    steps = counted(coding.steps or 0, "step")
    text = f"firing rates of one spike a step in {steps}, means corrected{why}"
    if times is not None:
        waits = sorted({times.silent_steps(place) for place in conversion.populations().values()})
        text = (
            f"signed digits in {steps} of a layer and {times.network_steps} of the network; "
            f"layers wait {waits[0]} to {waits[-1]} of them"
        )
    conversion.trace.add(CHOICE, "", text, "exact")
    return conversion


def warn_of_unit_scale(conversion: ConversionLike, example: bool = False) -> None:
    """Warn once that firing rates have a scale of 1, since neither samples nor a number chose one.

    Layers that round bring their own. `example` tells whether an example input was given.
    """
    given = conversion.arguments
    chosen = ("scale_firing_rates", "coding", "steps", "calibration", "weights", "sequence_step")
    if given["spiking"] is not True or any(given.get(name) is not None for name in chosen):
        return
    spiking = [n for n, e in conversion.populations().items() if e.neuron_type.spiking]
    if any(rounded(conversion.canonical[name].layer) is None for name in spiking):
        advice = advise("rates that nothing chose", example="example_input=x[:1], " * example)
        conversion.trace.warn("run", f"a firing-rate scale of 1 gives few spikes. {advice}")


def warn_of_run(
    conversion: ConversionLike, means: Mapping[str, float], steps: int, dt: float
) -> None:
    """Warn where a run of this length, or with so few spikes, says little of the source."""
    warn_of_length(conversion, steps, dt)
    layers = conversion.populations()
    scales = conversion.arguments.get("scale_firing_rates")
    known = {
        name: mean
        for name, mean in means.items()
        if name in layers and rounded(conversion.canonical[name].layer) is None
        if mean == 0.0 or not layers[name].neuron_type.sends_digits  # which say more than spikes
    }
    warn_of_few_spikes(conversion.trace, scales, known, steps, dt)


def warn_of_few_spikes(
    trace: Trace, scales: Any, means: Mapping[str, float], steps: int, dt: float
) -> None:
    """Leave a warning for each layer whose neurons spike less than once on average.

    `means` are spikes a neuron in the whole run, by layer; `scales` is the argument of `convert`.
    Rules account for few spikes themselves: of their choices only silence gives a warning.
    """
    coarse = {name: mean for name, mean in means.items() if mean < _COARSE}
    for name, mean in coarse.items():
        text = (
            f"{mean:.2g} spikes a neuron in {steps} steps of {dt} s: values are coarse; "
            "raise scale_firing_rates or steps"
        )
        trace.add("run", name, text, "warning")
    limit = 0.0 if isinstance(scales, Mapping) or has_rule(scales) else _LOST
    lost = [f"{name} {mean:.2g}" for name, mean in coarse.items() if mean <= limit]
    if lost:
        trace.warn(
            "run",
            f"neurons hardly spike in {steps} steps of {dt} s, so that outputs say little; spikes "
            f"a neuron: {listed(lost)}. {advise('few spikes', steps=steps)}",
        )


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
        trace.warn(name, f"{name}={_short(value)} changes nothing: {reason}. {advice}")


def warn_of_no_spikes(trace: Trace, wanted: Wanted, lowered: Lowered, graph: Graph) -> None:
    """Warn where a network that is to spike has no neuron that does, naming what stays analog."""
    ensembles = lowered.network.all_ensembles
    if not _asks(wanted["spiking"]) or any(e.neuron_type.spiking for e in ensembles):
        return
    analog = _analog(lowered, graph)
    if not analog:
        trace.warn("spiking", f"{_asked(wanted)}, and the model has no activations: nothing spikes")
        return
    advice = (
        'Layers that fallback="python" calls hold their activations: replace them by layers that '
        "can be read, as conversion.trace says"
        if any(map(_is_call, _functions(lowered)))
        else "Choose spiking neuron types, or read a layer before the last activation"
    )
    trace.warn(
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


_STAGE = "padding"


def trace_masks(trace: Trace, lowered: Lowered) -> None:
    """Add the positions of padding to the trace; warn if an input called a mask hides nothing."""
    found = () if lowered.masks is None else lowered.masks.found
    for mask in found:
        trace.add(_STAGE, mask.node, _text(mask), "exact")
        if mask.reached:
            names = listed([name for name in mask.reached if name in lowered.layers])
            text = f"{names} depends on padding all the same, as in the source, and counts"
            trace.add(_STAGE, mask.node, text, "warning")
    known = {mask.node for mask in found}
    for name in lowered.inputs:
        if "mask" in name.lower() and name not in known:
            text = "neither zero nor one in it hides positions of other inputs: all of them count"
            trace.add(_STAGE, name, text, "warning")


def _text(mask: Mask) -> str:
    inputs = ", ".join(mask.axes)
    return (
        f"positions of {inputs} at which it is {mask.hides:g} are padding, which counts in no "
        "statistic, threshold, spike count, energy or error"
    )
