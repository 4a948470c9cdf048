"""Layers of a source that share parameters: one that is called twice is two nodes of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from spikewright.frontends.origins import Origin, Place
from spikewright.graph import Graph

_INDEX_BITS = 40  # of a code: the number of a value in its parameter


def with_shared(graph: Graph, origins: Mapping[Place, Origin]) -> Graph:
    """The same graph, in which arrays of the same numbers of a parameter are one array.

    So they are trained as one, and go home as one.
    """
    known: dict[object, NDArray] = {}
    changed: dict[Place, NDArray] = {}
    for node in graph:
        for field, array in node.layer.arrays().items():
            origin = origins.get((node.name, field))
            if origin is not None:
                first = known.setdefault(_key(origin), array)
                if first is not array and np.array_equal(first, array):
                    changed[node.name, field] = first
    return graph.with_arrays(changed)


def memory_of(array: NDArray) -> object:
    """A key: arrays that are the same values of memory have the same one."""
    found = array.__array_interface__
    return found["data"][0], array.shape, array.strides, array.dtype


def with_sharing(places: Iterable[Place], graph: Graph) -> set[Place]:
    """Arrays, and all those of other layers that are the same values of memory."""
    every = {
        (node.name, field): memory_of(array)
        for node in graph
        for field, array in node.layer.arrays().items()
    }
    memories = {every[place] for place in places if place in every}
    return {place for place, memory in every.items() if memory in memories}


def in_other_orders(origins: Mapping[Place, Origin]) -> set[Place]:
    """Arrays with a number of a parameter that stands elsewhere too, in another order.

    A weight and its transpose are two such arrays. Trained apart they could not both go home.
    """
    places: dict[object, list[Place]] = {}
    for place, origin in origins.items():
        places.setdefault(_key(origin), []).append(place)
    firsts = [origins[some[0]] for some in places.values()]
    codes = [(o.which.astype(np.int64) << _INDEX_BITS | o.index).reshape(-1) for o in firsts]
    flat = np.concatenate([np.zeros(0, np.int64), *codes])
    owner = np.repeat(np.arange(len(codes)), [len(code) for code in codes])
    _, number, times = np.unique(flat, return_inverse=True, return_counts=True)
    several = set(owner[times[number] > 1].tolist())
    return {place for i, some in enumerate(places.values()) if i in several for place in some}


def _key(origin: Origin) -> object:
    """A key: arrays of the same numbers of a parameter, in the same order, have the same one."""
    names = tuple(origin.held)
    return names, origin.which.tobytes(), origin.index.tobytes(), origin.index.shape
