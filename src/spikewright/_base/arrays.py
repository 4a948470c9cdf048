"""Arrays and tensors as users give them, of whatever library."""

from __future__ import annotations

from typing import Any


def is_array(item: Any) -> bool:
    """Whether something is an array or a tensor."""
    return hasattr(item, "shape") and hasattr(item, "dtype")


def readable(value: Any) -> Any:
    """A value that NumPy can read: of a tensor its numbers, in main memory, without gradients."""
    for method in ("detach", "cpu"):
        value = getattr(value, method)() if hasattr(value, method) else value
    if "bfloat16" in str(getattr(value, "dtype", "")):  # which NumPy has not
        value = value.float() if hasattr(value, "float") else value.astype("float32")
    return value
