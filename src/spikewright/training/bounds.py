"""Bounds on spikes, joules and rates: how much each allows, and what a run spends of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.fission import Copies
from spikewright.errors import ConversionError, TrainingError
from spikewright.lower import by_layer
from spikewright.lower.populations import Roles
from spikewright.measure.energy import CostTable, cost_table, energy
from spikewright.measure.operations import Counter
from spikewright.running.converted import Converted
from spikewright.training.data import TrainingSamples
from spikewright.training.settings import Range, TrainingSettings
from spikewright.training.sites import TrainedSite

Prices = Mapping[str, Any]  # by layer: of a spike, a number or an array of the layer's shape


@dataclass(frozen=True, eq=False)
class Bound:
    """At most `limit` a sample may be spent by spikes, or at least that where it is `least`.

    Spikes cost `prices`; what a sample costs without any, `fixed`, is not part of the limit and of
    what is spent. `layer` is the only one that a bound on rates is about.
    """

    name: str
    unit: str
    limit: float
    prices: Prices
    fixed: float = 0.0
    least: bool = False
    layer: str | None = None

    @property
    def table(self) -> str | None:
        """The cost table that joules are counted by."""
        return None

    def excess(self, amount: float) -> float:
        """The share of the limit by which an amount is beyond it; below 0 within."""
        share = amount / self.limit - 1.0
        return -share if self.least else share

    def linear(self, counts: Mapping[str, Any]) -> Any:
        """What counts `{layer: (samples, *shape)}` amount to, summed over samples."""
        parts = ((counts[name] * price).sum() for name, price in self.prices.items())
        return sum(parts)

    def spent(self, counts: Mapping[str, NDArray], inputs: Mapping[str, NDArray]) -> float:
        """What a run spends that sends these counts, summed over samples."""
        return float(self.linear(counts))


@dataclass(frozen=True, eq=False)
class _Energy(Bound):
    """A bound on joules, which are counted operation by operation."""

    counted: _Counted | None = None

    @property
    def table(self) -> str | None:
        return None if self.counted is None else self.counted.table.name

    def spent(self, counts: Mapping[str, NDArray], inputs: Mapping[str, NDArray]) -> float:
        assert self.counted is not None
        samples = len(next(iter(inputs.values())))
        return self.counted(counts, inputs) - samples * self.fixed


@dataclass(frozen=True, eq=False)
class _Counted:
    """Joules of runs of a conversion under a cost table."""

    conversion: Converted
    table: CostTable
    steps: int

    @cached_property
    def counter(self) -> Counter:
        made = self.conversion
        return Counter(made.network, made.populations(), made.inputs)

    def __call__(self, counts: Mapping[str, NDArray], inputs: Mapping[str, NDArray]) -> float:
        operations = self.counter.count(counts, self.steps, inputs)
        return float(energy(operations, self.table).total.sum())

    def price(self) -> float:
        """Joules of a spike that meets one weight."""
        table, moved = self.table, self.table.number_bytes
        return table.accumulate + moved * (table.weight_byte + 2 * table.state_byte)


def bounds_of(
    conversion: Converted,
    sites: Mapping[str, TrainedSite],
    samples: TrainingSamples,
    settings: TrainingSettings,
) -> tuple[Bound, ...]:
    """The bounds of a training; raises `TrainingError` for those that no network could keep."""
    found: list[Bound] = []
    if settings.spikes is not None:
        found.append(
            Bound(f"spikes={settings.spikes:g}", "spikes", settings.spikes, dict.fromkeys(sites, 1))
        )
    if settings.joules is not None:
        found.append(_energy(conversion, samples, settings, settings.joules))
    for layer, (low, high) in _by_layer(conversion, sites, settings.rates).items():
        found += _rates(conversion, sites, settings, layer, low, high)
    return tuple(found)


def _energy(
    conversion: Converted, samples: TrainingSamples, settings: TrainingSettings, limit: float
) -> Bound:
    counted = _Counted(conversion, cost_table(settings.energy_table), settings.steps)
    populations = conversion.populations()
    silent = {n: np.zeros((len(samples), *e.shape)) for n, e in populations.items()}
    fixed = counted(silent, samples.x) / len(samples)
    if fixed >= limit:
        raise TrainingError(
            f"joules={limit:g}: a sample costs {fixed:.3g} J in {settings.steps} steps where no "
            f"neuron sends a spike, by the cost table {settings.energy_table!r}. Give more, or "
            "fewer steps"
        )
    fan_out = counted.counter.fan_out()
    copies = Copies.in_network(conversion)
    prices = {
        name: copies.channels(name, np.asarray(fan_out[name]), len(e.shape)) * counted.price()
        for name, e in populations.items()
        if name in fan_out
    }
    return _Energy(f"joules={limit:g}", "J", limit - fixed, prices, fixed, counted=counted)


def _by_layer(
    conversion: Converted, sites: Collection[str], rates: Mapping[str, Range]
) -> dict[str, Range]:
    """Ranges of rates by the names of layers; raises `TrainingError` for keys of none."""
    keys = Roles(conversion.canonical, conversion.lowered.stepping).keys
    try:
        found = by_layer(rates, keys.among(sites, keys.what), "rates", lambda value: value)
    except ConversionError as error:
        raise TrainingError(str(error)) from None
    return {name: value for name, value in found.items() if value is not None}


def _rates(
    conversion: Converted,
    sites: Mapping[str, TrainedSite],
    settings: TrainingSettings,
    layer: str,
    low: float,
    high: float,
) -> Iterator[Bound]:
    """The two bounds on a layer's mean rate in Hz."""
    cap = sites[layer].kind.most_spikes
    if cap is not None and low > cap / settings.dt:
        raise TrainingError(
            f"rates: neurons of layer {layer!r} send at most {cap} spikes a step, "
            f"{cap / settings.dt:g} Hz, which is below {low:g} Hz. Allow more spikes a step"
        )
    neurons = conversion.populations()[layer].n_neurons
    prices = {layer: 1.0 / (neurons * settings.steps * settings.dt)}
    said = f"rates={{{layer!r}: ({low:g}, {high:g})}}"
    yield Bound(said, "Hz", high, prices, layer=layer)
    if low:
        yield Bound(said, "Hz", low, prices, least=True, layer=layer)
