"""Calibration statistics of a model, the values that its layers take on data, and their files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import refuse
from spikewright._base.codec import ADDED, Format, describing
from spikewright._base.schema import Natural, Positive
from spikewright.choosing.statistics.channels import channel_size, channels_of, spread
from spikewright.choosing.statistics.fingerprint import KEPT, Examples, own_names
from spikewright.choosing.statistics.histogram import Histogram
from spikewright.errors import ConversionError
from spikewright.graph import Graph

Per = Literal["layer", "channel"]
Sharing = Literal["auto", "layer", "channel"]
"""The unit of one threshold, a layer or a channel; "auto": a channel where `is_wide`."""

_NARROW = 1.0 / 8  # of a layer's largest value: below, few steps send nothing under one threshold
_SHARE = 0.2  # of the channels that send something


def refusal(reason: str, options: str = "") -> ConversionError:
    """An error about the argument `calibration`."""
    return refuse("calibration", reason, options)


@dataclass(frozen=True, kw_only=True)
class LayerStatistics:
    """The values of one layer with neurons.

    `shape` is that of the layer without batch axis, `axis` the one its channels lie on (None for a
    single number). `evaluated` is how often all of its neurons were looked at, 0 where that is not
    known; of channels that are padding some values are missing. `values` has, channel by channel,
    the input currents where the layer is a ReLU (`rectifies`), whose outputs follow from them, and
    the outputs of any other layer.

    `least` is the limit that values of each channel have to exceed to be more than rounding errors,
    where that was measured: smaller ones are 0 in `values`. `rounded` says whether some channel has
    no others.
    """

    shape: tuple[Positive, ...]
    axis: Natural | None
    rectifies: bool
    evaluated: Natural = 0
    values: Histogram
    least: NDArray | None = field(default=None, compare=False, metadata=ADDED)
    rounded: bool = field(default=False, compare=False, metadata=ADDED)

    def above(self, least: NDArray) -> LayerStatistics:
        """The same with 0 in the place of values that are smaller than this, channel by channel."""
        given = replace(self, values=replace(self.values))  # what it keeps is forgotten here
        made = replace(self, values=given.values.without(least), least=least)
        lost = (made.magnitudes.highest == 0) & (given.magnitudes.highest > 0)
        return replace(made, rounded=bool(np.any(lost)))

    @cached_property
    def sent(self) -> Histogram:
        """The values that the layer sends, channel by channel."""
        values = self.values.filled()
        return values.rectified() if self.rectifies else values

    @cached_property
    def magnitudes(self) -> Histogram:
        """The magnitudes of the values that it sends, channel by channel: its spikes carry them."""
        return self.sent.magnitudes()

    @cached_property
    def largest(self) -> NDArray:
        """The largest magnitudes of the channels that send something, the smallest first."""
        highest = self.magnitudes.highest
        return np.sort(highest[highest > 0]).astype(float)

    @cached_property
    def is_wide(self) -> bool:
        """True where ranges of channels differ so much that one threshold cannot serve them all.

        That is where of the channels that send something a fifth have largest values below an
        eighth of the layer's.
        """
        found = self.largest
        return len(found) > 0 and float(np.mean(found < _NARROW * found[-1])) >= _SHARE

    def settled(self, per: Sharing) -> Per:
        """The unit of one threshold in this layer."""
        if per == "auto":
            return "channel" if self.is_wide else "layer"
        return per

    def sends(self, per: Sharing) -> Histogram:
        """The values that it sends, with their signs, of the layer or of each channel."""
        return self.sent if self.settled(per) == "channel" else self.sent.together

    def magnitude(self, per: Sharing) -> Histogram:
        """Magnitudes of the values that it sends, of the layer or of each channel."""
        return self.magnitudes if self.settled(per) == "channel" else self.magnitudes.together

    def value(self, per: Sharing) -> Histogram:
        """`values`, of the layer or of each channel."""
        values = self.values.filled()
        return values if self.settled(per) == "channel" else values.together

    @property
    def is_silent(self) -> bool:
        """True for a layer that sends nothing but zeros."""
        return float(self.magnitudes.highest.max()) == 0.0

    @property
    def per_sample(self) -> float:
        """The mean over samples of the summed magnitudes of all its neurons."""
        per_channel = np.where(self.magnitudes.total > 0, self.magnitudes.mean, 0.0)
        return float((per_channel * self.neurons).sum())

    @property
    def neurons(self) -> NDArray:
        """The neurons of each channel, `(channels,)`: of what is padding now and then the mean."""
        size = channel_size(self.shape, self.axis)
        if not self.evaluated:
            return np.full(self.values.channels, size)
        return self.values.total / self.evaluated

    def spread(self, values: NDArray) -> NDArray:
        """One number a channel (or one alone) as an array that broadcasts to the layer's shape."""
        return spread(values, self.shape, self.axis)


