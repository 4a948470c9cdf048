"""Learning rules and learned arrays, as users give them to a connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikewright._base.arguments import numbers_or_nan
from spikewright.errors import NetworkError
from spikewright.network.learning.base import LearningRuleType
from spikewright.network.learning.fitting import check_fit
from spikewright.network.learning.rule import LearningRule

if TYPE_CHECKING:
    from spikewright.network.connection import Connection

_LEARNED = ("weights", "encoders")


def rules_given(connection: Connection, value: Any) -> tuple[Any, tuple[LearningRule, ...]]:
    """`learning_rule_type` as it is kept, and the rules as targets, in order.

    Raises `NetworkError` naming the connection for anything but a rule, and for a rule without
    weights to learn.
    """
    kept: Any = value
    if isinstance(value, Mapping):
        kept = dict(value)
    elif isinstance(value, list | tuple):
        kept = list(value)
    named = _by_key(kept)
    for rule in named.values():
        if not isinstance(rule, LearningRuleType):
            raise NetworkError(
                f"{connection!r}: learning_rule_type is None, a learning rule, or a list or dict "
                f"of them, got {rule!r}"
            )
        check_fit(connection, rule)
    return kept, tuple(LearningRule(connection, rule, key) for key, rule in named.items())


def _by_key(rules: Any) -> dict[Any, Any]:
    """Rules by their place in a list or dict, or a single one by None."""
    if isinstance(rules, dict):
        return rules
    if isinstance(rules, list):
        return dict(enumerate(rules))
    return {} if rules is None else {None: rules}


def learned_given(connection: Connection, value: Mapping[str, ArrayLike]) -> dict[str, NDArray]:
    """Learned weights by name; raises `NetworkError` for other names and for non-matrices."""
    found = {}
    for name, values in value.items():
        if name not in _LEARNED:
            raise NetworkError(f"{connection!r}: learned arrays are named {_LEARNED}, got {name!r}")
        array = numbers_or_nan(values)
        if array.ndim != 2 or not np.all(np.isfinite(array)):
            raise NetworkError(
                f"{connection!r}: learned {name} must be a matrix of finite numbers, got shape "
                f"{array.shape}"
            )
        found[name] = array
    return found
