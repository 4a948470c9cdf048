"""Arrays of samples beside the shape of one: held constant, over time, or neither.

One number a sample, of shape `()` or `(1,)`, may be given as `(batch,)` or as a column
`(batch, 1)`, whichever of the two the input is. Arrays are of NumPy or PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Extents = tuple[int | None, ...]
"""The shape of a sample; None is a length that may be any from 1."""

_ONE_NUMBER = ((), (1,))


def held(array: Any, sample: Extents, batched: bool = True) -> Any | None:
    """The array as samples `(batch, *sample)`, or as a sample `(*sample)` if it is not batched.

    None where it holds no such samples.
    """
    lead, found = _split(array.shape, int(batched))
    if lead is None:
        return None
    if _fits(found, sample):
        return array
    if sample in _ONE_NUMBER and found in _ONE_NUMBER:
        return array.reshape((*lead, *_sizes(sample)))
    return None


def held_over(array: Any, sample: Extents) -> Any | None:
    """The array as samples over time, `(batch, steps, *sample)`; None where it holds none."""
    if len(array.shape) < 2 or 0 in array.shape:
        return None
    found = held(array.reshape(-1, *array.shape[2:]), sample)
    return None if found is None else found.reshape(*array.shape[:2], *found.shape[1:])


def duration(array: Any, sample: Extents, batched: bool = True) -> int | None:
    """The number of steps of `(batch, steps, *sample)`; None where an array is not over time."""
    lead, found = _split(array.shape, 1 + int(batched))
    return lead[-1] if lead is not None and lead[-1] and _fits(found, sample) else None


def over_time(array: Any, sample: Extents, steps: int | None = None, batched: bool = True) -> Any:
    """An array as `(batch, steps or 1, *sample)`; one that is held constant has one step.

    Without `steps` any number of them will do. Raises `ValueError` where it is neither held nor
    over time, and where it lasts another number of steps.
    """
    axis, found = int(batched), duration(array, sample, batched)
    if found is not None and steps in (None, found):
        return array
    constant = held(array, sample, batched)
    if constant is not None:
        return constant.reshape(*constant.shape[:axis], 1, *constant.shape[axis:])
    if found is not None:
        raise ValueError(f"has {found} steps, the run {steps}")
    ways = f"{format_shape(sample, batched=batched)} held constant"
    timed = format_shape(sample, "steps", batched=batched)
    raise ValueError(f"must be {ways} or {timed}, got shape {tuple(array.shape)}")


def held_constant(array: Any, sample: Extents, purpose: str = "", batched: bool = True) -> Any:
    """The same as `held`; raises `ValueError` where the array holds no such samples.

    `purpose` is the reason, in the message, why samples have to be held constant.
    """
    found = held(array, sample, batched)
    if found is None:
        shape = format_shape(sample, batched=batched)
        raise ValueError(f"must be {shape}{purpose}, got shape {tuple(array.shape)}")
    return found


def check_rows(values: NDArray, rows: NDArray | None, batched: bool = True) -> None:
    """Raise `ValueError` for the first value that is not the number of a row of its table.

    `rows` are those of `Structure`; values for which they are not known are not looked at.
    """
    if rows is None or values.shape[values.ndim - rows.ndim :] != rows.shape:
        return
    known = (values >= 0) & (values < rows) & (np.floor(values) == values)
    wrong = ~(known | np.isinf(rows))
    if not np.any(wrong):
        return
    place = tuple(int(axis[0]) for axis in np.nonzero(wrong))
    most = int(np.broadcast_to(rows, values.shape)[place]) - 1
    where = f" in sample {place[0]}" if batched else ""
    raise ValueError(
        f"holds {values[place]:.10g}{where}, but rows of its table are numbered 0 to {most}"
    )


def format_shape(sample: Extents, *before: str, batched: bool = True) -> str:
    """The shape of an array of samples as text: the names of its first axes, then a sample's."""
    names = (*(("batch",) if batched else ()), *before)
    axes = [*names, *("time" if size is None else str(size) for size in sample)]
    return f"({axes[0]},)" if len(axes) == 1 else f"({', '.join(axes)})"


def _split(shape: tuple[int, ...], lead: int) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
    """The first axes and a sample's; None where there are too few."""
    return (None, ()) if len(shape) < lead else (shape[:lead], shape[lead:])


def _fits(found: tuple[int, ...], sample: Extents) -> bool:
    return len(found) == len(sample) and all(
        size == wanted if wanted is not None else size > 0
        for size, wanted in zip(found, sample, strict=True)
    )


def _sizes(sample: Extents) -> tuple[int, ...]:
    return tuple(size for size in sample if size is not None)
