"""The model that a conversion was made from, as it is named, read again and trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from spikewright.conversion.arguments import Wanted
from spikewright.frontends import Reading, Source
from spikewright.frontends.origins import Place
from spikewright.graph import Graph
from spikewright.running.converted import Converted
from spikewright.running.runner import Runner


@dataclass(eq=False)
class SourceModel:
    """The model of a `source` and its `graph`; `given` is the reading of it, None of a graph alone.

    `arguments` are those of `convert`.
    """

    given: Reading | None
    source: Source
    graph: Graph
    arguments: Mapping[str, Any]
    _found: tuple[set[str], frozenset[Place]] | None = field(default=None, init=False)

    @property
    def reading(self) -> Reading | None:
        """The reading of the model itself, live or as it was loaded from its file."""
        if self.given is None:
            return None
        model = self.given.model if self.source.loaded is None else self.source.loaded
        return replace(self.given, model=model, form=Wanted(self.arguments).form)

    @property
    def live(self) -> Reading | None:
        """The reading of a live model, in the form that it was read in."""
        live = self.given is not None and self.given.framework is not None
        return self.reading if live else None

    def named(self, value: Any) -> Any:
        """A setting by layer with names in the place of layers of the model."""
        reading = self.reading
        return value if reading is None else reading.named(value)

    @property
    def frozen(self) -> frozenset[Place]:
        """The arrays of the graph that the source does not train.

        To find them the source is read anew: they are kept for as long as it freezes the same.
        """
        reading = self.reading
        if reading is None:
            return self.graph.frozen
        names = reading.frozen_names
        if self._found is None or self._found[0] != names:
            self._found = names, reading.frozen(self.graph)
        return self.graph.frozen | self._found[1]


class OfModel(Converted, Protocol):
    """A conversion that knows its model, and runs its network."""

    _model: SourceModel
    _runner: Runner


Of = TypeVar("Of", bound=OfModel)
