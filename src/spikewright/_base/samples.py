"""Arrays of samples: beside the shape of one, and several at once as a model's call takes them.

An array is held constant, over time, or neither. One number a sample, of shape `()` or `(1,)`, may
be given as `(batch,)` or as a column `(batch, 1)`, whichever of the two the input is. Arrays are of
NumPy or PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.arguments import is_array, is_number

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

    `rows` are those of `InputTree`; values for which they are not known are not looked at.
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


TreePath = tuple[str | int, ...]
"""The way to an array through a call: the argument's name, then keys and positions inside it."""

NamedInputs = dict[str, Any]


@dataclass(frozen=True)
class InputTree:
    """The forms in which a model takes its inputs: all by name, or as its own call takes them.

    `places` are by input name, in the order of the call's arguments. `ranks` are numbers of axes of
    a sample, which tell `[x]` from a list of samples. `lists` are the inputs whose samples come as
    a list of anything (of events). `rows` are numbers of rows of the tables in which rows are
    looked up by an input's values, `(*shape)` or `()`: infinity where there is no table. With
    `alone` a sample comes by itself, without a batch axis, and may be a number.
    """

    places: Mapping[str, TreePath]
    ranks: Mapping[str, int] = field(default_factory=dict)
    lists: frozenset[str] = frozenset()
    rows: Mapping[str, NDArray] = field(default_factory=dict, compare=False)
    alone: bool = False

    def named(self, x: Any) -> NamedInputs:
        """The given arrays, by input name.

        Takes an array for a single input, `{input name: array}`, and the arguments of the model's
        own call: in a list, a tuple or a dict, and nested ones. Raises `ValueError` for
        anything else.
        """
        found = self.find(x)
        if found is None and len(self.places) == 1 and not isinstance(x, Mapping):
            return dict.fromkeys(self.places, x)  # numbers in lists, or no array at all
        if found is None:
            raise ValueError(self._refusal(x))
        return found

    def find(self, x: Any) -> NamedInputs | None:
        """The given arrays, by input name; None where `x` does not give every input as arrays."""
        if isinstance(x, Mapping) and set(x) == set(self.places):
            return {name: x[name] for name in self.places}
        if len(self.places) == 1:
            (name,) = self.places
            if is_array(x) or self._is_list(name, x):
                return {name: x}
        return next(self._readings(x), None)

    def split(self, batch: Any) -> tuple[NamedInputs, Any] | None:
        """The inputs of a batch and its other members: x alone, `(x, y)` or `(a, b, y)`.

        None where it does not hold the inputs.
        """
        whole, pairs = [(batch, None)], list[tuple[Any, Any]]()
        if isinstance(batch, list | tuple) and batch:
            pairs = [(batch[0], batch[1] if len(batch) == 2 else None)] if len(batch) < 3 else []
            pairs += [(batch[:-1], batch[-1])] if len(batch) > 1 else []
        for x, y in (*pairs, *whole) if self.lists else (*whole, *pairs):
            found = self.find(x)
            if found is not None:
                return found, y
        return None

    def _readings(self, x: Any) -> Iterator[NamedInputs]:
        """Every way in which `x` is the arguments of the call."""
        arguments = self._tree
        ways: list[tuple[Any, Any]] = []
        if isinstance(x, list | tuple):
            given = [value for value in x if not self._is_setting(value)]
            if len(given) == len(arguments):
                ways.append((arguments, dict(zip(arguments, given, strict=True))))
        else:
            ways.append((arguments, x))
        if len(arguments) == 1:
            ways += [(tree, x) for tree in arguments.values() if not isinstance(tree, str)]
        for tree, value in ways:
            found = self._matched(tree, value)
            if found is not None:
                yield found

    @cached_property
    def _tree(self) -> dict[str | int, Any]:
        """Names of inputs at the ends of their places."""
        tree: dict[str | int, Any] = {}
        for name, place in self.places.items():
            inner = tree
            for step in place[:-1]:
                inner = inner.setdefault(step, {})
            inner[place[-1]] = name
        return tree

    def _matched(self, tree: Any, x: Any) -> NamedInputs | None:
        """The arrays of `x` by the names that stand in their places, if all are there."""
        if isinstance(tree, str):
            return {tree: x} if self._is_array(tree, x) or self._is_list(tree, x) else None
        inside = _inside(x, by_position=all(isinstance(step, int) for step in tree))
        if not set(tree) <= set(inside):
            return None
        if not all(self._is_setting(value) for step, value in inside.items() if step not in tree):
            return None
        found: NamedInputs = {}
        for step, part in tree.items():
            arrays = self._matched(part, inside[step])
            if arrays is None:
                return None
            found |= arrays
        return found

    def _is_array(self, name: str, x: Any) -> bool:
        """Whether this is the array of an input; of a single one it must have a batch axis."""
        if self.alone:
            return is_array(x) or _is_value(x)
        single = len(self.places) == 1
        return is_array(x) and (not single or x.ndim > self.ranks.get(name, 0))

    def _is_list(self, name: str, x: Any) -> bool:
        """Whether this is a list of an input's samples: of events, or of one number each."""
        if name in self.lists:
            return isinstance(x, list | tuple)
        numbers = self.ranks.get(name) == 0 and not self.alone and isinstance(x, list)
        return numbers and len(x) > 0 and all(map(_is_value, x))

    def _is_setting(self, value: Any) -> bool:
        """Whether an argument is none of the arrays: one left out, or an option."""
        if self.alone and _is_value(value):
            return False
        return value is None or isinstance(value, bool | int | float | str)

    def _refusal(self, x: Any) -> str:
        names = list(self.places)
        if isinstance(x, Mapping):
            return f"inputs are {names}, got {list(x)}"
        ways = "a list of arrays in this order"
        if any(len(place) > 1 for place in self.places.values()):
            ways = f"the structure that the model's own call takes, {_sketch(self._tree)}"
        return f"the network has inputs {names}: give {{name: array}}, or {ways}"