@dataclass(frozen=True, kw_only=True)
class StatisticsEntry:
    """Statistics in a file."""

    layers: Mapping[str, LayerStatistics]
    samples: Positive
    fingerprint: str
    keys: tuple[str, ...]
    examples: Mapping[str, NDArray]


FORMAT = Format("statistics", StatisticsEntry)


def _examples(entry: StatisticsEntry) -> Examples:
    keys, values = entry.keys, entry.examples
    for name, value in values.items():
        if value.dtype != np.float64 or len(value) != len(keys) or not np.all(np.isfinite(value)):
            raise ValueError(f"examples of {name!r} are not {len(keys)} samples of finite numbers")
    if not values or not 0 < len(keys) <= min(KEPT, entry.samples):
        raise ValueError(f"{len(keys)} examples of {entry.samples} samples cannot be")
    if list(keys) != sorted(set(keys)):
        raise ValueError("the keys of examples are out of order")
    return Examples(keys, values)


def _check(layer: LayerStatistics) -> None:
    """Raise `ValueError` where the columns of a histogram are not those of a layer's channels."""
    values, channels = layer.values, channels_of(layer.shape, layer.axis)
    code, counts, first, second = values.bins
    sizes = {column.shape for column in (code, counts, first, second)}
    kinds = {column.dtype for column in (code, counts, first, second)} | {np.dtype(np.int64)}
    if len(sizes) > 1 or len(kinds) > 1 or code.ndim != 1:
        raise ValueError("a histogram's columns differ")
    if np.any(np.diff(code) <= 0) or np.any(counts < 1):
        raise ValueError("a histogram's bins are out of order or empty")
    if len(code) and not 0 <= code[0] <= code[-1] < channels << 17:
        raise ValueError("a histogram's bins lie in no channel")
    if not Histogram.holds(counts, first, second):
        raise ValueError("a histogram's sums are not those of remainders")
    filled = np.isin(np.arange(channels), code >> 17)
    for ends, none in ((values.lowest, np.inf), (values.highest, -np.inf)):
        if ends.shape != (channels,) or ends.dtype != np.float32:
            raise ValueError("a histogram's ends are not a number for each channel")
        if not np.all(np.where(filled, np.isfinite(ends), ends == none)):
            raise ValueError("a histogram's ends are not finite, or belong to no values")
    if np.any(filled & (values.lowest > values.highest)):
        raise ValueError("a histogram ends before it begins")


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
        entry = StatisticsEntry(
            layers=self.layers,
            samples=self.samples,
            fingerprint=self.fingerprint,
            keys=self.examples.keys,
            examples=self.examples.values,
        )
        FORMAT.write(path, entry, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Statistics:
        """Read a file of `save`; raises `MissingFileError` or `DamagedFileError`."""
        entry = FORMAT.read(path)
        with describing(FORMAT.kind, path):
            for layer in entry.layers.values():
                _check(layer)
            return cls(entry.layers, entry.samples, entry.fingerprint, _examples(entry))


def _joined(name: str, parts: Sequence[LayerStatistics]) -> LayerStatistics:
    try:
        values = Histogram.join([part.values for part in parts])
    except ValueError as error:
        raise refusal(f"layer {name!r} has {error}") from None
    first = parts[0]
    evaluated = sum(part.evaluated for part in parts)
    return replace(first, values=values, evaluated=evaluated)
