"""Settings that are given by layer: their keys, in the names of the network.

All of them take the same keys: names of layers, and of models and modules around them, activations,
neuron types, and the layers of the source themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any

from spikewright.errors import ConversionError, SimulationError
from spikewright.graph import Graph
from spikewright.lower import LayerKeys, Lowered, by_layer, keys_of_nodes
from spikewright.network import Ensemble, Node

BY_LAYER: Mapping[str, tuple[str, ...]] = {
    "spiking": ("convert",),
    "scale_firing_rates": ("convert",),
    "synapse": ("convert",),
    "initial_voltage": ("convert",),
    "bias_correction": ("convert",),
    "fission": ("convert",),
    "outputs": ("convert",),
    "record": ("run", "stream", "memory"),
    "twin": ("evaluate",),
    "rates": ("train",),
    "frozen": ("train", "reconstruct"),
}
"""Every setting that is given by layer, and the calls that take it."""


def in_names(arguments: Mapping[str, Any], named: Callable[[Any], Any]) -> dict[str, Any]:
    """Arguments with names in the place of layers of the model; `named` knows these."""
    return {name: named(value) if name in BY_LAYER else value for name, value in arguments.items()}


class Layers(Mapping[str, Ensemble | Node]):
    """The objects made of layers of the source: iterates over names, takes any key of one."""

    def __init__(self, lowered: Lowered, graph: Graph, named: Callable[[Any], Any]) -> None:
        self._items, self._graph, self._named = lowered.layers, graph, named

    def __repr__(self) -> str:
        return repr(dict(self._items))

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, key: Any) -> Ensemble | Node:
        if isinstance(key, str) and key in self._items:
            return self._items[key]
        named = self._named(key)
        names = list(keys_of_nodes(self._graph, self._items, "layer").selected([named]))
        found = {id(self._items[name]): self._items[name] for name in names}
        if len(found) > 1:
            raise KeyError(f"{named!r} means several layers: {', '.join(names)}. Name one of them")
        return next(iter(found.values()))


def recorded(record: Any, lowered: Lowered, graph: Graph) -> Any:
    """The names of the layers to record; raises `SimulationError` for keys of none."""
    keys = keys_of_nodes(graph, _with_values(lowered), "layer")
    given = [record] if isinstance(record, str) or not _is_several(record) else list(record)
    names: dict[Any, None] = {}
    if not all(isinstance(key, Hashable) for key in given):
        return record  # it is refused with what names are
    for key in given:
        around = key not in lowered.exact_values and keys.inside(key)
        if isinstance(key, str) and key in lowered.layers and not around:
            names[key] = None  # what has no values of its own is refused with the reason
            continue
        try:
            names |= keys.selected([key])
        except KeyError as error:
            if not isinstance(key, str):
                return record  # it is refused with what names are
            reason = f"record: {key!r} is no layer of the network. {error.args[0]}"
            raise SimulationError(reason) from None
    return list(names)


def twin_thresholds(twin: Any, keys: LayerKeys) -> Any:
    """Thresholds of the twin by the names of layers; raises `SimulationError` for keys of none."""
    if not isinstance(twin, Mapping):
        return twin
    try:
        found = by_layer(twin, keys.among(keys.members, keys.what), "twin", lambda value: value)
    except ConversionError as error:
        raise SimulationError(str(error)) from None
    return {name: value for name, value in found.items() if value is not None}


def _with_values(lowered: Lowered) -> list[str]:
    return [name for name in lowered.layers if name in lowered.exact_values]


def _is_several(record: Any) -> bool:
    return isinstance(record, Iterable) and not isinstance(record, Mapping)
