"""The registries that files refer to, the check of what they name, and learning rules as data."""

from __future__ import annotations

import graphlib
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from spikewright._base.arguments import is_whole
from spikewright._base.schema import check_types, declares_fields
from spikewright._base.windows import Windows
from spikewright.errors import NetworkError
from spikewright.network.connection import Connection
from spikewright.network.distributions import DISTRIBUTIONS
from spikewright.network.ensemble import Ensemble
from spikewright.network.functions import FUNCTIONS
from spikewright.network.learning import LEARNING_RULES
from spikewright.network.learning.rule import LearningRule
from spikewright.network.neurons import NEURON_TYPES, Direct
from spikewright.network.node import Node
from spikewright.network.probe import Probe
from spikewright.network.processes import PROCESSES
from spikewright.network.synapses import SYNAPSES

if TYPE_CHECKING:
    from spikewright.network.connection import Connection


Object = Node | Ensemble | Connection | Probe
Registry = Mapping[str, type]


def _all(*registries: Any) -> Registry:
    """Registries as one, with what is registered later."""
    return ChainMap({}, *registries)


TYPES = _all(NEURON_TYPES, {"Direct": Direct}, DISTRIBUTIONS)
RANDOM = _all(DISTRIBUTIONS, PROCESSES, SYNAPSES)
OUTPUTS = _all(FUNCTIONS, RANDOM)
RULES = _all(LEARNING_RULES, SYNAPSES)
DRAWN = (
    "rate_scale", "gain", "bias", "max_rates", "intercepts", "encoders", "eval_points", "noise",
)  # fmt: skip
PLAIN = ("radius", "n_eval_points", "normalize_encoders")


def check(value: Any, registry: Mapping[str, type]) -> None:
    """Raise `TypeError` unless a value, and all inside, are registered and of plain fields."""
    kind = type(value)
    if kind is not Windows and registry.get(kind.__name__) is not kind:
        raise TypeError(f"{kind.__name__} is not registered, so that a file could not name it")
    if not declares_fields(kind):
        raise TypeError(f"{kind.__name__} is not a dataclass, so that its fields are not known")
    check_types(value)
    for entry in fields(value):
        for item in _described(getattr(value, entry.name)):
            check(item, registry)


def _described(value: Any) -> Iterator[Any]:
    """The dataclasses in a field: itself, or in tuples and mappings, in any depth."""
    if isinstance(value, tuple | Mapping):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _described(item)
    elif is_dataclass(value):
        yield value


def rules_to_data(connection: Connection, plain: Callable[[Any], Any]) -> dict[str, Any]:
    """Data of a connection's rules and of its learned arrays; empty where it has neither.

    `plain` makes data of a rule or an array. Raises `NetworkError` for names that are not text.
    """
    rules, given = connection.learning_rules, connection.learning_rule_type
    found: dict[str, Any] = {}
    if connection.learned:
        found["learned"] = {name: plain(array) for name, array in connection.learned.items()}
    if given is None:
        return found
    kinds = [plain(rule.learning_rule_type) for rule in rules]
    names = [rule.key for rule in rules]
    if isinstance(given, dict):
        if not all(isinstance(name, str) for name in names):
            raise NetworkError(f"{connection!r}: names of rules must be text to be saved: {names}")
        return {**found, "rules": {"names": names, "kinds": kinds}}
    if isinstance(given, list):
        return {**found, "rules": {"kinds": kinds}}
    return {**found, "rules": {"single": kinds[0]}}


def rules_from_data(entry: Any, make: Callable[[Any], Any]) -> Any:
    """`learning_rule_type` from the data of `rules_to_data`; `make` makes a rule of its data."""
    data = entry.get("rules")
    if data is None:
        return None
    if "single" in data:
        return make(data["single"])
    kinds = [make(kind) for kind in data["kinds"]]
    if "names" not in data:
        return kinds
    names = data["names"]
    if len(set(names)) != len(kinds) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{len(kinds)} rules are named {names!r}")
    return dict(zip(names, kinds, strict=True))


def rule_of(connection: Any, key: Any) -> LearningRule:
    """The rule that a file names by its key; raises `LookupError` where there is none."""
    for rule in getattr(connection, "learning_rules", ()):
        if rule.key == key and type(rule.key) is type(key):
            found: LearningRule = rule
            return found
    raise LookupError(f"{connection!r} has no learning rule {key!r}")


def in_order(entries: Sequence[Any], first: int) -> list[int]:
    """An order in which every connection follows the one whose rule it leads to.

    The number of the first connection among all objects is `first`. Raises `ValueError` where there
    is no order.
    """
    needs = (_needed(entry["post"]) for entry in entries)
    before = {i: () if need is None else (need - first,) for i, need in enumerate(needs)}
    order = list(graphlib.TopologicalSorter(before).static_order())
    if len(order) > len(entries):
        raise ValueError("connections lead to learning rules of objects that are no connections")
    return order


def _needed(end: Any) -> int | None:
    """The connection whose rule an end is, by its number."""
    while "part" in end:
        end = end["part"]
    need = end.get("rule_of")
    if need is not None and not is_whole(need):
        raise TypeError(f"a connection is a number, not {need!r}")
    return need
