"""Copies of channels: what each has of a value that is stated for its channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import ConversionError, NetworkError, Refusal
from spikewright.graph import Graph
from spikewright.graph.layers import Take
from spikewright.graph.splits import Split
from spikewright.lower.populations import Choices
from spikewright.network import Ensemble
from spikewright.network.ensemble import NAMED_VOLTAGES
from spikewright.running.converted import Converted


@dataclass(frozen=True, eq=False)
class Copies:
    """The channels of a model's layers that are several channels in the network, by layer.

    Thresholds, starts and biases are stated for the channels of the model, wherever a user gives
    or reads them. Here they become those of the copies.
    """

    splits: Mapping[str, Split] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: Graph, counts: Mapping[str, NDArray] | None) -> Copies:
        """The copies in a graph, whose layers in `counts` were split."""
        found = {}
        for name in counts or {}:
            taken = graph[graph[name].inputs[0]].layer
            if not isinstance(taken, Take):
                raise TypeError(f"layer {name!r} is to be split, and has no copies")
            found[name] = Split(np.bincount(taken.indices), taken.axis)
        return cls(found)

    @classmethod
    def in_network(cls, conversion: Converted) -> Copies:
        """The copies that a conversion's network has."""
        return cls.of(conversion.canonical, conversion.resolved.get("fission"))

    @property
    def counts(self) -> dict[str, NDArray] | None:
        """The numbers of neurons for one, `(channels,)`, by layer; None where all are one."""
        return {name: split.copies for name, split in self.splits.items()} or None

    def mean(self, name: str, values: NDArray) -> NDArray:
        """The means of a layer's copies, of values `(batch, *shape)`."""
        return self.splits[name].mean(values) if name in self.splits else values

    def channels(self, name: str, value: NDArray, rank: int) -> NDArray:
        """The value of the first copy of each channel, of values as `spread` returns them."""
        split = self.splits.get(name)
        axis = 0 if split is None else split.axis + value.ndim - rank
        if split is None or axis < 0 or value.shape[axis] == 1:
            return value
        return value.take(np.flatnonzero(split.turns == 0), axis)

    def spread(self, name: str, value: NDArray, rank: int) -> NDArray:
        """A value that broadcasts to a layer of this rank, perhaps one for each step, for copies.

        Raises `NetworkError` where it does not fit the channels.
        """
        split = self.splits.get(name)
        if split is None or value.ndim == 0:
            return value
        whole = value.reshape((1,) * (rank - value.ndim) + value.shape)
        axis = split.axis + whole.ndim - rank
        if whole.shape[axis] not in (1, len(split.copies)):
            raise NetworkError(
                f"layer {name!r} has {len(split.copies)} channels, and shape {value.shape} none "
                "for each: what is given is that of the model, and copies have that of theirs"
            )
        return whole if whole.shape[axis] == 1 else whole.take(split.channels, axis)

    def biases(self, given: Any, layers: Mapping[str, Ensemble]) -> dict[str, NDArray]:
        """Additions to biases, by layer, from those of the model's channels or one for all."""
        found = {}
        for name, ensemble in layers.items():
            value = np.asarray(given[name] if isinstance(given, Mapping) else given, np.float64)
            found[name] = self.spread(name, value, len(ensemble.shape))
        return found

    def starts(self, name: str, start: Any, rank: int, height: int) -> Any:
        """Starts of copies: `(i + 1/2) / m - 1/2` from that of their channel, whose mean they keep.

        The distance is in spikes of the last `height`, 1 where spikes have none. Neurons say
        multiples of that height. Raises `NetworkError` for starts that are drawn.
        """
        split = self.splits.get(name)
        if split is None:
            return start
        if isinstance(start, str) and start not in NAMED_VOLTAGES:
            raise NetworkError(f"initial_voltage={start!r} is drawn, and copies need theirs apart")
        first = np.asarray(NAMED_VOLTAGES[start] if isinstance(start, str) else start, np.float64)
        return self.spread(name, first, rank) + height * split.along(split.apart, rank)

    def first_starts(self, name: str, starts: NDArray, rank: int, height: int) -> NDArray:
        """The starts of channels, from those of their copies as `starts` returns them."""
        split = self.splits.get(name)
        if split is None:
            return starts
        return self.channels(name, starts - height * split.along(split.apart, rank), rank)

    def choices(self, graph: Graph, choices: Choices) -> Choices:
        """The choices for a graph's layers, for their copies.

        Raises `ConversionError` for those that do not fit.
        """
        scales, starts, refusals = dict(choices.scales), dict(choices.starts), []
        for name in self.splits:
            rank = len(graph.shapes[name])
            try:
                scales[name] = self.spread(name, scales[name], rank)
                height = choices.types[name].last_height
                starts[name] = self.starts(name, starts[name], rank, height)
            except NetworkError as error:
                refusals.append(Refusal(name, "neurons", str(error)))
        if refusals:
            raise ConversionError(refusals)
        return replace(choices, scales=scales, starts=starts)


NONE = Copies()
"""Those of a network whose channels are the model's."""
