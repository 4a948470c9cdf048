"""The values of a program that are kept as outputs, and those that can be shown."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from spikewright.frontends.outputs import pick
from spikewright.frontends.pytorch.complex_values import Complex
from spikewright.frontends.pytorch.naming import Place
from spikewright.frontends.pytorch.program import Program
from spikewright.frontends.reading.values import Value


def kept(program: Program, places: Mapping[Any, Place], names: Sequence[str]) -> dict[str, Any]:
    """The nodes of outputs and layers by name; of several results of a layer, the first."""
    layers = {place.name: first_result(node) for node, place in places.items()}
    return pick(names, {**layers, **program.outputs})


def first_result(node: Any) -> Any:
    """The node of the first result of an operator that has several, or its own."""
    parts = [user for user in node.users if user.target is operator.getitem]
    return next((part for part in parts if part.args[1] == 0), node)


def is_shown(value: Value) -> bool:
    """Whether a graph's value is the program's, and no stand-in for minus infinity."""
    return value.masked is None and value.seen is None and not isinstance(value, Complex)


def why_no_output(value: Any) -> tuple[str, str] | None:
    """The reason why a value cannot be an output, and the next move; None where it can."""
    if not isinstance(value, Value):
        return "this output does not depend on the input", ""
    if isinstance(value, Complex):
        return "this output holds complex numbers", "Return torch.view_as_real of it"
    if value.masked is not None or value.seen is not None:
        return "this output is minus infinity in places", ""
    return None
