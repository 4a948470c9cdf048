"""Registries: kinds of things by name, so that files, commands and tests find them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T", bound=Callable[..., Any])


def enter(registry: dict[str, Any], member: T, kind: str, name: str = "") -> T:
    """Enter a class or a function under a name, or its own.

    Returns the member. Raises `ValueError` where the name is taken; `kind` names members there.
    """
    name = name or member.__name__
    if name in registry:
        raise ValueError(f"a {kind} named {name!r} is registered already")
    registry[name] = member
    return member
