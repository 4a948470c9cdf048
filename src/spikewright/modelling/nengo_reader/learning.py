"""Filters and learning rules: Nengo's by name, a user's own rule by a function of the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright.errors import NetworkError, ReadError
from spikewright.modelling.nengo_reader.kinds import name_of, own_kind, refused, same_fields
from spikewright.network import Connection, learning
from spikewright.network.learning import LearningRuleType
from spikewright.network.synapses import Alpha, LinearFilter, Lowpass, Synapse, Triangle

Reader = Callable[[Any], LearningRuleType]
_readers: dict[type, Reader] = {}


def synapse_of(owner: Any, theirs: Any) -> Synapse | None:
    """The filter that a synapse is; None for none, and for one that `is_users` says is a user's.

    Raises `ReadError` naming `owner` for a filter that cannot be made.
    """
    if theirs is None or is_users(theirs):
        return None
    try:
        return _SYNAPSES[own_kind(theirs)](theirs)
    except NetworkError as error:
        raise refused(
            owner, f"synapse {theirs!r}", str(error), "use method zoh, bilinear or euler"
        ) from error


def is_users(theirs: Any) -> bool:
    """Whether a synapse is of a class that is not Nengo's."""
    return theirs is not None and own_kind(theirs) not in _SYNAPSES


def _linear(theirs: Any) -> Synapse:
    num, den = (tuple(np.ravel(v).tolist()) for v in (theirs.num, theirs.den))
    return LinearFilter(num, den, bool(theirs.analog), theirs.method)


_SYNAPSES: dict[str, Any] = {
    "Lowpass": lambda theirs: Lowpass(float(theirs.tau)),
    "Alpha": lambda theirs: Alpha(float(theirs.tau)),
    "LinearFilter": _linear,
    "Triangle": lambda theirs: Triangle(float(theirs.t)),
}


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


def learned_by(built: Any, theirs: Any, ours: Connection) -> dict[str, NDArray]:
    """Learned arrays of a connection, in the form of `Connection.learned`; none before a step.

    Raises `ReadError` naming the connection where `built` was closed and its learned arrays are
    gone.
    """
    if built is None or not getattr(built, "n_steps", 0):
        return {}
    known = getattr(built, "learned", None)  # of one of our own
    found = {}
    for rule in ours.learning_rules:
        if rule.learning_rule_type.modifies == "encoders":
            post = theirs.post_obj
            found["encoders"] = _encoders(built, theirs) if known is None else known[post]
        else:
            now = _now(built, theirs, theirs, "weights") if known is None else known[theirs]
            found["weights"] = now
    return found


def _encoders(built: Any, theirs: Any) -> NDArray:
    """Encoders of the ensemble that receives; those of neurons without gain are as they were."""
    ensemble, data = theirs.post_obj, built.data[theirs.post_obj]
    scaled, gain = _now(built, theirs, ensemble, "encoders"), np.asarray(data.gain)[:, None]
    before = np.array(data.encoders, np.float64)
    return np.divide(scaled * ensemble.radius, gain, out=before, where=gain != 0)


def _now(built: Any, connection: Any, owner: Any, name: str) -> NDArray:
    """A signal's present value."""
    if built.signals is None:
        raise ReadError(
            f"{name_of(connection)}: the values learned in {built.n_steps} steps were lost "
            "when the simulator was closed; give built= while it is open"
        )
    return np.array(built.signals[built.model.sig[owner][name]], np.float64)
