"""Arrays and tensors as users give them, of whatever library."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import check_unmasked


def is_array(item: Any) -> bool:
    """Whether something is an array or a tensor."""
    return hasattr(item, "shape") and hasattr(item, "dtype")


def readable(value: Any) -> Any:
    """A value that NumPy can read: of a tensor its numbers, in main memory, without gradients.

    Raises `TypeError` for an array with masked values.
    """
    check_unmasked(value)
    for method in ("detach", "cpu"):
        value = getattr(value, method)() if hasattr(value, method) else value
    if "bfloat16" in str(getattr(value, "dtype", "")):  # which NumPy has not
        value = value.float() if hasattr(value, "float") else value.astype("float32")
    return value


def frozen(array: NDArray) -> NDArray:
    """Make an array that nothing else holds read-only, so that others may share it."""
    array.setflags(write=False)
    return array


def immutable(array: Any) -> TypeGuard[NDArray]:
    """True for an array that nobody can write to, nor to the array that it is a part of."""
    if type(array) is not np.ndarray:
        return False
    while type(array) is np.ndarray and not array.flags.writeable:
        array = array.base
    return array is None or type(array) is bytes


class EqualByValue:
    """Equality and hash of frozen dataclasses (`eq=False`) that have arrays among their fields."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        values = vars(self).values()
        return tuple((v.shape, v.tobytes()) if isinstance(v, np.ndarray) else v for v in values)


def repeated(array: NDArray) -> NDArray | None:
    """The one value, without axes, that an array repeats without holding it twice, or None."""
    held = any(stride for stride, size in zip(array.strides, array.shape, strict=True) if size > 1)
    return None if held or array.size == 0 else array[(0,) * array.ndim]


def memory_of(array: NDArray) -> tuple[object, ...]:
    """Equal of two arrays that are the same numbers in the same place, while both are held."""
    place, _ = array.__array_interface__["data"]
    return place, array.shape, array.strides, array.dtype.str
