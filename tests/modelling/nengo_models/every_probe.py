"""Probes of everything that can be probed in a model of Nengo's, and of its twin here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import nengo
import numpy as np
from numpy.typing import NDArray

nengo.rc.set("decoder_cache", "enabled", "False")  # decoders are solved here, by this NumPy

LARGE = frozenset({"weights", "scaled_encoders", "delta", "inv_gamma"})
"""Attributes with values for two axes: a sample now and then is enough."""


class Request(NamedTuple):
    """A probe of the object number `place` among those of its `kind`, or of a part of it."""

    kind: str
    place: int
    key: Any
    attr: str
    options: dict[str, Any]


def objects(model: Any) -> dict[str, list[Any]]:
    """Everything in a model that may be probed, by kind, in the order in which it was made."""
    ensembles, connections = model.all_ensembles, model.all_connections
    rules = [rule for c in connections for rule in _each(c.learning_rule)]
    neurons = [e.neurons for e in ensembles if type(e.neuron_type).__name__ != "Direct"]
    return {
        "node": model.all_nodes, "ensemble": ensembles, "neurons": neurons,
        "connection": connections, "rule": rules,
    }  # fmt: skip


def _each(rules: Any) -> list[Any]:
    if isinstance(rules, dict):
        return list(rules.values())
    return [] if rules is None else list(rules) if isinstance(rules, list) else [rules]


def requests(model: Any) -> Iterator[Request]:
    """Every attribute of every object: as it is, behind a filter, now and then, and by parts."""
    for kind, found in objects(model).items():
        for place, item in enumerate(found):
            for attr in item.probeable:
                if attr == "weights" and kind == "connection" and not item.has_weights:
                    continue
                yield from _of_one(kind, place, item, attr)


def _of_one(kind: str, place: int, item: Any, attr: str) -> Iterator[Request]:
    every = {"sample_every": 0.007} if attr in LARGE else {}
    ways: list[dict[str, Any]] = [every, {"sample_every": 0.004}]
    if not isinstance(getattr(item, "transform", None), nengo.Sparse) or attr != "weights":
        ways.append({"synapse": 0.01, **every})  # which Nengo refuses of sparse weights
    for options in ways:
        yield Request(kind, place, None, attr, options)
    if kind in ("node", "ensemble", "neurons") and attr != "scaled_encoders":
        last = (item.size_in if attr == "input" else item.size_out) - 1
        for key in (slice(None, None, -1), [last, 0], slice(0, last, 2)) if last > 0 else ():
            yield Request(kind, place, key, attr, {})


def add(n: Any, model: Any, wanted: list[Request]) -> list[Any]:
    """The probes, made by module `n` inside a model of its own."""
    found = objects(model)
    probes = []
    with model:
        for kind, place, key, attr, options in wanted:
            item = found[kind][place]
            probes.append(n.Probe(item if key is None else item[key], attr, **options))
    return probes


def numbers(samples: Any) -> NDArray:
    """Recordings as one array; those of sparse weights are matrices."""
    array = np.asarray(samples)
    return np.array([each.toarray() for each in array]) if array.dtype == object else array


def differences(wanted: list[Request], theirs: list[Any], ours: list[Any]) -> list[str]:
    """Recordings that are not equal to rounding, each in words."""
    found = []
    for request, a, b in zip(wanted, map(numbers, theirs), map(numbers, ours), strict=True):
        if a.shape != b.shape:
            found.append(f"{request}: {a.shape} in Nengo, {b.shape} here")
        elif a.size and np.abs(a - b).max() > 1e-8 * np.abs(a).max():
            found.append(f"{request}: differs by {np.abs(a - b).max() / np.abs(a).max():.1e}")
    return found
