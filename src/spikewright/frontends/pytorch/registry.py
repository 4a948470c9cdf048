"""The registry of the functions that read operators."""

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


def reads(*targets: str, replace: bool = False) -> Callable[[R], R]:
    """Decorator: use this function to read the operators of these full names.

    It takes a `Call` and returns the `Value` that the operator makes, or a tuple of them (None
    where an element has no reading) for operators with several results; it raises `Unreadable` to
    refuse. With `replace` it takes the place of existing readings; without it a name that is
    taken raises `ValueError`.
    """

    def register(function: R) -> R:
        taken = [target for target in targets if target in _registry]
        if taken and not replace:
            raise ValueError(
                f"there is a reading of {', '.join(taken)} already. Give replace=True to put "
                "another in its place"
            )
        _registry.update(dict.fromkeys(targets, function))
        return function

    return register