def _is_value(x: Any) -> bool:
    """Whether something is a number or a truth value of Python."""
    return isinstance(x, bool) or is_number(x)


def leaves(structure: Any, place: TreePath = ()) -> Iterator[tuple[TreePath, Any]]:
    """Everything in nested dicts, lists and tuples, and the way to it."""
    if isinstance(structure, Mapping):
        inside: Mapping[Any, Any] = structure
    elif isinstance(structure, list | tuple):
        inside = dict(enumerate(structure))
    else:
        yield place, structure
        return
    for step, part in inside.items():
        yield from leaves(part, (*place, step))


def first_samples(x: Any) -> Any:
    """The first two samples of arrays in any structure, and settings as they are.

    None for data that may come in batches: a list of containers, or no container at all.
    """
    batches = isinstance(x, list) and not any(map(is_array, x))
    known = is_array(x) or isinstance(x, Mapping | list | tuple)
    return _cut(x) if known and not batches else None


def _cut(x: Any) -> Any:
    """The first two samples of every array."""
    if is_array(x):
        return x[:2]
    if isinstance(x, Mapping):
        return {key: _cut(value) for key, value in x.items()}
    if isinstance(x, list | tuple):
        parts = map(_cut, x)
        return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
    return x


def _inside(x: Any, by_position: bool) -> Mapping[Any, Any]:
    """The members of a container, by key or by position; none for anything else."""
    if isinstance(x, Mapping):
        return x
    if not isinstance(x, list | tuple):
        return {}
    if hasattr(x, "_asdict") and not by_position:
        named: dict[str, Any] = x._asdict()
        return named
    return dict(enumerate(x))


def _sketch(tree: Any) -> str:
    """A structure as text, with names in the place of arrays."""
    if isinstance(tree, str):
        return tree
    inside = [f"{step!r}: {_sketch(part)}" for step, part in tree.items()]
    if all(isinstance(step, int) for step in tree):
        return f"[{', '.join(map(_sketch, tree.values()))}]"
    return f"{{{', '.join(inside)}}}"
