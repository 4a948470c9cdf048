"""Several arrays at once, in whatever structure the call of a source model takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from spikewright._base.arguments import is_number
from spikewright._base.arrays import is_array

Place = tuple[str | int, ...]
"""The way to an array through a call: the argument's name, then keys and positions inside it."""

Named = dict[str, Any]


@dataclass(frozen=True)
class Structure:
    """The forms in which a model takes its inputs: all by name, or as its own call takes them.

    `places` are by input name, in the order of the call's arguments. `ranks` are numbers of axes of
    a sample, which tell `[x]` from a list of samples. `lists` are the inputs whose samples come as
    a list of anything (of events). `rows` are numbers of rows of the tables in which rows are
    looked up by an input's values, `(*shape)` or `()`: infinity where there is no table. With
    `alone` a sample comes by itself, without a batch axis, and may be a number.
    """

    places: Mapping[str, Place]
    ranks: Mapping[str, int] = field(default_factory=dict)
    lists: frozenset[str] = frozenset()
    rows: Mapping[str, NDArray] = field(default_factory=dict, compare=False)
    alone: bool = False

    def named(self, x: Any) -> Named:
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

    def find(self, x: Any) -> Named | None:
        """The given arrays, by input name; None where `x` does not give every input as arrays."""
        if isinstance(x, Mapping) and set(x) == set(self.places):
            return {name: x[name] for name in self.places}
        if len(self.places) == 1:
            (name,) = self.places
            if is_array(x) or self._is_list(name, x):
                return {name: x}
        return next(self._readings(x), None)

    def split(self, batch: Any) -> tuple[Named, Any] | None:
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

    def _readings(self, x: Any) -> Iterator[Named]:
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

    def _matched(self, tree: Any, x: Any) -> Named | None:
        """The arrays of `x` by the names that stand in their places, if all are there."""
        if isinstance(tree, str):
            return {tree: x} if self._is_array(tree, x) or self._is_list(tree, x) else None
        inside = _inside(x, by_position=all(isinstance(step, int) for step in tree))
        if not set(tree) <= set(inside):
            return None
        if not all(self._is_setting(value) for step, value in inside.items() if step not in tree):
            return None
        found: Named = {}
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


def leaves(structure: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
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
