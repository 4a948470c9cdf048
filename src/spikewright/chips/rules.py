"""The rules of chips: what a network may be, each rule with the number that it is about."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from spikewright._base.windows import Windows
from spikewright.chips.broken import Breach, Placements, fewer, rule
from spikewright.chips.case import ChipMapping, ConvolutionPath
from spikewright.chips.chip import MEMORIES
from spikewright.chips.layers import ChipLayer
from spikewright.chips.placing import words
from spikewright.network import MaxPool


def _each(case: ChipMapping) -> Iterator[tuple[ChipLayer, ConvolutionPath]]:
    """Every convolution of every layer."""
    for layer in case.layers:
        for kernel in case.convolutions(layer):
            yield layer, kernel


def _allowed(numbers: tuple[int, ...]) -> str:
    return f"the chip has {', '.join(map(str, numbers))}"


def _at_most(
    what: str, units: str, sizes: Callable[[ConvolutionPath], tuple[int, ...]]
) -> Callable[[ChipMapping, Placements, int], Iterator[Breach]]:
    """A rule about the largest of some sizes of each convolution."""

    def check(case: ChipMapping, placed: Placements, most: int) -> Iterator[Breach]:
        for layer, kernel in _each(case):
            largest = max(sizes(kernel))
            if largest > most:
                reason = f"{what} {largest:,} {units}, of at most {most:,}"
                yield Breach(layer.name, reason, fewer(largest, most, units))

    return check


rule("limits.channels")(
    _at_most("it reads or makes", "channels", lambda k: (k.reads.channels, k.makes.channels))
)
rule("limits.kernel_side")(_at_most("its kernel has a side of", "taps", lambda k: k.size))
rule("limits.input_side")(_at_most("it reads an image of", "pixels", lambda k: k.reads.sides))
rule("limits.output_side")(_at_most("it makes an image of", "pixels", lambda k: k.makes.sides))


def _one_of(
    what: str, numbers: Callable[[ConvolutionPath], tuple[int, ...]], remedy: str
) -> Callable[[ChipMapping, Placements, tuple[int, ...]], Iterator[Breach]]:
    """A rule about the numbers of a convolution that a chip has."""

    def check(case: ChipMapping, placed: Placements, allowed: tuple[int, ...]) -> Iterator[Breach]:
        for layer, kernel in _each(case):
            wrong = [n for n in numbers(kernel) if n not in allowed]
            if wrong and not kernel.whole:
                reason = f"{what} {wrong[0]}; {_allowed(allowed)}"
                yield Breach(layer.name, reason, remedy)

    return check


rule("limits.kernel_sides")(
    _one_of("its kernel has a side of", lambda k: k.size, "a kernel of another size")
)
rule("limits.strides")(_one_of("its stride is", lambda k: k.stride, "another stride"))
rule("limits.paddings")(
    _one_of(
        "it is padded by", lambda k: tuple(n for pair in k.padding for n in pair), "less padding"
    )
)


@rule("limits.pool_sides")
def _pools(case: ChipMapping, placed: Placements, allowed: tuple[int, ...]) -> Iterator[Breach]:
    for layer, kernel in _each(case):
        for windows in kernel.sums:
            if not _side_by_side(windows) or set(windows.size) - set(allowed):
                shown = " x ".join(map(str, windows.size))
                reason = f"it reads sums over windows of {shown}; {_allowed(allowed)}, side by side"
                yield Breach(layer.name, reason, "another window, or a convolution with a stride")


def _side_by_side(windows: Windows) -> bool:
    """True for square windows next to each other, without padding."""
    square = len(set(windows.size)) == 1 and windows.stride == windows.size
    return square and not any(map(any, windows.padding))


@rule("limits.max_pool_side")
def _maxima(case: ChipMapping, placed: Placements, most: int) -> Iterator[Breach]:
    limit = "the chip has none" if most == 1 else f"the chip has {most} x {most}"
    for layer in case.layers:
        for stage in (stage for path in layer.paths for stage in path.stages):
            if isinstance(stage, MaxPool) and max(stage.windows.size) > most:
                shown = " x ".join(map(str, stage.windows.size))
                reason = f"it reads maxima over windows of {shown}; {limit}"
                remedy = 'average in place of max pooling: max_pool="average"'
                yield Breach(layer.name, reason, remedy)


@rule("limits.dense_inputs")
def _dense(case: ChipMapping, placed: Placements, most: int) -> Iterator[Breach]:
    for layer, kernel in _each(case):
        reads = kernel.reads.channels * kernel.reads.height * kernel.reads.width
        if kernel.whole and reads > most:
            reason = f"its matrix reads {reads:,} values, of at most {most:,}"
            yield Breach(layer.name, reason, fewer(reads, most, "values"))


@rule("limits.destinations")
def _destinations(case: ChipMapping, placed: Placements, most: int) -> Iterator[Breach]:
    for layer in case.layers:
        readers = len(case.network.readers(layer.name))
        if readers > most:
            reason = f"{readers} layers read it, of at most {most}"
            yield Breach(layer.name, reason, fewer(readers, most, "readers"))


@rule("limits.fan_in")
def _fan_in(case: ChipMapping, placed: Placements, most: int) -> Iterator[Breach]:
    for layer in case.layers:
        found = int(case.fan_in(layer).max(initial=0))
        if found > most:
            reason = f"a neuron has {found:,} weights that are not zero, of at most {most:,}"
            yield Breach(layer.name, reason, fewer(found, most, "weights"))


@rule("limits.fan_out")
def _fan_out(case: ChipMapping, placed: Placements, most: int) -> Iterator[Breach]:
    hidden = case.network.hidden
    for layer in hidden:
        to = [reader for reader in hidden if reader in case.network.readers(layer.name)]
        found = case.most_out(layer, to)
        if found > most:
            reason = f"a neuron sends to {found:,} hidden neurons, of at most {most:,}"
            yield Breach(layer.name, reason, fewer(found, most, "weights"))


@rule("arithmetic.resets")
def _neurons(case: ChipMapping, placed: Placements, resets: tuple[str, ...]) -> Iterator[Breach]:
    for layer in case.layers:
        neurons = layer.neuron_type
        if neurons is None:
            continue
        kind = type(neurons).__name__
        if not neurons.spiking:
            remedy = "spiking neurons: convert with spiking=True"
            yield Breach(layer.name, f"{kind} neurons send rates; the chip's send spikes", remedy)
        elif neurons.negative and not neurons.sends_digits:
            remedy = "neurons whose spikes have one sign, such as sw.IntegrateAndFire()"
            reason = f"{kind} neurons send spikes of either sign; the chip's have one"
            yield Breach(layer.name, reason, remedy)


@rule("arithmetic.decay")
def _leak(case: ChipMapping, placed: Placements, decay: str) -> Iterator[Breach]:
    if decay != "none":
        return
    for layer in case.layers:
        if layer.neuron_type is not None and layer.neuron_type.leaks:
            reason = f"{type(layer.neuron_type).__name__} neurons leak; the chip's do not"
            yield Breach(layer.name, reason, "integrators: sw.IntegrateAndFire()")
        if any(path.filtered for path in layer.paths):
            reason = "a synapse filters what it reads; the chip has no filters"
            yield Breach(layer.name, reason, "connections without a synapse: synapse=None")


@rule("limits.cores")
def _cores(case: ChipMapping, placed: Placements, most: int) -> Iterator[Breach]:
    """Enough cores for all layers; a layer that one memory has no room for is another rule's."""
    if case.chip.placement == "one layer a core":
        yield from _without_core(case, placed, most)
        return
    taken = sum(each.cores for each in placed.values())
    if taken > most:
        yield Breach("", f"it takes {taken:,} cores, of {most:,}", fewer(taken, most, "cores"))


