"""The spikes of the rounded network's neurons, through all its steps, without gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar

import torch

from spikewright import engines
from spikewright.engines.torch.device import Tensor, Tensors
from spikewright.engines.torch.neurons import Namespace, sent_spikes
from spikewright.network.neurons import Clock, NeuronType, no_draws
from spikewright.network.node import shares_at_once
from spikewright.training.gradients.stepping import Passed
from spikewright.training.gradients.straight_through import LearnedQuantizer, StraightThroughNetwork

_TYPES = (torch.float32, torch.float64)


class Through(NamedTuple):
    """Values sent, `(steps, batch, *shape)`, spikes less negative ones, and all of them.

    The sums are `(batch, *shape)`; all spikes are None where they were not asked for.
    """

    values: Tensor
    net: Tensor
    all: Tensor | None


def through(
    kind: NeuronType, currents: Tensor, threshold: Tensor, start: Tensor, every: bool
) -> Through:
    """A population on currents `(steps, batch, *shape)`; `every` asks for all spikes as well.

    `threshold` is in the units of currents, `start` is the first voltage in thresholds. Natively
    where there is a kernel for the type, else step by step through the type's equation.
    """
    found = _natively(kind, currents, threshold, start, every)
    return _step_by_step(kind, currents, threshold, start, every) if found is None else found


def _natively(
    kind: NeuronType, currents: Tensor, threshold: Tensor, start: Tensor, every: bool
) -> Through | None:
    """By the native kernel; None where it cannot."""
    sequence, known = _native_kernels(), currents.device.type == "cpu" and currents.dtype in _TYPES
    integrator = None if sequence is None else sequence.integrator_of(kind)
    if integrator is None or not known or not _one_by_one(currents[0]):
        return None
    first = currents[0]
    steps, batch, size = len(currents), len(first), first[0].numel()
    values, net = _like(currents), torch.empty_like(first)
    both = torch.empty_like(first) if every and kind.negative else None
    sequence.integrate_sequence(
        model=integrator,
        currents=currents.as_strided((steps, batch, size), (currents.stride(0), size, 1)),
        thresholds=_neurons(first, threshold),
        starts=_neurons(first, start * threshold),
        values=values.as_strided((steps, batch, size), (batch * size, size, 1)),
        net=net.as_strided((batch, size), (size, 1)),
        all=None if both is None else both.as_strided((batch, size), (size, 1)),
    )
    return Through(values, net, net if every and both is None else both)


@cache  # whether it is there is asked of the file system
def _native_kernels() -> Any:
    """The module with native integrators, or None."""
    if "native" not in engines.available():
        return None
    from spikewright.engines.native import integrate_sequence  # late: it may not have been built

    return integrate_sequence


def _one_by_one(first: Tensor) -> bool:
    """True where the samples of a step lie one behind the other in memory, without gaps."""
    like = torch.empty_like(first, device="meta")  # of the same order of axes, without gaps
    return first.numel() > 0 and (first.stride(), first[0].numel()) == (
        like.stride(),
        first.stride(0),
    )


def _like(currents: Tensor) -> Tensor:
    """An array for values of all steps, whose axes lie in memory as those of a step do."""
    first = torch.empty_like(currents[0], device="meta")
    strides = (first.numel(), *first.stride())
    return torch.empty_strided(
        currents.shape, strides, dtype=currents.dtype, device=currents.device
    )


def _neurons(first: Tensor, value: Tensor) -> Tensor:
    """A number of each neuron, in the order in which a sample lies in memory."""
    sample = torch.empty_strided((1, *first.shape[1:]), first.stride(), dtype=first.dtype)
    return sample.copy_(value).as_strided((sample.numel(),), (1,))


def _step_by_step(
    kind: NeuronType, currents: Tensor, threshold: Tensor, start: Tensor, every: bool
) -> Through:
    """By the equation of the type."""
    xp: Any = Namespace(Tensors(currents.device, currents.dtype))
    first = currents[0]
    state = {
        name: torch.full_like(first, float(value)) for name, value in kind.initial_values().items()
    }
    state["voltage"] = xp.voltage = (start * threshold).expand_as(first).clone()
    counts = _like(currents)
    for step, (current, into) in enumerate(zip(currents, counts, strict=True), 1):
        xp.counts = into
        made = kind.step(xp, current, state, Clock(step, 1.0, threshold, no_draws))
        if made is not into:
            into.copy_(made)
    net = counts.sum(0)
    both = sent_spikes(kind, counts, 0, axis=0).sum(0) if kind.negative else net
    return Through(counts * threshold, net, both if every else None)


_Part = TypeVar("_Part")
_Found = TypeVar("_Found")

_AT_ONCE = 64
"""Samples times steps that are run together: their values stay in the processor's caches."""


class SpikeCounts(NamedTuple):
    """Spikes by layer after all steps: less negative ones, and all that were sent."""

    net: dict[str, Tensor]
    all: dict[str, Tensor]


@torch.no_grad()
def spike_counts(
    network: StraightThroughNetwork, inputs: Mapping[str, Tensor], net: bool = False
) -> SpikeCounts:
    """All that the network's neurons send in its steps, on inputs that are held constant.

    Layers of signed digits are run one after the other, each with all of its input known.
    With `net` those taken back are not counted: there is no `all`.
    """
    steps, once = network.steps, network.at_once
    whole = any(r.layer.kind.sends_digits for r in network.roundings.values())
    length = 1 if whole else steps
    shares = None if once == 1 or whole else torch.tensor(shares_at_once(once, 0, steps))
    neurons = {
        name: partial(_population, r, (r.threshold, r.start), not net)
        for name, r in network.roundings.items()
    }
    stepping = network.stepped(neurons, shares=shares)

    @torch.no_grad()  # of this thread alone
    def of(part: tuple[Tensor, ...]) -> dict[str, Through]:
        values = {n: stepping.over_time(x, length) for n, x in zip(inputs, part, strict=True)}
        return stepping.block(values, {}, 0).counts

    laid_out, size = network.laid_out(inputs), max(1, _AT_ONCE // steps)
    parts = list(zip(*(values.split(size) for values in laid_out.values()), strict=True))
    found = _side_by_side(of, parts)
    return SpikeCounts(
        {name: torch.cat([part[name].net for part in found]) for name in found[0]},
        {} if net else {name: torch.cat([part[name].all for part in found]) for name in found[0]},
    )


def _side_by_side(of: Callable[[_Part], _Found], parts: Sequence[_Part]) -> list[_Found]:
    """All parts in order: as many at a time as there are threads, with one for each.

    The parts' many small operations would wait for all threads, one by one.
    """
    before = torch.get_num_threads()
    threads = min(before, len(parts))
    if threads == 1:
        return [of(part) for part in parts]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(of, parts))
    finally:
        torch.set_num_threads(before)


def _population(
    rounding: LearnedQuantizer,
    numbers: tuple[Tensor, Tensor],
    every: bool,
    currents: Tensor,
    *_: Any,
) -> Passed:
    """A population through all steps, of these thresholds and starts; counts are `Through`."""
    if rounding.by_step is not None:
        currents = currents + rounding.by_step.unsqueeze(1)
    if not rounding.layer.kind.sends_digits:
        made = through(rounding.layer.kind, currents, *numbers, every)
        return Passed(made.values, {}, made)
    steps = rounding.steps  # all of which is known before the first
    currents = torch.cat([steps * currents, *[torch.zeros_like(currents)] * (steps - 1)])
    made = through(rounding.layer.kind, currents, *numbers, every)
    return Passed(made.values.mean(0, keepdim=True), {}, made)
