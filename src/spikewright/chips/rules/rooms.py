"""Rules about room: of cores, and of the whole chip."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from spikewright.chips.case import Case
from spikewright.chips.chip import MEMORIES
from spikewright.chips.layers import Layer
from spikewright.chips.placing.matching import words
from spikewright.chips.rules.registry import Breach, Placements, fewer, rule


@rule("limits.cores")
def _cores(case: Case, placed: Placements, most: int) -> Iterator[Breach]:
    """Enough cores for all layers; a layer that one memory has no room for is another rule's."""
    if case.chip.placement == "one layer a core":
        yield from _without_core(case, placed, most)
        return
    taken = sum(each.cores for each in placed.values())
    if taken > most:
        yield Breach("", f"it takes {taken:,} cores, of {most:,}", fewer(taken, most, "cores"))


def _without_core(case: Case, placed: Placements, most: int) -> Iterator[Breach]:
    """Layers that each memory has room for on some core, and that have none all the same."""
    limits = case.chip.limits
    for layer in case.layers:
        needed = words(case, layer)
        rooms = {name: getattr(limits, name) or (needed[name],) for name in MEMORIES}
        if placed[layer.name].cores or any(needed[name] > max(rooms[name]) for name in MEMORIES):
            continue
        if placed[layer.name].fits:
            reason = f"no core with room for it is left of {most}, after the other layers"
            yield Breach(layer.name, reason, "fewer or smaller layers")
        else:
            weights, neurons = (f"{needed[name]:,}" for name in MEMORIES)
            both = f"{weights} words of weights and {neurons} of neurons"
            remedy = "fewer channels, or a smaller image or kernel"
            yield Breach(layer.name, f"no core of {most} has both {both}", remedy)


_ROOMS = {
    "core_neurons": "neurons",
    "core_axons_in": "axons in",
    "core_axons_out": "axons out",
    "core_synapse_bits": "bits of weights",
    "core_bytes": "bytes",
}


def _room(name: str) -> Callable[[Case, Placements, int], Iterator[Breach]]:
    """A rule about the room on a core, of layers that are cut."""

    def check(case: Case, placed: Placements, most: int) -> Iterator[Breach]:
        for layer, each in placed.items():
            share = each.shares.get(name, 0.0)
            if share > 1:
                needed = round(share * most)
                who = f"one of its {each.cores:,} parts" if each.cores else "a neuron alone"
                reason = f"{who} takes {needed:,} {_ROOMS[name]}, of {most:,} on a core"
                yield Breach(layer, reason, fewer(needed, most, _ROOMS[name]))

    return check


for _name in _ROOMS:
    rule(f"limits.{_name}")(_room(_name))


def _words(name: str) -> Callable[[Case, Placements, tuple[int, ...]], Iterator[Breach]]:
    """A rule about a memory of cores that hold a layer each."""

    def check(case: Case, placed: Placements, rooms: tuple[int, ...]) -> Iterator[Breach]:
        for layer in case.layers:
            needed, most = words(case, layer)[name], max(rooms)
            if needed > most:
                kind = "weights" if name == "core_kernel_words" else "neurons"
                reason = f"its {kind} take {needed:,} words, of at most {most:,}"
                yield Breach(layer.name, reason, _smaller(case, layer, name, needed / most))

    return check


for _name in MEMORIES:
    rule(f"limits.{_name}")(_words(_name))


def _smaller(case: Case, layer: Layer, name: str, share: float) -> str:
    """The remedy: fewer channels, or a smaller image where that does not help."""
    image = case.image(layer)
    channels = 1 if image is None else image.channels
    if name == "core_kernel_words":
        channels = 2 ** (channels - 1).bit_length()  # rounded up to a power of two
    fitting = int(channels / share)
    if name == "core_kernel_words" and fitting:
        fitting = 2 ** (fitting.bit_length() - 1)
    if image is None or fitting < 1:
        return "a smaller image or kernel, or fewer input channels"
    return fewer(image.channels, fitting, "channels")


def _values(
    what: str, unit: str, of: Callable[[Case], int]
) -> Callable[[Case, Placements, int], Iterator[Breach]]:
    """A rule about a number of values of the whole network."""

    def check(case: Case, placed: Placements, most: int) -> Iterator[Breach]:
        found = of(case)
        if found > most:
            reason = f"it has {found:,} {what}, of at most {most:,}"
            yield Breach("", reason, fewer(found, most, unit))

    return check


def _neurons_of(layers: list[Layer]) -> int:
    return sum(layer.neurons for layer in layers)


def _outputs(case: Case) -> list[Layer]:
    return [layer for layer in case.layers if layer.name in case.network.last]


def _read_input(case: Case) -> int:
    inputs = case.network.inputs
    return _neurons_of(
        [la for la in case.network.hidden if any(path.origin in inputs for path in la.paths)]
    )


def _read_by_outputs(case: Case) -> int:
    origins = {path.origin for layer in _outputs(case) for path in layer.paths}
    return _neurons_of([layer for layer in case.network.hidden if layer.name in origins])


def _inputs(case: Case) -> int:
    return sum(map(math.prod, case.network.inputs.values()))


rule("limits.inputs")(_values("inputs", "inputs", _inputs))
rule("limits.hidden")(
    _values("hidden neurons", "hidden neurons", lambda case: _neurons_of(case.network.hidden))
)
rule("limits.outputs")(
    _values("output neurons", "output neurons", lambda case: _neurons_of(_outputs(case)))
)
rule("limits.neurons")(_values("neurons", "neurons", lambda case: _neurons_of([*case.layers])))
rule("limits.hidden_from_input")(
    _values("hidden neurons that read the input", "such neurons", _read_input)
)
rule("limits.hidden_to_output")(
    _values("hidden neurons that the output reads", "such neurons", _read_by_outputs)
)
