"""Frozen layers: their weights and biases stay as they are, thresholds and starts may move."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from spikewright.errors import TrainingError, listed
from spikewright.frontends.origins import Place
from spikewright.graph import Graph
from spikewright.lower import keys_of_nodes
from spikewright.training.trainable import trained_arrays, with_sharing


def arrays_of(graph: Graph, names: Sequence[str] | None) -> set[Place] | None:
    """The arrays of layers, each by its own name or that of the model or module around it.

    None without names. Raises `TrainingError` for a name of no layer.
    """
    if names is None:
        return None
    keys = keys_of_nodes(graph, [node.name for node in graph], "layer")
    found: set[Place] = set()
    for name in names:
        nodes = keys.named(name) | keys.inside(name) or keys.alike(name)
        if not nodes:
            raise TrainingError(f"frozen: the model has no layer {name!r}. {keys.unknown(name)}")
        found.update((node, entry) for node in nodes for entry in graph[node].layer.arrays())
    return found


def frozen_arrays(graph: Graph, given: Collection[Place]) -> frozenset[Place]:
    """Of given arrays those that could be trained, and all that are the same values.

    An array that several layers share is frozen with any of them.
    """
    return frozenset(with_sharing(given, graph) & trained_arrays(graph).keys())


def frozen_layers(graph: Graph, frozen: Collection[Place]) -> dict[str, tuple[str, ...]]:
    """The source's layers with frozen arrays, and the names of these."""
    found: dict[str, dict[str, None]] = {}
    for node, entry in trained_arrays(graph):
        if (node, entry) in frozen:
            found.setdefault(graph[node].source or node, {})[entry] = None
    return {layer: tuple(entries) for layer, entries in found.items()}


def in_words(layers: Mapping[str, Sequence[str]]) -> str:
    """Layers and their frozen arrays, in words: of many the first."""
    return listed([f"{layer} ({', '.join(arrays)})" for layer, arrays in layers.items()])


def in_part_of(graph: Graph, frozen: Collection[Place]) -> frozenset[Place]:
    """All arrays of those layers of a rewritten graph that frozen ones became part of.

    A convolution that took in a frozen normalisation has no array of which only a factor may move.
    """
    names = {graph.aliases.get(name, name) for name, _ in frozen}
    return frozenset(place for place in trained_arrays(graph) if place[0] in names)
