"""States of things that calls of a model may change, noted and put back.

Contents of containers, attributes, closures and random generators are noted by identity. What
tensors and arrays hold is copied where something is about to be written into it.
"""

from __future__ import annotations

import random
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from operator import is_
from types import CellType, MemberDescriptorType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require

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


_ACTIVE: list[Any] = []
_RUNNING = ("running_mean", "running_var")
_TRAINING = ("training", "train", "use_input_stats")
_LARGEST = 1 << 26  # bytes; writes into NumPy arrays are not seen, so a copy is made of all


def loaded() -> Any | None:
    """PyTorch, where something has imported it: without it there are no tensors."""
    torch: Any = sys.modules.get("torch")
    return torch if hasattr(torch, "Tensor") else None


def is_tensor(thing: Any) -> bool:
    """Whether this is a tensor of PyTorch."""
    return is_kind_of_tensor(type(thing))


def is_kind_of_tensor(kind: type) -> bool:
    """Whether objects of a class are tensors of PyTorch."""
    torch = loaded()
    return torch is not None and issubclass(kind, torch.Tensor)


class TensorState:
    """The memory, shape, gradient and hooks of a tensor; its numbers are not copied."""

    def __init__(self, tensor: Any) -> None:
        self._tensor, self._is_leaf = tensor, tensor.is_leaf
        self._memory = tensor.detach()
        self._layout = _layout(tensor)
        self._requires_grad = tensor.requires_grad
        self._grad = tensor.grad if tensor.is_leaf else None
        self._hooks = tensor._backward_hooks

    @property
    def held(self) -> list[Any]:
        """Whatever else belongs to the tensor, and is noted by itself."""
        return [self._grad, self._hooks]

    def put_back(self) -> None:
        """The same memory seen in the same way, and the same gradient."""
        if _layout(self._tensor) != self._layout:
            self._tensor.data = self._memory
        if not self._is_leaf:
            return
        if self._tensor.requires_grad != self._requires_grad:
            self._tensor.requires_grad_(self._requires_grad)
        if self._tensor.grad is not self._grad:
            self._tensor.grad = self._grad
        if self._tensor._backward_hooks is not self._hooks:
            self._tensor._backward_hooks = self._hooks


def _layout(tensor: Any) -> tuple[Any, ...]:
    """The identity of a piece of memory, and of a view of it."""
    storage = storage_of(tensor)
    if storage is None:
        return (tensor.dtype, tensor.shape)
    return (
        storage._cdata, tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype,
    )  # fmt: skip


def storage_of(tensor: Any) -> Any | None:
    """The memory of a tensor; None where it is not one piece of a device."""
    try:
        storage = tensor.untyped_storage()
    except (RuntimeError, NotImplementedError, ValueError):  # sparse, or not initialised
        return None
    return None if storage.device.type == "meta" else storage


@contextmanager
def watching(tensors: Iterable[Any]) -> Iterator[None]:
    """Numbers that are written into the memory of these tensors are what they were afterwards.

    Memory is copied before the first operator writes into it, so what is only read is never copied.
    """
    memory = {s._cdata: s for t in tensors if (s := storage_of(t)) is not None}
    if not memory:
        yield
        return
    writes = _writes()(memory)
    _ACTIVE.append(writes)
    try:
        with writes:
            yield
    finally:
        _ACTIVE.pop()
        for key, copy in writes.copies.items():
            memory[key].copy_(copy)


@contextmanager
def watching_inside() -> Iterator[None]:
    """Go on watching in an operator that is written in Python, where PyTorch has stopped it."""
    with ExitStack() as modes:
        for writes in _ACTIVE:
            modes.enter_context(writes)
        yield


@cache
def _writes() -> Any:
    """The class of the mode in which operators are looked at before they run."""
    torch, dispatch = require("torch"), require("torch.utils._python_dispatch")

    class Writes(dispatch.TorchDispatchMode):  # type: ignore[name-defined]
        supports_higher_order_operators = True

        def __init__(self, memory: dict[int, Any]) -> None:
            super().__init__()
            self._memory = memory
            self.copies: dict[int, Any] = {}

        def __torch_dispatch__(
            self, operator: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            if isinstance(operator, torch._ops.OpOverload):
                for tensor in _written(operator, args, kwargs):
                    self._copy(tensor)
            return operator(*args, **kwargs)

        def _copy(self, tensor: Any) -> None:
            storage = storage_of(tensor)
            key = None if storage is None else storage._cdata
            if key in self._memory and key not in self.copies:
                with dispatch._disable_current_modes():  # tracing is not to see it
                    self.copies[key] = self._memory[key].clone()

    return Writes


def _written(operator: Any, args: Any, kwargs: Any) -> Iterator[Any]:
    """The tensors that an operator writes into.

    Batch normalisation writes into running statistics, which its schema does not say.
    """
    names = _written_arguments(operator)
    if not names:
        return
    schema = operator._schema
    given = dict(zip((argument.name for argument in schema.arguments), args, strict=False)) | kwargs
    for name in names:
        value = given.get(name)
        if name in _RUNNING and not any(given.get(training) for training in _TRAINING):
            continue
        yield from filter(is_tensor, value if isinstance(value, list | tuple) else [value])


@cache
def _written_arguments(operator: Any) -> tuple[str, ...]:
    """The names of the arguments that an operator may write into."""
    return tuple(
        argument.name
        for argument in operator._schema.arguments
        if argument.name in _RUNNING
        or (argument.alias_info is not None and argument.alias_info.is_write)
    )


class ArrayState:
    """The numbers of a NumPy array that can be written into."""

    def __init__(self, array: NDArray) -> None:
        self._array, self._numbers = array, array.copy()

    def put_back(self) -> None:
        """The numbers that it held, where it holds others."""
        if not np.array_equal(self._array, self._numbers):
            self._array[...] = self._numbers


def array_states(array: NDArray) -> list[ArrayState]:
    """The state of an array; none for one that nobody can write into, or of more than 64 MiB."""
    known = array.flags.writeable and array.dtype.kind != "O" and array.nbytes <= _LARGEST
    return [ArrayState(array)] if known else []
