"""Sentences that a verdict rests on: what a profile assumes, and where neurons differ."""

from __future__ import annotations

from collections.abc import Iterator

from spikewright.chips.case import Case
from spikewright.chips.layers import Layer
from spikewright.errors import listed
from spikewright.network.neurons import IntegrateAndFire


def assumptions_of(case: Case) -> tuple[str, ...]:
    """The sentences of the chip's profile, and those about this network."""
    about = (_readouts, _step_biases, _loops, _resets, _floors, _caps)
    return (*case.chip.assumptions, *(said for each in about for said in each(case)))


def _named(layers: list[Layer]) -> str:
    return listed([repr(layer.name) for layer in layers])


def _readouts(case: Case) -> Iterator[str]:
    found = [layer for layer in case.layers if layer.neuron_type is None]
    if found:
        yield (
            f"{_named(found)} has no neurons in the network: its values are read out. On the chip "
            "it is laid out as a layer of neurons."
        )


def _step_biases(case: Case) -> Iterator[str]:
    """Biases of each step, which are memory where neurons are programs, and refused elsewhere."""
    found = [layer for layer in case.layers if layer.step_biases is not None]
    if case.chip.limits.core_bytes is not None and found:
        yield (
            f"The program of {_named(found)} adds a bias of its own in each of the first steps, "
            "counted from the start of every input: they take the memory of biases."
        )


def _loops(case: Case) -> Iterator[str]:
    """Cores that read a layer from behind are not counted for it."""
    counted = case.chip.limits.core_axons_out or case.chip.placement == "crossbar"
    place = {layer.name: index for index, layer in enumerate(case.layers)}
    back = [
        layer
        for layer in case.layers
        if any(place.get(path.origin, -1) >= place[layer.name] for path in layer.paths)
    ]
    if counted and back:
        yield f"Recurrent paths to {_named(back)} take no more axons or neurons of their senders."


def _resets(case: Case) -> Iterator[str]:
    resets = case.chip.arithmetic.resets
    kinds = [(layer, kind) for layer in case.layers if (kind := layer.neuron_type) is not None]
    zero = [layer for layer, kind in kinds if kind.hard_reset]
    soft = [layer for layer, kind in kinds if kind.spiking and not kind.hard_reset]
    if resets == ("zero",) and soft:
        yield (
            f"A spike sets the chip's neurons to zero, where it takes the threshold from those of "
            f"{_named(soft)}: their rates are lower on the chip."
        )
    if resets == ("subtract",) and zero:
        yield (
            f"A spike takes the threshold from the chip's neurons, where it sets those of "
            f"{_named(zero)} to zero: their rates are higher on the chip."
        )


def _floors(case: Case) -> Iterator[str]:
    """A floor of the voltage, where the network's neurons have none or another."""
    floor = case.chip.arithmetic.voltage_floor
    other = [
        layer
        for layer in case.layers
        if isinstance(layer.neuron_type, IntegrateAndFire)
        and layer.neuron_type.voltage_floor != floor
    ]
    if floor is not None and other:
        yield (
            f"The chip's voltages end at {case.chip.arithmetic.floor}, those of {_named(other)} do "
            f"not: sw.IntegrateAndFire(voltage_floor={floor:g}) shows what that costs."
        )


def _caps(case: Case) -> Iterator[str]:
    """Caps on the spikes of a step; layers with one cap are named together."""
    capped: dict[int, list[Layer]] = {}
    for layer in case.layers:
        arithmetic, last = case.chip.arithmetic, layer.name in case.network.last
        cap = arithmetic.output_spikes if last else arithmetic.spikes
        if cap is not None and _may_exceed(layer, cap):
            capped.setdefault(cap, []).append(layer)
    for cap, layers in capped.items():
        yield (
            f"Neurons of {_named(layers)} send at most {cap} spike{'s' * (cap != 1)} a step on the "
            f"chip, and may send more in the network: max_spikes_per_step={cap} shows what that "
            "costs."
        )


def _may_exceed(layer: Layer, cap: int) -> bool:
    if layer.neuron_type is None or not layer.neuron_type.spiking:
        return False
    most = layer.neuron_type.most_spikes
    return most is None or most > cap
