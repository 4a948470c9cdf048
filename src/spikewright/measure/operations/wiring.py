"""The wiring of a network: places that hold values, and hops through weights between them.

A *place* holds arriving values: a population, the vector that one represents, a function's input,
or a junction that something other than spikes reaches. Spikes go through any other junction as they
are (flattened, concatenated, pooled or added before they meet weights, they are spikes still). So a
*hop* leads from the maker of spikes or values, through junctions, to the next place, and has one
weight for every path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._base.equations import NUMPY
from spikewright.engines.program import Linear
from spikewright.engines.reference.linear import LinearKernel
from spikewright.measure.operations.links import Item, Link, Links, Partial
from spikewright.measure.operations.patterns import adds, pull_back_chain, weighs
from spikewright.network import Node, NodeFunction
from spikewright.network.ensemble import Ensemble
from spikewright.network.learning import LearningRule
from spikewright.network.node_functions import Maximum, MaxPool, Minimum, ReduceMax
from spikewright.network.processes import Process
from spikewright.network.transforms import AxisMap, Scale, Shape, SumPool, Transform
from spikewright.network.view import NeuronsView

Kind = Literal["spikes", "gate", "input", "constant", "graded", "relay", "held"]
_PASSES_ON = ("spikes", "gate", "input", "constant", "relay")


@dataclass(frozen=True, eq=False)
class Hop:
    """Paths from an `origin` to a `target`.

    `fan_out` is the number of paths whose weight is not zero from each value, shaped like the
    origin; `connections` is the number of all paths. `weighs` is False where values are only added.
    `filtered` is True where a synapse lies between.
    """

    origin: Item
    target: Item
    fan_out: NDArray
    connections: int
    weighs: bool
    filtered: bool

    @property
    def synapses(self) -> int:
        """Number of paths whose weight is not zero."""
        return int(self.fan_out.sum())


class NetworkWiring:
    """The places of a network, the kind of value each sends, and the hops between them."""

    def __init__(self, links: Links, inputs: Mapping[str, Node]) -> None:
        self._inputs = set(inputs.values())
        self.items: list[Item] = [
            *links.network.all_nodes,
            *(ensemble.neurons for ensemble in links.network.all_ensembles),
        ]
        ends = (item for link in links for item in (link.pre, link.post))
        self.items = list(dict.fromkeys((*self.items, *ends)))
        self.arriving: dict[Item, list[Link]] = {item: [] for item in self.items}
        self._sending: set[Item] = set()
        for link in links:
            for segment in self._segments(link):
                self.arriving[segment.post].append(segment)
                self._sending.add(segment.pre)
        self.kinds: dict[Item, Kind] = {}
        self._units: dict[Item, NDArray | None] = {}
        self._classify()
        self.hops = [hop for item in self.items for hop in self._hops_to(item)]

    def _segments(self, link: Link) -> Iterator[Link]:
        """A link cut behind every map that weighs and is not the last that does."""
        pre, shape, chain = link.pre, link.shape, link.chain
        last = max((i for i, part in enumerate(chain) if weighs(part)), default=-1)
        start = 0
        for index, part in enumerate(chain):
            if weighs(part) and index < last:
                piece = chain[start : index + 1]
                made = _output_shape(piece, shape)
                post = Partial(link.label, made)
                self.items.append(post)
                self.arriving[post] = []
                yield Link(pre, post, piece, shape, None)
                pre, shape, start = post, made, index + 1
        yield Link(pre, link.post, chain[start:], shape, link.connection)

    # What each item sends.

    def _classify(self) -> None:
        """Kinds in the order of the line; remaining items lie in a loop and hold their values."""
        waiting = [item for item in self.items if not self._classified_at_once(item)]
        while waiting:
            ready = [i for i in waiting if all(s.pre in self.kinds for s in self.arriving[i])]
            if not ready:
                break
            for item in ready:
                self.kinds[item] = self._kind(item)
            waiting = [item for item in waiting if item not in self.kinds]
        for item in waiting:
            self.kinds[item] = "graded" if _function(item) is not None else "held"

    def _classified_at_once(self, item: Item) -> bool:
        if isinstance(item, Partial):
            self.kinds[item] = "graded" if item.computed else "held"
        elif isinstance(item, Ensemble | LearningRule):
            self.kinds[item] = "held"
        elif isinstance(item, NeuronsView):
            self.kinds[item] = "spikes" if item.ensemble.neuron_type.spiking else "graded"
            self._units[item] = _spike_height(item)
        elif isinstance(item.output, np.ndarray) and not self.arriving[item]:
            self.kinds[item] = "input" if item in self._inputs else "constant"
        elif callable(item.output) or isinstance(item.output, Process):
            self.kinds[item] = "graded"
        return item in self.kinds

    def _kind(self, item: Item) -> Kind:
        """The kind of a junction or function whose sources are known."""
        segments = self.arriving[item]
        function = _function(item)
        if function is not None:
            unit = self._common_unit(segments)
            self._units[item] = None if unit is None else _unit_behind(function, unit)
            return "graded" if self._units[item] is None else "gate"
        passes = all(s.routes and self.kinds[s.pre] in _PASSES_ON for s in segments)
        if not passes or not segments or item not in self._sending:
            return "held"
        if all(self.kinds[s.pre] == "constant" for s in segments):
            return "constant"
        self._units[item] = self._common_unit(segments)
        return "relay"

    def _common_unit(self, segments: list[Link]) -> NDArray | None:
        """The height of the spikes that arrive at each value (0: none do), None where it varies."""
        common: NDArray | None = None
        for segment in segments:
            before = self._units.get(segment.pre)
            unit = None if before is None or segment.filtered else _unit_along(segment, before)
            if unit is None:
                return None
            if common is not None:
                if np.any((common != 0) & (unit != 0) & (common != unit)):
                    return None
                unit = np.maximum(common, unit)
            common = unit
        return common

    # Hops.

    def _hops_to(self, target: Item) -> Iterator[Hop]:
        if self.kinds[target] in ("relay", "constant"):
            return
        for segment in self.arriving[target]:
            yield from self._hops_from(segment, target, None, False, False)

    def _hops_from(
        self,
        segment: Link,
        target: Item,
        reached: tuple[NDArray, NDArray] | None,
        weighed: bool,
        filtered: bool,
    ) -> Iterator[Hop]:
        """Hops that end with this segment: follow it back through junctions that pass spikes on."""
        if reached is None:
            ones = np.ones(_output_shape(segment.chain, segment.shape))
            reached = (ones, ones)
        some, every = (
            pull_back_chain(segment.chain, segment.shape, paths, every)
            for paths, every in zip(reached, (False, True), strict=True)
        )
        weighed = weighed or not adds(segment.chain)
        filtered = filtered or segment.filtered
        kind = self.kinds[segment.pre]
        if kind == "relay":
            for before in self.arriving[segment.pre]:
                yield from self._hops_from(before, target, (some, every), weighed, filtered)
        elif kind != "constant":
            fan_out = np.array(some, np.int64, order="C")
            yield Hop(segment.pre, target, fan_out, int(every.sum()), weighed, filtered)

    # Spikes behind a maximum.

    def with_gates(self, spikes: Mapping[Item, NDArray]) -> dict[Item, NDArray]:
        """Spikes of populations, `(batch, *shape)`, and those that maxima passed on.

        The spikes that a maximum has passed on are the maximum of those that have arrived.
        """
        if "gate" not in self.kinds.values():
            return dict(spikes)
        found = {item: counts.astype(np.float64) for item, counts in spikes.items()}
        for item, kind in self.kinds.items():  # in the order of the line
            function = _function(item)
            if kind == "gate" and function is not None:
                found[item] = np.asarray(function.apply(NUMPY, self._arrived(item, found)))
        return found

    def binary(self) -> set[Item]:
        """Senders of at most one spike a step: one-spike neurons, and maxima of their spikes."""
        found = {
            item
            for item, kind in self.kinds.items()
            if kind == "spikes"
            and isinstance(item, NeuronsView)
            and item.ensemble.neuron_type.most_spikes == 1
        }
        one_each: dict[Item, NDArray] = {
            item: np.ones((1, *item.shape)) for item in found if isinstance(item, NeuronsView)
        }
        for item, kind in self.kinds.items():  # in the order of the line
            if kind != "gate" or not isinstance(item, Node) or self._origins(item) - set(one_each):
                continue
            if self._arrived(item, one_each).max(initial=0) <= 1:
                one_each[item] = np.ones((1, *item.shape_out))
        return set(one_each)

    def _origins(self, item: Item) -> set[Item]:
        """The senders of the spikes that arrive at an item."""
        found: set[Item] = set()
        for segment in self.arriving[item]:
            relay = self.kinds[segment.pre] == "relay"
            found |= self._origins(segment.pre) if relay else {segment.pre}
        return found

    def _arrived(self, item: Item, spikes: Mapping[Item, NDArray]) -> NDArray:
        """Spikes that have arrived at each value of a junction or function."""
        parts = []
        for segment in self.arriving[item]:
            known = self.kinds[segment.pre] != "relay"
            before = spikes[segment.pre] if known else self._arrived(segment.pre, spikes)
            parts.append(_count_along(segment, before))
        return sum(parts[1:], start=parts[0])


def _function(item: Item) -> NodeFunction | None:
    output = item.output if isinstance(item, Node) else None
    return output if isinstance(output, NodeFunction) else None


def _output_shape(chain: tuple[Transform, ...], shape: Shape) -> Shape:
    for part in chain:
        shape = part.output_shape(shape)
    return shape


def _spike_height(neurons: NeuronsView) -> NDArray | None:
    """The height of a spike without its factor `1 / dt`; None where spikes have either sign."""
    ensemble = neurons.ensemble
    kind = ensemble.neuron_type
    if not kind.spiking or kind.negative:
        return None
    return np.broadcast_to(kind.amplitude / ensemble.rate_scale, ensemble.shape)


def _unit_along(segment: Link, unit: NDArray) -> NDArray | None:
    """Spike heights behind a segment; None where spikes of different heights are summed."""
    for part in segment.chain:
        if weighs(part) or isinstance(part, AxisMap):
            return None
        if isinstance(part, Scale):
            if np.any(part.factor <= 0):
                return None
            unit = unit * part.factor
        elif isinstance(part, SumPool):
            count = _apply(_unscaled(part), (unit != 0).astype(np.float64)[None])[0]
            largest = _largest(part, unit)
            if np.any(_apply(_unscaled(part), unit[None])[0] != largest * count):
                return None
            unit = _apply_factor(part, largest)
        else:
            unit = _apply(part, unit[None])[0]
    return unit


def _largest(pool: SumPool, unit: NDArray) -> NDArray:
    found: NDArray = NUMPY.max_pool(unit[None], pool.windows, pool.channels_last)[0]
    return found


def _apply_factor(pool: SumPool, unit: NDArray) -> NDArray:
    if pool.factor.ndim == 0:
        return unit * pool.factor
    return unit * (pool.factor[..., None] if pool.channels_last else pool.factor)


def _unscaled(transform: Transform) -> Transform:
    """The transform on numbers of spikes: their heights stay aside."""
    return replace(transform, factor=np.array(1.0)) if isinstance(transform, SumPool) else transform


def _count_along(segment: Link, spikes: NDArray) -> NDArray:
    for part in segment.chain:
        if not isinstance(part, Scale):
            spikes = _apply(_unscaled(part), spikes)
    return spikes


def _apply(transform: Transform, x: NDArray) -> NDArray:
    """A transform of `(batch, *shape)`."""
    operator = Linear("", (0,), 0, transform)
    (found,) = LinearKernel(operator, "float64").run([x[:, None]], 0, 1)
    return np.asarray(found)[:, 0]


def _unit_behind(function: NodeFunction, unit: NDArray) -> NDArray | None:
    """Height of the spikes that a maximum of running sums passes on, or None where it is no spike.

    A maximum of sums of spikes of one height grows by whole spikes.
    """
    if not isinstance(function, MaxPool | ReduceMax | Maximum | Minimum) or not function.accumulate:
        return None
    if isinstance(function, Minimum) and np.any(unit == 0):
        return None
    infinite = np.where(unit == 0, np.inf, unit)
    one = np.asarray(function.apply(NUMPY, unit[None]))[0]
    other = -np.asarray(function.apply(NUMPY, -infinite[None]))[0]
    alike = (one == other) | ((one == 0) & np.isinf(other))
    return one if np.all(alike) else None
