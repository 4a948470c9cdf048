"""State of kernels as values: arrays of any library, numbers, and containers of them."""

from __future__ import annotations

from typing import Any


def copied(value: Any) -> Any:
    """A copy of state, which does not change when its kernel goes on; of a kernel its state."""
    if isinstance(value, dict):
        return {key: copied(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(copied(one) for one in value)
    if hasattr(value, "restore"):
        return value.state()
    copy = getattr(value, "clone", None) or getattr(value, "copy", None)
    return value if copy is None else copy()


def restored(now: Any, value: Any) -> Any:
    """What is to be held in the place of `now` after a return to a copied state.

    Kernels return to their states themselves.
    """
    if hasattr(now, "restore"):
        now.restore(value)
        return now
    return copied(value)
