"""The diagram of a network made by hand: its boxes, the arrows between them, their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from spikewright.network import Connection, Ensemble, Network
from spikewright.network.connection import object_of
from spikewright.network.learning import LearningRule

Names = Mapping[Any, str]
"""The names of a network's nodes and ensembles."""

BOXES = 40
"""Nodes and ensembles, at most, that have a box each: of more, a network inside is one box."""


def names_of(network: Network) -> Names:
    """Labels of nodes and ensembles; those without one are numbered by kind."""
    kinds: dict[str, Any] = {"Node": network.all_nodes, "Ensemble": network.all_ensembles}
    return {
        item: item.label or f"{kind} {place}"
        for kind, items in kinds.items()
        for place, item in enumerate(items, 1)
    }


def diagram_of(
    network: Network, names: Names, opens: Mapping[Any, Mapping[str, Any]]
) -> dict[str, Any]:
    """Boxes with a name, a kind, a size in words and a rank, and arrows between their places.

    An arrow is `[from, to, learning]`; one that learns brings a signal to a rule, and ends at what
    the connection with the rule leads to. A rank counts the arrows from the first boxes.
    `opens` are more entries of boxes, by node or ensemble.
    """
    boxes: list[dict[str, Any]] = []
    place: dict[Any, int] = {}
    for item, name in _inside(network, names):
        members = [item] if item in names else [*item.all_nodes, *item.all_ensembles]
        place |= dict.fromkeys(members, len(boxes))
        boxes.append({"name": name, **_kind_and_size(item), **opens.get(item, {})})
    arrows = sorted({_arrow(connection, place) for connection in network.all_connections})
    for box, rank in zip(boxes, ranks(len(boxes), arrows), strict=True):
        box["rank"] = rank
    return {"boxes": boxes, "arrows": arrows}


def _inside(network: Network, names: Names) -> Iterable[tuple[Any, str]]:
    """The items that get a box, with names: nodes and ensembles, or above 40 networks as one."""
    if len(names) <= BOXES:
        return names.items()
    own = [(item, name) for item, name in names.items() if item in set(_own(network))]
    inner = enumerate(network.networks, 1)
    return [*own, *((one, one.label or f"Network {number}") for number, one in inner)]


def _own(network: Network) -> list[Any]:
    return [*network.nodes, *network.ensembles]


def _kind_and_size(item: Any) -> dict[str, Any]:
    if isinstance(item, Network):
        count = len(item.all_ensembles)
        return {"kind": "network", "size": f"{count} ensemble{'s' * (count != 1)}"}
    if isinstance(item, Ensemble):
        return {"kind": "ensemble", "size": f"{item.n_neurons} neurons"}
    size = max(item.size_in, item.size_out)
    return {"kind": "node", "size": f"{size} value{'s' * (size != 1)}"}


def _arrow(connection: Connection, place: Mapping[Any, int]) -> tuple[int, int, bool]:
    """Both ends by place, and whether it leads to a rule."""
    end = connection.post_obj
    target = end.connection.post_obj if isinstance(end, LearningRule) else end
    return place[object_of(connection.pre_obj)], place[object_of(target)], target is not end


def ranks(boxes: int, arrows: Iterable[tuple[int, int, bool]]) -> list[int]:
    """Arrows on the shortest way to each box from where nothing arrives; in a loop, its first."""
    after: dict[int, list[int]] = {box: [] for box in range(boxes)}
    for start, end, _ in arrows:
        after[start] += [end] * (start != end)
    reached = {end for ends in after.values() for end in ends}
    found: dict[int, int] = {}
    first = [box for box in after if box not in reached]
    for starts in (first, *([box] for box in after)):
        near = deque((box, 0) for box in starts if box not in found)
        while near:
            box, rank = near.popleft()
            if box not in found:
                found[box] = rank
                near.extend((end, rank + 1) for end in after[box])
    return [found[box] for box in after]
