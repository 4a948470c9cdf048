"""The same network step by step, without gradient: what its neurons send in truth.

Linear layers act at every step. Functions of nodes send `t f(m_t) - (t-1) f(m_(t-1))` of the
running mean `m_t` of their inputs. Neurons follow the equations of their types. A graph has no
loops, so one layer is run through all steps before the next one. Values of all steps are
`(steps, batch, *shape)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from spikewright.engines.torch.device import Tensor, Tensors
from spikewright.engines.torch.neurons import Namespace
from spikewright.graph import Node
from spikewright.graph.layers import Input
from spikewright.network.neurons import Clock, no_draws
from spikewright.training.gradients.layers import equation
from spikewright.training.gradients.rounded import RoundedNetwork, Rounding

_Part = TypeVar("_Part")

_AT_ONCE = 64
"""Samples times steps that are run together: their values stay in the processor's caches."""


@dataclass(eq=False)
class Sent:
    """Spikes by site after all steps: less those taken back, and all that were sent."""

    net: dict[str, Tensor] = field(default_factory=dict)
    all: dict[str, Tensor] = field(default_factory=dict)


@torch.no_grad()
def sent(network: RoundedNetwork, inputs: Mapping[str, Tensor], net: bool = False) -> Sent:
    """All that the network's neurons send in its steps, on inputs that are held constant.

    With `net` those taken back are not counted: there is no `all`.
    """
    size = max(1, _AT_ONCE // network.steps)
    laid_out, roundings = network.laid_out(inputs), network.roundings
    last = {name: node.name for node in network.graph for name in node.inputs}
    parts = list(zip(*(values.split(size) for values in laid_out.values()), strict=True))

    @torch.no_grad()  # of this thread alone
    def of(part: tuple[Tensor, ...]) -> Sent:
        return _sent(network, roundings, last, dict(zip(inputs, part, strict=True)), net)

    found = _side_by_side(of, parts)
    return Sent(
        {name: torch.cat([part.net[name] for part in found]) for name in found[0].net},
        {name: torch.cat([part.all[name] for part in found]) for name in found[0].all},
    )


def _side_by_side(of: Callable[[_Part], Sent], parts: Sequence[_Part]) -> list[Sent]:
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


def _sent(
    network: RoundedNetwork,
    roundings: Mapping[str, Rounding],
    last: Mapping[str, str],
    inputs: Mapping[str, Tensor],
    net: bool,
) -> Sent:
    """Of some samples; `last` names the last layer that reads each value, which then goes."""
    found, steps = Sent(), network.steps
    values = {name: x.expand(steps, *x.shape) for name, x in inputs.items()}
    batch = len(next(iter(inputs.values())))
    for node in network.graph:
        name, rounding = node.name, roundings.get(node.name)
        alone = rounding is not None and not rounding.site.follows
        if not isinstance(node.layer, Input) and not alone:
            arrays = network.arrays.of(name)
            values[name] = _passed(node, arrays, [values[n] for n in node.inputs], steps, batch)
        if rounding is not None:
            currents = values[node.inputs[0] if alone else name]
            counts = _run(rounding, currents)
            values[name] = counts * rounding.threshold
            found.net[name] = counts.sum(0)
            if not net:
                negative = rounding.site.kind.negative
                found.all[name] = counts.abs().sum(0) if negative else found.net[name]
        for read in node.inputs:
            if last[read] == name:
                values.pop(read, None)
    return found


def _passed(
    node: Node, arrays: Mapping[str, Tensor], read: list[Tensor], steps: int, batch: int
) -> Tensor:
    """The values that a layer passes on, from those that it reads."""
    if node.layer.arity == 0:
        value = equation(node.layer, arrays)
        return value.expand(steps, batch, *value.shape[1:])
    if all(x.stride(0) == 0 for x in read):  # the same at every step
        value = equation(node.layer, arrays, *(x[0] for x in read))
        return value.expand(steps, *value.shape)
    if node.layer.linear:
        return _at_every_step(node, arrays, read)
    numbers = torch.arange(1.0, steps + 1.0, dtype=read[0].dtype, device=read[0].device)
    means = [total / _like(numbers, total) for total in (x.cumsum(0) for x in read)]
    reached = _at_every_step(node, arrays, means)
    reached = reached * _like(numbers, reached)
    return torch.diff(reached, dim=0, prepend=torch.zeros_like(reached[:1]))


def _at_every_step(node: Node, arrays: Mapping[str, Tensor], read: list[Tensor]) -> Tensor:
    value = equation(node.layer, arrays, *(x.flatten(0, 1) for x in read))
    return value.unflatten(0, read[0].shape[:2])


def _like(numbers: Tensor, values: Tensor) -> Tensor:
    return numbers.reshape(-1, *(1,) * (values.ndim - 1))


def _run(rounding: Rounding, currents: Tensor) -> Tensor:
    """Counts of one population along time."""
    kind, threshold = rounding.site.kind, rounding.threshold
    xp: Any = Namespace(Tensors(currents.device, currents.dtype))
    first = currents[0]
    state = {
        name: torch.full_like(first, float(value)) for name, value in kind.initial_state().items()
    }
    state["voltage"] = xp.voltage = (rounding.start * threshold).expand_as(first).clone()
    like = torch.empty_like(first)  # the order of axes in memory stays
    counts = torch.empty_strided(
        currents.shape, (like.numel(), *like.stride()), dtype=first.dtype, device=first.device
    )
    for step, (current, into) in enumerate(zip(currents, counts, strict=True), 1):
        xp.counts = into
        made = kind.step(xp, current, state, Clock(step, 1.0, threshold, no_draws))
        if made is not into:
            into.copy_(made)
    return counts
