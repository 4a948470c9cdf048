"""Objects that are parameters alone: the same names on both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def same_fields(
    cls: type[T],
    theirs: Any,
    read: Callable[[Any], Any] = lambda v: v,
    leaving: tuple[str, ...] = (),
) -> T:
    """An instance of the dataclass `cls` with the values of `theirs` under the same names.

    But for those in `leaving`.
    """
    given = {
        field.name: read(getattr(theirs, field.name))
        for field in fields(cls)  # type: ignore[arg-type]
        if hasattr(theirs, field.name) and field.name not in leaving
    }
    return cls(**given)
