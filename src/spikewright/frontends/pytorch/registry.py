"""Which operators have a reading."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from spikewright.frontends.pytorch.call import Call

Reader = Callable[["Call"], Any]
R = TypeVar("R", bound=Reader)

_registry: dict[str, Reader] = {}
READERS = MappingProxyType(_registry)
"""The reading of every operator, by its full name such as `aten.relu.default` (read only)."""


def reads(*targets: str) -> Callable[[R], R]:
    """Decorator: use this function to read the operators of these full names.

    It takes a `Call` and returns the `Value` that the operator makes, or a tuple of them (None
    where an element has no reading) for operators with several results; it raises `Cannot` to
    refuse. Raises `ValueError` if a name is taken.
    """

    def register(function: R) -> R:
        taken = [target for target in targets if target in _registry]
        if taken:
            raise ValueError(f"there is a reading of {', '.join(taken)} already")
        _registry.update(dict.fromkeys(targets, function))
        return function

    return register
