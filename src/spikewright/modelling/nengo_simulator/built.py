"""`simulator.model`: the built model, with the attributes that Nengo's users read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikewright.engines import Program
from spikewright.engines.program import Learned, Operator


@dataclass(frozen=True)
class TaggedOperator:
    """One operator of the program; `tag` names its origin.

    Where Nengo has a name for an operator as a part of a learning rule, that is its tag: the map
    of an error to the neurons that receive it is `PES:encode`.
    """

    tag: str
    operator: Operator


@dataclass(frozen=True)
class BuiltModel:
    """The network read (`toplevel`), its seeds by object, and the operators that run."""

    toplevel: Any
    dt: float
    seeds: dict[Any, int]
    params: Any
    operators: tuple[TaggedOperator, ...]


def tagged(program: Program) -> tuple[TaggedOperator, ...]:
    """A program's operators with their tags."""
    encoded = {
        signal: type(learning.rule).__name__
        for op in program.operators
        if isinstance(op, Learned)
        for learning in op.rules
        for name, signal in learning.signals.items()
        if name == "error"
    }
    tags = []
    for op in program.operators:
        along = op.label.endswith("along encoders") and op.output in encoded
        tags.append(TaggedOperator(f"{encoded[op.output]}:encode" if along else op.label, op))
    return tuple(tags)
