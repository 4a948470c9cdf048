"""Contents of containers, attributes, closures and random generators, noted and put back."""

from __future__ import annotations

import random
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import _lru_cache_wrapper, partial
from operator import is_
from types import CellType, MemberDescriptorType
from typing import Any, Protocol

import numpy as np

_KINDS: tuple[type, ...] = (OrderedDict, dict, list, set, deque, bytearray)
ABSENT = object()


class Noted(Protocol):
    """Something that was noted, and can be put back."""

    def put_back(self) -> None:
        """Make it what it was."""


def container_kind(own: type) -> type | None:
    """The kind of container that objects of a class are and whose content may change, if any."""
    return next((kind for kind in _KINDS if issubclass(own, kind)), None)


class Content:
    """The content of a container; methods that a subclass overrides are not called."""

    def __init__(self, held: Any, kind: type) -> None:
        self.held, self._kind = held, kind
        self.entries = tuple(_entries(kind, held))

    def is_changed(self) -> bool:
        """Whether it holds anything else, or in another order."""
        return self.differs(self.held)

    def differs(self, other: Any) -> bool:
        """Whether a container of this kind holds anything else, or in another order."""
        now = tuple(_entries(self._kind, other))
        return len(now) != len(self.entries) or not all(map(is_, now, self.entries))

    def put_back(self) -> None:
        """The same entries in the same order."""
        if not self.is_changed():
            return
        kind: Any = self._kind
        if issubclass(kind, dict):
            half = len(self.entries) // 2
            _put_back_entries(kind, self.held, self.entries[:half], self.entries[half:])
            return
        kind.clear(self.held)
        (kind.update if kind is set else kind.extend)(self.held, self.entries)


def _entries(kind: Any, held: Any) -> Iterable[Any]:
    if issubclass(kind, dict):
        return (*kind.keys(held), *kind.values(held))
    found: Iterable[Any] = kind.__iter__(held)
    return found


def _put_back_entries(kind: Any, held: Any, keys: tuple[Any, ...], values: tuple[Any, ...]) -> None:
    """The entries of a dict, which is never empty meanwhile: another thread may look at it."""
    before = dict(zip(keys, values, strict=True))
    for key in [key for key in kind.keys(held) if key not in before]:
        kind.__delitem__(held, key)
    for key, value in before.items():
        if kind.get(held, key, ABSENT) is not value:
            kind.__setitem__(held, key, value)
    if not all(map(is_, kind.keys(held), keys)):
        for key, value in before.items():
            kind.__delitem__(held, key)
            kind.__setitem__(held, key, value)


class HeldContents:
    """A value that functions get and set, put back where it is another by then."""

    def __init__(self, get: Callable[[], Any], put: Callable[[Any], Any]) -> None:
        self._get, self._put, self.value = get, put, get()

    def put_back(self) -> None:
        """The value that it had."""
        if self._get() is not self.value:
            self._put(self.value)


def class_of(held: Any) -> HeldContents:
    """The class of an object, which parametrisations replace."""
    return HeldContents(
        lambda: type(held), lambda kind: object.__setattr__(held, "__class__", kind)
    )


def slots_in(held: Any, slots: Iterable[MemberDescriptorType]) -> list[HeldContents]:
    """The attributes of an object that are in slots of its class."""
    return [
        HeldContents(partial(_in_slot, slot, held), partial(_set_slot, slot, held))
        for slot in slots
    ]


def _in_slot(slot: Any, held: Any) -> Any:
    try:
        return slot.__get__(held)
    except AttributeError:
        return ABSENT


def _set_slot(slot: Any, held: Any, value: Any) -> None:
    if value is ABSENT:
        slot.__delete__(held)
    else:
        slot.__set__(held, value)


def slots_of(kind: type) -> tuple[MemberDescriptorType, ...]:
    """The slots of a class and of those that it is derived from."""
    found = (slot for base in kind.__mro__ for slot in vars(base).values())
    return tuple(slot for slot in found if isinstance(slot, MemberDescriptorType))


def variable_in(cell: CellType) -> HeldContents:
    """A variable of a closure."""
    return HeldContents(partial(_content, cell), partial(_set_content, cell))


class ClassAttributes:
    """The attributes of a class, without those of Python itself."""

    def __init__(self, held: type) -> None:
        self._held, self.entries = held, dict(_plain(vars(held)))

    def put_back(self) -> None:
        """The attributes that it had."""
        now = dict(_plain(vars(self._held)))
        for name in now.keys() - self.entries.keys():
            type.__delattr__(self._held, name)
        for name, value in self.entries.items():
            if now.get(name, ABSENT) is not value:
                type.__setattr__(self._held, name, value)


class Cached:
    """The results that `functools.lru_cache` keeps of a function."""

    def __init__(self, held: Any) -> None:
        self._held, self._computed = held, held.cache_info().misses

    def put_back(self) -> None:
        """No results of ours: the function computes again what it has forgotten."""
        if self._held.cache_info().misses != self._computed:
            self._held.cache_clear()


def is_cached(thing: Any) -> bool:
    """Whether this is a function whose results are kept."""
    return isinstance(thing, _lru_cache_wrapper)


def _plain(entries: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return ((name, value) for name, value in entries.items() if not name.startswith("__"))


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return ABSENT


def _set_content(cell: CellType, value: Any) -> None:
    if value is ABSENT:
        del cell.cell_contents
    else:
        cell.cell_contents = value


_GENERATORS = (
    random.Random, np.random.Generator, np.random.BitGenerator, np.random.RandomState,
)  # fmt: skip


def of_process() -> Iterator[HeldContents]:
    """The global states of Python, NumPy and, where it is loaded, PyTorch."""
    yield HeldContents(random.getstate, random.setstate)
    yield HeldContents(np.random.get_state, np.random.set_state)
    torch: Any = sys.modules.get("torch")
    if hasattr(torch, "random"):
        yield HeldContents(torch.get_rng_state, torch.set_rng_state)
        if torch.cuda.is_initialized():
            yield HeldContents(torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all)


def is_generator(kind: type) -> bool:
    """Whether objects of a class are random generators."""
    if (kind.__module__, kind.__name__) == ("torch._C", "Generator"):
        return True
    return issubclass(kind, _GENERATORS) and not issubclass(kind, random.SystemRandom)


def of_generator(thing: Any) -> HeldContents:
    """The state of a random generator."""
    if isinstance(thing, random.Random):
        return HeldContents(thing.getstate, thing.setstate)
    bits = thing.bit_generator if isinstance(thing, np.random.Generator) else thing
    if isinstance(bits, np.random.BitGenerator):
        return HeldContents(lambda: bits.state, lambda state: setattr(bits, "state", state))
    return HeldContents(thing.get_state, thing.set_state)
