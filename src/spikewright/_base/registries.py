"""Registries: kinds of things by the names of their classes, so that files and tests find them."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T", bound=type)


def enter(registry: dict[str, Any], cls: T, kind: str) -> T:
    """Enter a class under its name; `kind` names the registry's members in the message.

    Returns the class. Raises `ValueError` where the name is taken.
    """
    if cls.__name__ in registry:
        raise ValueError(f"a {kind} named {cls.__name__!r} is registered already")
    registry[cls.__name__] = cls
    return cls
