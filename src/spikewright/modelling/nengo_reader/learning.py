"""Learning rules: Nengo's by name, a user's own by a function of the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spikewright.modelling.nengo_reader.fields import same_fields
from spikewright.modelling.nengo_reader.kinds import own_kind
from spikewright.modelling.nengo_reader.refusals import refused
from spikewright.modelling.nengo_reader.synapses import is_users, synapse_of
from spikewright.network import learning
from spikewright.network.learning import LearningRuleType

Reader = Callable[[Any], LearningRuleType]
_readers: dict[type, Reader] = {}


def reads_rule(theirs: type) -> Callable[[Reader], Reader]:
    """Decorator of a function that returns the `LearningRuleType` for a rule of a user's class.

    `theirs` is the class, as Nengo's connections have it in `learning_rule_type`; the function
    takes its instances, and those of its subclasses. The last function given for a class holds.
    Raises `TypeError` unless `theirs` is a class.
    """
    if not isinstance(theirs, type):
        raise TypeError(f"reads_rule takes the class of a learning rule, got {theirs!r}")

    def register(reader: Reader) -> Reader:
        _readers[theirs] = reader
        return reader

    return register


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
    reader = next((_readers[cls] for cls in type(theirs).__mro__ if cls in _readers), None)
    if reader is not None:
        return _read(connection, theirs, reader)
    name = own_kind(theirs)
    if name not in learning.LEARNING_RULES:
        raise refused(
            connection,
            f"learning rule {type(theirs).__name__}",
            "its equation is not known",
            "say what it computes by spikewright.modelling.nengo_reader.reads_rule, or use one of "
            + ", ".join(sorted(learning.LEARNING_RULES)),
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


def _read(connection: Any, theirs: Any, reader: Reader) -> LearningRuleType:
    """The rule that a user's function returns for a rule of the user's class."""
    ours = reader(theirs)
    if not isinstance(ours, LearningRuleType):
        raise refused(
            connection,
            f"learning rule {type(theirs).__name__}",
            f"the function that reads it gave {ours!r}",
            "let it return a LearningRuleType",
        )
    return ours