def _without_core(case: ChipMapping, placed: Placements, most: int) -> Iterator[Breach]:
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


def _room(name: str) -> Callable[[ChipMapping, Placements, int], Iterator[Breach]]:
    """A rule about the room on a core, of layers that are cut."""

    def check(case: ChipMapping, placed: Placements, most: int) -> Iterator[Breach]:
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


def _words(name: str) -> Callable[[ChipMapping, Placements, tuple[int, ...]], Iterator[Breach]]:
    """A rule about a memory of cores that hold a layer each."""

    def check(case: ChipMapping, placed: Placements, rooms: tuple[int, ...]) -> Iterator[Breach]:
        for layer in case.layers:
            needed, most = words(case, layer)[name], max(rooms)
            if needed > most:
                kind = "weights" if name == "core_kernel_words" else "neurons"
                reason = f"its {kind} take {needed:,} words, of at most {most:,}"
                yield Breach(layer.name, reason, _smaller(case, layer, name, needed / most))

    return check


for _name in MEMORIES:
    rule(f"limits.{_name}")(_words(_name))


def _smaller(case: ChipMapping, layer: ChipLayer, name: str, share: float) -> str:
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
    what: str, unit: str, of: Callable[[ChipMapping], int]
) -> Callable[[ChipMapping, Placements, int], Iterator[Breach]]:
    """A rule about a number of values of the whole network."""

    def check(case: ChipMapping, placed: Placements, most: int) -> Iterator[Breach]:
        found = of(case)
        if found > most:
            reason = f"it has {found:,} {what}, of at most {most:,}"
            yield Breach("", reason, fewer(found, most, unit))

    return check


