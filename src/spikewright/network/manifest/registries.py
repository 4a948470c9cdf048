"""The registries that files refer to, and the check of the objects that they name."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from spikewright._base.schema import check_types, declares_fields
from spikewright._base.windows import Windows
from spikewright.network.connection import Connection
from spikewright.network.distributions import DISTRIBUTIONS
from spikewright.network.ensemble import Ensemble
from spikewright.network.functions import FUNCTIONS
from spikewright.network.learning import LEARNING_RULES
from spikewright.network.neurons import NEURON_TYPES, Direct
from spikewright.network.node import Node
from spikewright.network.probe import Probe
from spikewright.network.processes import PROCESSES
from spikewright.network.synapses import SYNAPSES

Object = Node | Ensemble | Connection | Probe
Registry = Mapping[str, type]


def _all(*registries: Any) -> Registry:
    """Registries as one, with what is registered later."""
    return ChainMap({}, *registries)


TYPES = _all(NEURON_TYPES, {"Direct": Direct}, DISTRIBUTIONS)
RANDOM = _all(DISTRIBUTIONS, PROCESSES, SYNAPSES)
OUTPUTS = _all(FUNCTIONS, RANDOM)
RULES = _all(LEARNING_RULES, SYNAPSES)
VALUES = ("rate_scale",)
DRAWN = ("gain", "bias", "max_rates", "intercepts", "encoders", "eval_points", "noise")
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
