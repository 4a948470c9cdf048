"""Tensors and arrays: what they hold is copied where something is about to be written into it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikewright._base.optional import require

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


def is_variable_of_tensorflow(kind: type) -> bool:
    """Whether objects of a class are TensorFlow's variables, into which Keras writes there."""
    return kind.__module__.startswith("tensorflow.") and hasattr(kind, "read_value")


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
