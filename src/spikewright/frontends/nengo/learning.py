"""Learning rules: Nengo's by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikewright.frontends.nengo.fields import same_fields
from spikewright.frontends.nengo.kinds import own_kind
from spikewright.frontends.nengo.refusals import refused
from spikewright.frontends.nengo.synapses import is_users, synapse_of
from spikewright.network import learning
from spikewright.network.learning import LearningRuleType


def rules_of(connection: Any) -> Any:
    """A connection's rules in the form in which they were given: None, one, a list or a dict.

    Raises `ReadError` naming the connection for a rule, or a filter of one, that is a user's own.
    """
    theirs = connection.learning_rule_type
    if theirs is None:
        return None
    if isinstance(theirs, Mapping):
        return {key: _rule(connection, rule) for key, rule in theirs.items()}
    if isinstance(theirs, list | tuple):
        return [_rule(connection, rule) for rule in theirs]
    return _rule(connection, theirs)


def parts_of(rules: Any) -> list[tuple[Any, Any]]:
    """`connection.learning_rule`, of either side, as `(key, rule)` pairs."""
    if rules is None:
        return []
    if isinstance(rules, Mapping):
        return list(rules.items())
    return list(enumerate(rules)) if isinstance(rules, list | tuple) else [(None, rules)]


def _rule(connection: Any, theirs: Any) -> LearningRuleType:
    name = own_kind(theirs)
    if name not in learning.LEARNING_RULES:
        raise refused(
            connection,
            f"learning rule {type(theirs).__name__}",
            "its equation is not known",
            "use one of " + ", ".join(sorted(learning.LEARNING_RULES)),
        )

    def read(value: Any) -> Any:
        if not hasattr(value, "make_step"):
            return value
        if is_users(value):
            raise refused(
                connection, f"{name} filter {value!r}", "it is a user's own", "use Lowpass"
            )
        return synapse_of(connection, value)

    return same_fields(learning.LEARNING_RULES[name], theirs, read)
