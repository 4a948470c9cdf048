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
from typing import TypeVar

import torch

from spikewright.engines.torch.device import Tensor
from spikewright.engines.torch.functions import with_last_numbers
from spikewright.graph import Node
from spikewright.graph.layers import Input
from spikewright.network.node import shares_at_once
from spikewright.training.gradients.layers import equation as plain
from spikewright.training.gradients.populations import Through, through, through_copies
from spikewright.training.gradients.products import Equation
from spikewright.training.gradients.rounded import RoundedNetwork
from spikewright.training.sites import Site

_Part = TypeVar("_Part")

_AT_ONCE = 64
"""Samples times steps that are run together: their values stay in the processor's caches."""


@dataclass(eq=False)
class Sent:
    """Spikes by site after all steps: less those taken back, and all that were sent.

    Of channels that are several neurons the first are sums, and the others of every neuron.
    """

    net: dict[str, Tensor] = field(default_factory=dict)
    all: dict[str, Tensor] = field(default_factory=dict)


@torch.no_grad()
def sent(
    network: RoundedNetwork,
    inputs: Mapping[str, Tensor],
    net: bool = False,
    quickly: bool = False,
    until: str | None = None,
) -> Sent:
    """All that the network's neurons send in its steps, on inputs that are held constant.

    With `net` those taken back are not counted: there is no `all`. `quickly` and `until` are as for
    the network.
    """
    size, laid_out = max(1, _AT_ONCE // network.steps), network.laid_out(inputs)
    parts = list(zip(*(values.split(size) for values in laid_out.values()), strict=True))
    spiking = _Spiking(network, net, quickly, until)

    @torch.no_grad()  # of this thread alone
    def of(part: tuple[Tensor, ...]) -> Sent:
        return spiking.sent(dict(zip(inputs, part, strict=True)))

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


class _Spiking:
    """The network with its weights and thresholds of now, for samples that are run together."""

    def __init__(
        self, network: RoundedNetwork, net: bool, quickly: bool, until: str | None
    ) -> None:
        self._graph, self._steps, self._net = network.graph, network.steps, net
        self._until = until
        self._equations = {n.name: network.equation_of(n.name, quickly) for n in network.graph}
        self._weights, self._normalised = network.weights(), network.normalised
        self._populations = {
            name: (r, r.threshold, r.start) for name, r in network.roundings.items()
        }
        once, steps = network.at_once, network.steps
        self._shares = None if once == 1 else torch.tensor(shares_at_once(once, 0, steps))
        self._last = {name: node.name for node in network.graph for name in node.inputs}

    def sent(self, inputs: Mapping[str, Tensor]) -> Sent:
        """All spikes on some samples; a value is dropped behind the last layer that reads it."""
        found = Sent()
        values = {name: self._over_time(x) for name, x in inputs.items()}
        batch = len(next(iter(inputs.values())))
        for node in self._graph:
            name, population = node.name, self._populations.get(node.name)
            alone = population is not None and not population[0].site.follows
            if not isinstance(node.layer, Input) and not alone:
                values[name] = self._passed(node, [values[n] for n in node.inputs], batch)
            if population is not None:
                rounding, threshold, start = population
                currents = values[node.inputs[0] if alone else name]
                if rounding.by_step is not None:
                    currents = currents + rounding.by_step.unsqueeze(1)
                made = _through(rounding.site, currents, threshold, start, every=not self._net)
                values[name], found.net[name] = made.values, made.net
                if made.all is not None:
                    found.all[name] = made.all
            if name == self._until:
                break
            for read in node.inputs:
                if self._last[read] == name:
                    values.pop(read, None)
        return found

    def _passed(self, node: Node, read: list[Tensor], batch: int) -> Tensor:
        """The values that a layer passes on, from those that it reads."""
        if node.name in self._normalised:
            return read[0]
        equation, weights = self._equations[node.name], self._weights[node.name]
        if node.layer.arity == 0:
            value = plain(node.layer, weights)
            return self._over_time(value.expand(batch, *value.shape[1:]))
        made = _passed(node, equation, weights, read, self._steps)
        if self._shares is None or not node.layer.linear:
            return made
        constant = plain(node.layer, weights, *(torch.zeros_like(x[0, :1]) for x in read))
        moved = _like((self._shares - 1.0).to(made), made)
        return made + moved * constant if constant.any() else made

    def _over_time(self, held: Tensor) -> Tensor:
        """A held value `(batch, *shape)` as it arrives in every step, `(steps, batch, *shape)`."""
        every = held.expand(self._steps, *held.shape)
        return every if self._shares is None else every * _like(self._shares.to(held), every)


def _through(
    site: Site, currents: Tensor, threshold: Tensor, start: Tensor, every: bool
) -> Through:
    if site.split is None:
        return through(site.kind, currents, threshold, start, every)
    return through_copies(site.kind, site.split, currents, threshold, start, every)


def _passed(
    node: Node,
    equation: Equation,
    arrays: Mapping[str, Tensor],
    read: list[Tensor],
    steps: int,
) -> Tensor:
    """The values that a layer passes on, from those that it reads."""
    if all(x.stride(0) == 0 for x in read):  # the same at every step
        value = equation(node.layer, arrays, *(x[0] for x in read))
        return value.expand(steps, *value.shape)
    if node.layer.linear:
        return _at_every_step(node, equation, arrays, read)
    numbers = torch.arange(1.0, steps + 1.0, dtype=read[0].dtype, device=read[0].device)
    means = [total / _like(numbers, total) for total in (x.cumsum(0) for x in read)]
    reached = _at_every_step(node, plain, arrays, means)
    reached = reached * _like(numbers, reached)
    if node.layer.partial:
        reached = with_last_numbers(reached, torch.zeros_like(reached[0]), axis=0)
    return torch.diff(reached, dim=0, prepend=torch.zeros_like(reached[:1]))


def _at_every_step(
    node: Node, equation: Equation, arrays: Mapping[str, Tensor], read: list[Tensor]
) -> Tensor:
    value = equation(node.layer, arrays, *(x.flatten(0, 1) for x in read))
    return value.unflatten(0, read[0].shape[:2])


def _like(numbers: Tensor, values: Tensor) -> Tensor:
    return numbers.reshape(-1, *(1,) * (values.ndim - 1))
