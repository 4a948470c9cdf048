"""The rounded network over its steps, without gradient: what its neurons send in truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch

from spikewright.engines.torch.device import Tensor
from spikewright.network.node import shares_at_once
from spikewright.training.gradients.populations import Through, through, through_copies
from spikewright.training.gradients.rounded import RoundedNetwork, RoundedSite
from spikewright.training.gradients.stepping import Passed

_Part = TypeVar("_Part")
_Found = TypeVar("_Found")

_AT_ONCE = 64
"""Samples times steps that are run together: their values stay in the processor's caches."""


class Sent(NamedTuple):
    """Spikes by site after all steps: less those taken back, and all that were sent.

    Of channels that are several neurons the first are sums, and the others of every neuron.
    """

    net: dict[str, Tensor]
    all: dict[str, Tensor]


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
    steps, once = network.steps, network.at_once
    shares = None if once == 1 else torch.tensor(shares_at_once(once, 0, steps))
    neurons = {
        name: partial(_population, r, (r.threshold, r.start), not net)
        for name, r in network.roundings.items()
    }
    stepping = network.stepped(neurons, quickly, shares=shares)

    @torch.no_grad()  # of this thread alone
    def of(part: tuple[Tensor, ...]) -> dict[str, Through]:
        values = {n: stepping.over_time(x, steps) for n, x in zip(inputs, part, strict=True)}
        return stepping.block(values, {}, 0, until=until).counts

    laid_out, size = network.laid_out(inputs), max(1, _AT_ONCE // steps)
    parts = list(zip(*(values.split(size) for values in laid_out.values()), strict=True))
    found = _side_by_side(of, parts)
    return Sent(
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
    rounding: RoundedSite, numbers: tuple[Tensor, Tensor], every: bool, currents: Tensor, *_: Any
) -> Passed:
    """A site through all steps, of these thresholds and starts; counts as `Through` has them."""
    site = rounding.site
    if rounding.by_step is not None:
        currents = currents + rounding.by_step.unsqueeze(1)
    if site.split is None:
        made = through(site.kind, currents, *numbers, every)
    else:
        made = through_copies(site.kind, site.split, currents, *numbers, every)
    return Passed(made.values, {}, made)
