"""Registries: kinds of things by name, so that files, commands and tests find them."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T", bound=type)


def enter(registry: dict[str, Any], cls: T, kind: str, name: str = "") -> T:
    """Enter a class under a name, or its own; `kind` names the registry's members in the message.

    Returns the class. Raises `ValueError` where the name is taken.
    """
    name = name or cls.__name__
    if name in registry:
        raise ValueError(f"a {kind} named {name!r} is registered already")
    registry[name] = cls
    return cls
