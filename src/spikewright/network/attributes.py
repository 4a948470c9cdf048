"""Unknown attributes: setting one is an error that suggests the nearest known one."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, NoReturn, TypeVar

from spikewright._base import registries
from spikewright._base.options import did_you_mean
from spikewright._base.schema import declares_fields
from spikewright.errors import UnknownAttributeError


class Checked:
    """A modelling object: once it is `_made`, only existing attributes can be set.

    Instances of a user's own class are never `_made`: they take any attribute.
    """

    _made = False

    def __setattr__(self, name: str, value: Any) -> None:
        if self._made and not _has(self, name):
            raise unknown(self, name, f"{self!r}")
        object.__setattr__(self, name, value)


def _has(owner: object, name: str) -> bool:
    return name.startswith("_") or name in vars(owner) or hasattr(type(owner), name)


def unknown(owner: object, name: str, label: str) -> UnknownAttributeError:
    """The error of an unknown attribute."""
    names = [n for n in {*dir(type(owner)), *vars(owner)} if not n.startswith("_")]
    kind = type(owner).__name__
    hint = did_you_mean(name, sorted(names)) or "A class of your own may have it."
    return UnknownAttributeError(f"{label}: {kind} has no attribute {name!r}. {hint}")


T = TypeVar("T", bound=type)
K = TypeVar("K")


def fixed(cls: T) -> T:
    """Class decorator for frozen dataclasses: the error of setting a field names the next move."""

    def refuse(self: Any, name: str, value: Any) -> NoReturn:
        kind, names = type(self).__name__, [field.name for field in dataclasses.fields(self)]
        if name not in names:
            there = f"It has {', '.join(names)}." if names else "It has none."
            raise UnknownAttributeError(
                f"{kind} has no parameter {name!r}. {did_you_mean(name, names) or there}"
            )
        raise dataclasses.FrozenInstanceError(
            f"{kind}.{name} cannot be set: parameters stay as they are. Make another one, "
            f"dataclasses.replace(..., {name}={value!r})"
        )

    if declares_fields(cls):
        cls.__setattr__ = refuse  # type: ignore[method-assign, assignment]
    return cls


class ClassRegistry(registries.Registry[Any]):
    """Classes of one kind by name, read only but for `register`."""

    def register(self, cls: T) -> T:
        """Class decorator: make a class known to files, engines' tests and documentation."""
        return self.enter(fixed(cls))


class Stack(threading.local, Generic[K]):
    """What is open in this thread, the innermost last."""

    def __init__(self) -> None:
        self.items: list[K] = []

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """A context in which nothing is open."""
        before, self.items = self.items, []
        try:
            yield
        finally:
            self.items = before
