"""Values of a program that could not be read, and those that are kept or shown as outputs."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from spikewright.errors import Refusal
from spikewright.frontends.outputs import pick
from spikewright.frontends.pytorch.naming import Place
from spikewright.frontends.pytorch.program import Program, full_name, sizes_of
from spikewright.frontends.pytorch.readers.spectra import Complex
from spikewright.frontends.reading.values import Unreadable, Value, layout_of, sample_shape

T = TypeVar("T")


@dataclass(frozen=True)
class Shapeless(Value):
    """A value that could not be read, and of which not even the shape is known."""


@dataclass(frozen=True)
class Lacking:
    """A constant that could not be computed, and why."""

    why: Refusal


def lost(expected: Any) -> Any:
    """A value that could not be read, of the shape that it has in the program."""
    if isinstance(expected, list | tuple):
        return tuple(lost(one) for one in expected)
    if not isinstance(expected, torch.Tensor):
        return Shapeless(None, ())
    sizes = sizes_of(expected)
    fixed = all(isinstance(size, int) for size in sizes)
    return Value(None, sample_shape(sizes), layout_of(sizes)) if fixed else Shapeless(None, ())


def empty(expected: Any) -> Any:
    """A tensor without values, where an operator makes such; it is the same for all inputs."""
    if not isinstance(expected, torch.Tensor) or 0 not in sizes_of(expected):
        return None
    return torch.empty(sizes_of(expected), dtype=expected.dtype)


def refusal_of(node: Any, place: Place, why: Unreadable) -> Refusal:
    """The refusal of an operator at a place."""
    kind = f"{place.kind}: {full_name(node.target)}"
    return Refusal(place.name, kind, why.reason, why.options, place.location)


def find(kind: type[T], argument: Any) -> list[T]:
    """Everything of a kind in an argument, which may be nested."""
    if isinstance(argument, list | tuple):
        return [found for item in argument for found in find(kind, item)]
    return [argument] if isinstance(argument, kind) else []


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
