"""All that a training is of, before anything is computed with gradients: samples, sites and bounds.

Bounds on spikes, joules and rates say how much each allows, and what a run spends of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.choosing.fission import Copies
from spikewright.choosing.statistics.fingerprint import fingerprint
from spikewright.errors import ConversionError, TrainingError
from spikewright.evaluation.data import add_array
from spikewright.frontends.origins import Place
from spikewright.graph import Graph
from spikewright.lower import by_layer
from spikewright.lower.populations import Roles
from spikewright.measure.energy import cost_table, energy
from spikewright.measure.operations import Counter
from spikewright.measure.truth import Metric, Output
from spikewright.running.converted import Converted
from spikewright.training.data import SampleStream, TrainingSamples
from spikewright.training.options import Range, TrainOptions
from spikewright.training.sites import TrainedSite

Prices = Mapping[str, Any]  # by layer: of a spike, a number or an array of the layer's shape


@dataclass(frozen=True, eq=False)
class Bound:
    """At most `limit` a sample may be spent by spikes, or at least that where it is `least`.

    Spikes cost `prices`; what a sample costs without any, `fixed`, is not part of the limit and of
    what is spent. `layer` is the only one that a bound on rates is about. Joules are `counted`,
    operation by operation, by a cost table.
    """

    name: str
    unit: str
    limit: float
    prices: Prices
    fixed: float = 0.0
    least: bool = False
    layer: str | None = None
    counted: Callable[..., float] | None = None
    table: str | None = None

    def linear(self, counts: Mapping[str, Any]) -> Any:
        """The cost of counts `{layer: (samples, *shape)}`, summed over samples."""
        parts = ((counts[name] * price).sum() for name, price in self.prices.items())
        return sum(parts)

    def spent(self, counts: Mapping[str, NDArray], inputs: Mapping[str, NDArray]) -> float:
        """The cost of a run that sends these counts, summed over samples."""
        if self.counted is None:
            return float(self.linear(counts))
        samples = len(next(iter(inputs.values())))
        return self.counted(counts, inputs) - samples * self.fixed


def bounds_of(
    conversion: Converted,
    sites: Mapping[str, TrainedSite],
    samples: TrainingSamples,
    settings: TrainOptions,
) -> tuple[Bound, ...]:
    """The bounds of a training; raises `TrainingError` for those that no network could keep."""
    found: list[Bound] = []
    if (spikes := settings["spikes"]) is not None:
        found.append(Bound(f"spikes={spikes:g}", "spikes", spikes, dict.fromkeys(sites, 1)))
    if (joules := settings["joules"]) is not None:
        found.append(_energy(conversion, samples, settings, joules))
    for layer, (low, high) in _by_layer(conversion, sites, settings["rates"] or {}).items():
        found += _rates(conversion, sites, settings, layer, low, high)
    return tuple(found)


def _energy(
    conversion: Converted, samples: TrainingSamples, settings: TrainOptions, limit: float
) -> Bound:
    table, steps = cost_table(settings["energy_table"]), settings["steps"]
    populations = conversion.populations()
    counter = Counter(conversion.network, populations, conversion.inputs)

    def counted(counts: Mapping[str, NDArray], inputs: Mapping[str, NDArray]) -> float:
        return float(energy(counter.count(counts, steps, inputs), table).total.sum())

    silent = {n: np.zeros((len(samples), *e.shape)) for n, e in populations.items()}
    fixed = counted(silent, samples.x) / len(samples)
    if fixed >= limit:
        raise TrainingError(
            f"joules={limit:g}: a sample costs {fixed:.3g} J in {steps} steps where no neuron "
            f"sends a spike, by the cost table {table.name!r}. Give more, or fewer steps"
        )
    fan_out, copies = counter.fan_out(), Copies.in_network(conversion)
    of_weight = table.accumulate + table.number_bytes * (table.weight_byte + 2 * table.state_byte)
    prices = {
        name: copies.channels(name, np.asarray(fan_out[name]), len(e.shape)) * of_weight
        for name, e in populations.items()
        if name in fan_out
    }
    return Bound(
        f"joules={limit:g}", "J", limit - fixed, prices, fixed, counted=counted, table=table.name
    )


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
    settings: TrainOptions,
    layer: str,
    low: float,
    high: float,
) -> Iterator[Bound]:
    """The two bounds on a layer's mean rate in Hz."""
    cap, dt = sites[layer].kind.most_spikes, settings["dt"]
    if cap is not None and low > cap / dt:
        raise TrainingError(
            f"rates: neurons of layer {layer!r} send at most {cap} spikes a step, "
            f"{cap / dt:g} Hz, which is below {low:g} Hz. Allow more spikes a step"
        )
    neurons = conversion.populations()[layer].n_neurons
    prices = {layer: 1.0 / (neurons * settings["steps"] * dt)}
    said = f"rates={{{layer!r}: ({low:g}, {high:g})}}"
    yield Bound(said, "Hz", high, prices, layer=layer)
    if low:
        yield Bound(said, "Hz", low, prices, least=True, layer=layer)


_NO_RESULT = ("progress", "checkpoint", "thresholds", "frozen", "validation")
"""Settings that have no part in a result, and three of which what they come to is told."""


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """A graph with its sites, samples, bounds and settings.

    `first` are some samples to train on, by which the network is judged where none are held back.
    `exact` says that the rounded network is the spiking one. Arrays in `fixed` are not trained, nor
    are those of `frozen` layers.
    """

    graph: Graph
    sites: Mapping[str, TrainedSite]
    settings: TrainOptions
    outputs: Mapping[str, Output]
    data: TrainingSamples | SampleStream
    held_back: TrainingSamples | None
    first: TrainingSamples
    bounds: tuple[Bound, ...]
    exact: bool
    fixed: Collection[Place]
    frozen: Collection[Place]

    def about(self) -> dict[str, Any]:
        """Plain data: what results depend on, by name. Of a user's own batches only that it is."""
        told = {n: _plain(value) for n, value in self.settings.items() if n not in _NO_RESULT}
        return {
            "model": fingerprint(self.graph),
            "thresholds": _digest({n: s.threshold for n, s in self.sites.items()}),
            "starts": _digest({n: s.start for n, s in self.sites.items()}),
            "biases": _digest({n: s.biases for n, s in self.sites.items() if s.biases is not None}),
            "frozen": [f"{name}.{field}" for name, field in sorted(self.frozen)],
            "neurons": {name: str(site.kind) for name, site in self.sites.items()},
            "x and y": getattr(self.data, "digest", "batches"),
            "samples held back": getattr(self.held_back, "digest", None),
            **told,
        }


def _plain(value: Any) -> Any:
    """A setting as JSON has it; functions by what they are made of."""
    if callable(value):
        return Metric(value).key
    if isinstance(value, Mapping):
        return {name: list(pair) for name, pair in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _digest(arrays: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for name, array in arrays.items():
        add_array(digest, name, array)
    return digest.hexdigest()
