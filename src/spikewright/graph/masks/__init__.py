"""Padding: the positions of sequences that a mask hides, and the values that belong to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from spikewright.graph.graph import Graph, prune
from spikewright.graph.interpreter import evaluate_all
from spikewright.graph.masks.positions import Span, acts_one_by_one
from spikewright.graph.masks.recognition import Mask, counted, places_of, recognised, varies

__all__ = ["Mask", "Masks", "Real", "masks_of"]

_known: WeakKeyDictionary[Graph, Masks] = WeakKeyDictionary()


def masks_of(graph: Graph) -> Masks:
    """The masks of padding of a graph, looked for once."""
    if graph not in _known:
        _known[graph] = Masks(graph, recognised(graph))
    return _known[graph]


@dataclass(frozen=True, eq=False)
class Real:
    """The positions of some samples that are no padding, `(batch, positions)` of all masks."""

    masks: Masks
    positions: NDArray
    _found: dict[str, NDArray | None] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.positions)

    def of(self, name: str) -> NDArray | None:
        """Whether the entries of a node's value count, broadcasting to `(batch, *shape)`.

        None where all of them do.
        """
        if name not in self._found:
            spans = self.masks.spans.get(name, ())
            counts = counted(spans, self.positions) if spans else None
            self._found[name] = None if counts is None or counts.all() else counts
        return self._found[name]

    def left(self, inputs: Mapping[str, NDArray], sample: int) -> dict[str, NDArray]:
        """The values of one sample's inputs that are no padding, each a flat array."""
        found = {}
        for name, value in inputs.items():
            counts = self.whole(name, value.shape[1:])
            found[name] = value[sample].ravel() if counts is None else value[sample][counts[sample]]
        return found

    def whole(self, name: str, shape: tuple[int, ...]) -> NDArray | None:
        """The same of arrays `(batch, *shape)` of that node, whose channels may be several."""
        counts = self.of(name)
        return None if counts is None else np.broadcast_to(counts, (len(self), *shape))


@dataclass(frozen=True, eq=False)
class Masks:
    """The masks of padding of a graph; there may be none."""

    graph: Graph
    found: tuple[Mask, ...]

    def __bool__(self) -> bool:
        return bool(self.found)

    @cached_property
    def spans(self) -> Mapping[str, tuple[Span, ...]]:
        """The spans of nodes some of whose entries may be padding.

        An output that is read out of a single position always counts, and so does what makes it.
        """
        if not self.found:
            return {}
        found = {}
        for name, place in places_of(self.graph, self.found).items():
            spans = place.spans
            if not varies(place):
                spans = () if self.graph.is_output(name) else tuple(filter(self._unused, spans))
            if spans:
                found[name] = spans
        return self._with_readers(found)

    def _with_readers(self, found: dict[str, tuple[Span, ...]]) -> dict[str, tuple[Span, ...]]:
        """The spans, of values that are read one by one with those that all of its readers have.

        So a mask of keys that is spread over queries is padding where these are, and what a mask
        sets to zero before it is summed.
        """
        graph = self.graph
        for node in reversed([*graph]):
            readers = graph.consumers[node.name]
            alike = all(graph.shapes[reader] == graph.shapes[node.name] for reader in readers)
            each = node.name in self.alone or (
                all(acts_one_by_one(graph[reader].layer) for reader in readers)
                and not graph.is_output(node.name)
            )
            if each and readers and alike:
                first, *others = (found.get(reader, ()) for reader in readers)
                own = found.get(node.name, ())
                common = [s for s in first if all(s in other for other in others) and s not in own]
                found[node.name] = (*own, *common)
        return {name: spans for name, spans in found.items() if spans}

    @cached_property
    def alone(self) -> frozenset[str]:
        """Nodes whose values follow from masks and constants alone, and from some mask."""
        if not self.found:
            return frozenset()
        found = places_of(self.graph, self.found)
        masks = {mask.node for mask in self.found}
        behind = set(masks)
        for node in self.graph:
            if behind.intersection(node.inputs):
                behind.add(node.name)
        return frozenset(name for name in behind if not found[name].content)

    def _unused(self, span: Span) -> bool:
        first, last = int(span.first.max()), int(span.last.max())
        for mask in self.found:
            for half in mask.used:
                part = mask.halves[half]
                if part.start < first - mask.start <= last - mask.start <= part.stop:
                    return False
        return True

    def real(self, inputs: Mapping[str, NDArray]) -> Real | None:
        """The positions that count of inputs `{name: (batch, *shape)}`; None where all do.

        Only those in `read` are looked at.
        """
        if not self.found:
            return None
        values = evaluate_all(self._computing, {name: inputs[name] for name in self.read})
        return self.counting([mask.real(values[mask.node]) for mask in self.found])

    def real_at_some_step(self, inputs: Mapping[str, NDArray]) -> Real | None:
        """The same of inputs `{name: (batch, steps or 1, *shape)}`: what counts at some step."""
        steps = max(inputs[name].shape[1] for name in self.read)
        batch = len(inputs[self.read[0]])
        flat = {}
        for name in self.read:
            value = inputs[name]
            held = np.broadcast_to(value, (batch, steps, *value.shape[2:]))
            flat[name] = held.reshape(-1, *value.shape[2:])
        real = self.real(flat)
        if real is None:
            return None
        positions: NDArray = np.any(real.positions.reshape(batch, steps, -1), axis=1)
        return self.counting([positions])

    def counting(self, parts: Sequence[NDArray]) -> Real | None:
        """Positions `(batch, positions)` of the masks, side by side; None where all count."""
        positions = np.concatenate(parts, axis=1)
        return None if positions.all() else Real(self, positions)

    @property
    def read(self) -> tuple[str, ...]:
        """The inputs that the masks follow from."""
        return self._computing.inputs

    def without_content(self, inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
        """The inputs with zero for what they hold at padding, save in those that masks follow from.

        So samples that differ in their padding alone are the same.
        """
        real, made = self.real(inputs), dict(inputs)
        if real is None:
            return made
        for name in (name for mask in self.found for name in mask.axes if name not in self.read):
            counts = real.of(name)
            if counts is not None:
                made[name] = np.where(counts, inputs[name], 0.0)
        return made

    @cached_property
    def _computing(self) -> Graph:
        """The part of the graph that computes the masks."""
        wanted = {mask.node: mask.node for mask in self.found}
        nodes = prune(self.graph, wanted)
        read = {name for node in nodes for name in node.inputs} | wanted.keys()
        return Graph(tuple(node for node in nodes if node.name in read), wanted)
