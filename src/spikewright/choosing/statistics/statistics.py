"""Calibration statistics of a model: the values that its layers take on data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from numpy.typing import NDArray

from spikewright.choosing.statistics.batches import refusal
from spikewright.choosing.statistics.examples import Examples
from spikewright.choosing.statistics.fingerprint import own_names
from spikewright.choosing.statistics.histogram import Histogram
from spikewright.choosing.statistics.layer import LayerStatistics
from spikewright.choosing.statistics.storage import load_parts, save_parts
from spikewright.graph import Graph

_STEP = re.compile(r"(?<=/step_)\d+")
"""The number of a step in the name of a layer that is written out step by step."""


@dataclass(frozen=True)
class Statistics:
    """Statistics of calibration data: `layers` by name, and a few `examples` of the samples.

    `fingerprint` tells the model that the layers belong to, `samples` how many samples there were.
    The same samples give the same statistics bit for bit, in whatever order, in batches of whatever
    size, collected here or in parts that are joined. A file holds the examples too: at most sixteen
    samples as they are. `rounding` keeps the limits that `above_rounding` measured on them.
    """

    layers: Mapping[str, LayerStatistics]
    samples: int
    fingerprint: str
    examples: Examples
    rounding: dict[str, NDArray] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def join(cls, parts: Sequence[Statistics]) -> Statistics:
        """The statistics of all samples, from those of parts of them; exact, in any order.

        Raises `ConversionError` where they are not of one model, or of more than can be counted.
        """
        first = parts[0]
        for part in parts:
            part.check(first.fingerprint, [*first.layers])
        layers = {
            name: _joined(name, [part.layers[name] for part in parts]) for name in first.layers
        }
        examples = Examples.join(part.examples for part in parts)
        return cls(layers, sum(part.samples for part in parts), first.fingerprint, examples)

    def in_names_of(self, graph: Graph) -> Statistics:
        """The same with the names of a graph's layers, where those here lack the printed kinds."""
        printed = {own: name for name, own in own_names(graph).items()}
        layers = {
            name if name in graph else printed.get(name, name): layer
            for name, layer in self.layers.items()
        }
        return replace(self, layers=layers) if [*layers] != [*self.layers] else self

    def check(self, fingerprint: str, names: Sequence[str] = ()) -> None:
        """Raise `ConversionError` unless these are statistics of this model, of these layers."""
        if self.fingerprint != fingerprint or not {*names} <= {*self.layers}:
            raise refusal(
                f"these are statistics of another model (or of other weights, or under another "
                f"max_pool), with layers {', '.join(self.layers)}",
                "Collect them anew: sw.convert(model).calibrate(x)",
            )

    def require_values(self) -> Statistics:
        """Itself; raises `ConversionError` for a layer whose values are padding in all samples.

        A step of a recurrent layer may be, where samples reach another step.
        """
        for name in self.layers:
            self._reached(name)
        return self

    def at_every_step(self) -> Statistics:
        """The statistics; steps that no sample reaches have those of the nearest that one does.

        Sequences that are padded beyond the longest sample have such steps. Raises as
        `require_values` does.
        """
        return replace(self, layers={name: self._reached(name) for name in self.layers})

    def _reached(self, name: str) -> LayerStatistics:
        """The statistics of a layer, or of the same layer at the nearest step with values."""
        own = self.layers[name]
        if len(own.values.code) or not own.evaluated:
            return own
        steps = [int(number) for number in _STEP.findall(name)]
        others = [
            (abs(int(_STEP.findall(other)[-1]) - steps[-1]), layer)
            for other, layer in self.layers.items()
            if steps and _STEP.sub("", other) == _STEP.sub("", name) and len(layer.values.code)
        ]
        if not others:
            raise refusal(
                f"layer {name!r} has no values: in all samples the mask hides them",
                "Give samples that are not all padding",
            )
        return min(others, key=lambda found: found[0])[1]

    def __repr__(self) -> str:
        return f"<Statistics of {len(self.layers)} layers, {self.samples} samples>"

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write to one file, atomically.

        Older statistics are replaced, any other file only with `overwrite` (`ExistingFileError`).
        """
        save_parts(path, self.layers, self.samples, self.fingerprint, self.examples, overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Statistics:
        """Read a file of `save`; raises `MissingFileError` or `DamagedFileError`."""
        return cls(*load_parts(path))


def _joined(name: str, parts: Sequence[LayerStatistics]) -> LayerStatistics:
    try:
        values = Histogram.join([part.values for part in parts])
    except ValueError as error:
        raise refusal(f"layer {name!r} has {error}") from None
    first = parts[0]
    evaluated = sum(part.evaluated for part in parts)
    return LayerStatistics(first.shape, first.axis, first.rectifies, values, evaluated)
