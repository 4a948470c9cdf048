"""The result of a verification: a line to read, a table on demand, and `{layer: error}`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from spikewright._base.markup import Rows, Shown
from spikewright._base.texts import aligned

OWN_SUM = "its own sum"


class Difference(NamedTuple):
    """The distance of a value of the source from another, relative to its largest magnitude.

    `compared` names the other value; "its own sum" is that of the network's values that a value is
    made of, and errors are then relative to the magnitudes of its terms. `bound` is the distance
    that rounding alone explains. `output` says that `layer` names an output of the model as it was
    called, not a layer.
    """

    layer: str
    kind: str
    compared: str
    error: float
    bound: float
    output: bool = False

    @property
    def relative_to(self) -> str:
        """The magnitude that errors are parts of."""
        return "the terms of its sum" if self.compared == OWN_SUM else "its largest value"

    @property
    def agrees(self) -> bool:
        """Whether rounding explains it; NaN is explained by nothing."""
        return self.error <= self.bound

    @property
    def severity(self) -> float:
        """The error in units of its bound."""
        if self.error == 0:
            return 0.0
        return self.error / self.bound if self.bound > 0 else math.inf


@dataclass(frozen=True, eq=False, repr=False)
class Verification(Shown, Mapping[str, float]):
    """Differences between a source and the graph that was read: print it for the verdict.

    It reads as `{layer: error}`, an error being the largest of `max|a - b| / max|a|`, where `a` is
    the source's value. `table` has every difference beside its bound. `source` names the framework
    that ran the model, and its precision; `samples` on how many samples. `scaled` are the layers
    to whose weights random inputs were scaled, feature by feature.
    """

    differences: tuple[Difference, ...]
    source: str
    samples: int
    scaled: tuple[str, ...] = ()

    @cached_property
    def _layers(self) -> dict[str, float]:
        errors: dict[str, float] = {}
        for one in self.differences:
            if not one.output and one.compared != OWN_SUM:
                errors[one.layer] = max(errors.get(one.layer, 0.0), one.error)
        return errors

    def __getitem__(self, layer: str) -> float:
        return self._layers[layer]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    @property
    def outputs(self) -> dict[str, float]:
        """`{output: error}` of the model as it was called, beside the graph that was read."""
        return {one.layer: one.error for one in self.differences if one.output}

    @property
    def worst(self) -> Difference:
        """The difference that is nearest to its bound, or farthest above it."""
        return max(self.differences, key=lambda one: one.severity)

    def __repr__(self) -> str:
        worst = self.worst
        scaled = (
            f", scaled to the weights of {', '.join(map(repr, self.scaled))}" if self.scaled else ""
        )
        return (
            f"{len(self)} layers{self._and_outputs()} agree with {self.source} on {self.samples} "
            f"samples{scaled}; nearest to its bound is {worst.layer!r}, off by {worst.error:.2g} "
            f"of {worst.relative_to} where rounding explains {worst.bound:.2g}"
        )

    def _and_outputs(self) -> str:
        count = len(self.outputs)
        return f" and {count} output{'s' * (count != 1)}" if count else ""

    @property
    def table(self) -> str:
        """Every difference, in the order of layers, as text."""
        return aligned(self._told()[1])

    def _told(self) -> tuple[str, Rows]:
        rows = [("layer", "kind", "compared with", "error", "bound")]
        rows += [
            (one.layer, one.kind, one.compared, f"{one.error:.2g}", f"{one.bound:.2g}")
            for one in self.differences
        ]
        return f"{self!r}.", rows

    def as_dict(self) -> dict[str, Any]:
        """The verification as plain data, ready for JSON."""
        return {
            "source": self.source,
            "samples": self.samples,
            "differences": [one._asdict() for one in self.differences],
        }
