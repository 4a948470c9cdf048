"""State that a forward pass leaves in its module: undone, or refused where it is read again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import torch
from torch.utils import _pytree as pytree

from spikewright.errors import ReadError, Refusal, UnsupportedLayerError
from spikewright.frontends.pytorch.arguments import Arguments
from spikewright.frontends.pytorch.modes import evaluation
from spikewright.frontends.pytorch.reasons import STATE

_PYTORCHS = (
    "_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks", "training",
    "forward",  # replaced while a module is traced
)  # fmt: skip
_ABSENT = object()


@contextmanager
def kept(module: Any) -> Iterator[list[str]]:
    """Attributes and buffers that forward sets in the module are as they were afterwards.

    Yields a list of those that it has set when it returns. Layers of PyTorch are left out: they
    may set their own attributes.
    """
    before = [(path, part, _snapshot(part)) for path, part in module.named_modules()]
    buffers = [(part, _buffers(part)) for _, part, _ in before]
    changed: list[str] = []

    def note(*call: Any) -> None:
        changed[:] = [
            f"{path}.{name}".lstrip(".")
            for path, part, own in before
            if not type(part).__module__.startswith("torch.nn.")
            for name in dict.fromkeys([*part.__dict__, *own])
            if name not in _PYTORCHS and _is_changed(part.__dict__, own, name)
        ]

    hook = module.register_forward_hook(note)
    try:
        yield changed
    finally:
        hook.remove()
        for _, part, own in before:
            for name in dict.fromkeys([*part.__dict__, *own]):
                if name not in _PYTORCHS:
                    _put_back(part.__dict__, own, name)
        for part, held in buffers:
            _refill(part, held)


def _snapshot(part: Any) -> dict[str, tuple[Any, Any]]:
    """A module's attributes, and the contents of those that are containers."""
    return {
        name: (value, copy(value) if _is_container(value) else None)
        for name, value in part.__dict__.items()
        if name not in _PYTORCHS
    }


def _buffers(part: Any) -> dict[str, tuple[Any, int, Any]]:
    """A module's buffers: each with its version and its values."""
    return {
        name: (tensor, tensor._version, tensor.clone())
        for name, tensor in part._buffers.items()
        if tensor is not None
    }


def _refill(part: Any, held: dict[str, tuple[Any, int, Any]]) -> None:
    """Put buffers back, with their old values where something was written into them."""
    for name, (tensor, version, content) in held.items():
        part._buffers[name] = tensor
        if tensor._version != version:
            with torch.no_grad():
                tensor.copy_(content)


def _is_changed(now: dict[str, Any], own: dict[str, tuple[Any, Any]], name: str) -> bool:
    value, content = own.get(name, (_ABSENT, None))
    found = now.get(name, _ABSENT)
    if content is not None and type(found) is type(content):
        return not _same(found, content)
    return found is not value


def _put_back(now: dict[str, Any], own: dict[str, tuple[Any, Any]], name: str) -> None:
    value, content = own.get(name, (_ABSENT, None))
    if value is _ABSENT:
        del now[name]
        return
    now[name] = value
    if content is not None and not _same(value, content):
        content = copy(content)  # the snapshot stays
        value.clear()
        value.extend(content) if hasattr(value, "extend") else value.update(content)


def _is_container(value: Any) -> bool:
    return isinstance(value, list | dict | set | deque)


def _same(first: Any, second: Any) -> bool:
    """Whether two containers hold the very same things."""
    if isinstance(first, dict):
        return list(first) == list(second) and _same(list(first.values()), list(second.values()))
    return len(first) == len(second) and all(a is b for a, b in zip(first, second, strict=True))


def refuse_memory(module: Any, changed: list[str], call: Arguments) -> None:
    """Raise `UnsupportedLayerError` if state that forward sets changes its next result.

    The module is called twice, on random numbers.
    """
    generator = torch.Generator().manual_seed(0)

    def random(tensor: Any) -> Any:
        if not tensor.is_floating_point():
            return tensor
        return torch.randn(tensor.shape, generator=generator).to(tensor)

    given = call.each(random)
    with evaluation(module), kept(module), torch.no_grad():
        try:
            first, second = (
                pytree.tree_leaves(module(*given.args, **given.kwargs)) for _ in range(2)
            )
        except Exception as error:
            raise ReadError(
                f"the {type(module).__name__} keeps {', '.join(changed)} from call to call, and "
                f"the second call fails: {type(error).__name__}: {error}"
            ) from error
    if not all(map(_equal, first, second)):
        raise UnsupportedLayerError([Refusal(name, "attribute", *STATE) for name in changed])


def _equal(first: Any, second: Any) -> bool:
    if not isinstance(first, torch.Tensor):
        return True
    return first.shape == second.shape and torch.allclose(first, second, equal_nan=True)
