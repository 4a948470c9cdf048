"""Registries: kinds of things by name, so that files, commands and tests find them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T", bound=Callable[..., Any])
K = TypeVar("K")


class Registry(Mapping[str, K]):
    """Classes or functions of one kind by name, read only but for what is entered."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._members: dict[str, K] = {}

    def enter(self, member: T, name: str = "") -> T:
        """Enter a class or a function under a name, or its own; returns it.

        Raises `ValueError` where the name is taken.
        """
        name = name or member.__name__
        if name in self._members:
            raise ValueError(f"a {self._kind} named {name!r} is registered already")
        found: Any = member
        self._members[name] = found
        return member

    def named(self, name: str) -> Callable[[T], T]:
        """Decorator: make a class or a function known by a name."""
        return lambda member: self.enter(member, name)

    def __getitem__(self, name: str) -> K:
        return self._members[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)