def _neurons_of(layers: list[ChipLayer]) -> int:
    return sum(layer.neurons for layer in layers)


def _outputs(case: ChipMapping) -> list[ChipLayer]:
    return [layer for layer in case.layers if layer.name in case.network.last]


def _read_input(case: ChipMapping) -> int:
    inputs = case.network.inputs
    return _neurons_of(
        [la for la in case.network.hidden if any(path.origin in inputs for path in la.paths)]
    )


def _read_by_outputs(case: ChipMapping) -> int:
    origins = {path.origin for layer in _outputs(case) for path in layer.paths}
    return _neurons_of([layer for layer in case.network.hidden if layer.name in origins])


def _inputs(case: ChipMapping) -> int:
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


def formless(case: ChipMapping) -> Iterator[Breach]:
    """Layers that read a function or a process, or are no convolution on cores of convolutions."""
    for layer in case.layers:
        if layer.sends_digits:
            yield from _digits(case, layer)
        else:
            yield from _processes(case, layer)
        for path in layer.paths:
            if path.origin in case.network.functions:
                reason = f"it reads {path.origin!r}, a function of values that no spikes carry"
                remedy = "a layer with a form in spikes, or the function on the host"
                yield Breach(layer.name, reason, remedy)
    if case.chip.placement == "one layer a core":
        for layer in case.layers:
            yield from _no_convolution(case, layer)


def _digits(case: ChipMapping, layer: ChipLayer) -> Iterator[Breach]:
    """Signed digits, on a chip of which nothing is published that its neurons could send them."""
    if case.chip.arithmetic.digits is None:
        reason = (
            "it sends signed digits, for which neurons double their state at every step and start "
            "layer by layer; nothing published says that the chip's can"
        )
        yield Breach(layer.name, reason, "firing rates: convert with coding=sw.RateCode()")


def _processes(case: ChipMapping, layer: ChipLayer) -> Iterator[Breach]:
    """Currents of a layer's own: biases of each step, where they are not memory, and noise."""
    if layer.noise is None:
        return
    if layer.step_biases is None:
        reason = f"its neurons get a current of their own, {layer.noise!r}, that no weights carry"
        yield Breach(layer.name, reason, "the network without noise")
    elif case.chip.limits.core_bytes is None:
        steps = len(layer.step_biases)
        reason = f"it has a bias for each of {steps:,} steps, and the chip's biases stay"
        yield Breach(layer.name, reason, "one bias for all steps: sw.BiasCorrection(steps)")


def _no_convolution(case: ChipMapping, layer: ChipLayer) -> Iterator[Breach]:
    remedy = "one convolution, matrix or sum pool between two layers"
    for path in layer.paths:
        kernel = case.kernels[path]
        if isinstance(kernel, str):
            yield Breach(layer.name, f"what it reads is no convolution: {kernel}", remedy)
        elif set(kernel.dilation) != {1}:
            reason = f"its kernel is dilated by {max(kernel.dilation)}"
            yield Breach(layer.name, reason, "a kernel without dilation")
    kernels = case.convolutions(layer)
    if any(_differ(kernels[0], other) for other in kernels[1:]):
        reason = (
            f"it reads {len(kernels)} layers through different weights, and a core has one kernel"
        )
        yield Breach(layer.name, reason, "a sum before the weights in place of one behind them")


def _differ(one: ConvolutionPath, other: ConvolutionPath) -> bool:
    geometry = ("size", "stride", "padding", "whole")
    same = all(getattr(one, name) == getattr(other, name) for name in geometry)
    return not (same and one.held is other.held)
