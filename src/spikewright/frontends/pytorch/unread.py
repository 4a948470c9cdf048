"""Values and constants of a program that could not be read, and what stands for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from spikewright.errors import Refusal
from spikewright.frontends.pytorch.naming import Place
from spikewright.frontends.pytorch.program import full_name, sizes_of
from spikewright.frontends.reading.layout import layout_of, sample_shape
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.values import Value

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
