"""Modules that cannot be traced and operators that cannot be read, called as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any, NamedTuple
from weakref import finalize, ref

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils import _pytree as pytree

from spikewright.frontends.fallback import CannotCall, python_call
from spikewright.frontends.preserving import watching_inside
from spikewright.frontends.pytorch.arguments import Arguments, evaluation
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.pytorch.registry import pretty, to_array
from spikewright.frontends.reading.call import sample_shape
from spikewright.graph.layers import PythonCall, Shape

_TENSOR = object()


class _Results(NamedTuple):
    """The results of a call: an unbatched shape and a type for each tensor, and their structure."""

    kinds: Sequence[tuple[tuple[int, ...], Any]]
    structure: Any


class _Call(NamedTuple):
    """A call of a module: its arguments, `_TENSOR` for each tensor, and its results."""

    module: Any
    arguments: Sequence[Any]
    structure: Any
    results: _Results


_calls: dict[int, _Call] = {}
_keys = count()


@torch.library.custom_op("spikewright::module", mutates_args=())
def _module(tensors: list[torch.Tensor], key: int) -> list[torch.Tensor]:
    """The results of a module for the tensors of a traced call."""
    call, given = _calls[key], iter(tensors)
    part = call.module()
    leaves = [next(given) if leaf is _TENSOR else leaf for leaf in call.arguments]
    args, kwargs = pytree.tree_unflatten(leaves, call.structure)
    evaluation(part)  # whoever runs a program preserves the module that it is of
    with watching_inside(), torch.no_grad():
        made = type(part).forward(part, *args, **kwargs)  # its own may stand for it just now
    return [leaf.clone() for leaf in pytree.tree_leaves(made)]


@_module.register_fake
def _(tensors: list[torch.Tensor], key: int) -> list[torch.Tensor]:
    samples = tensors[0].shape[0]
    kinds = _calls[key].results.kinds
    return [tensors[0].new_empty((samples, *shape), dtype=dtype) for shape, dtype in kinds]


def as_operators(module: Any, parts: Sequence[Any], example: Arguments) -> None:
    """Make calls of these parts of a module operators, to be used where it is `preserved`.

    The operators call the parts. The shapes of their results come from a call of the module
    with the example.
    """
    if not parts:
        return
    made = {part: _watched(module, part, example) for part in parts}
    turns: Counter[Any] = Counter()
    module.register_forward_pre_hook(lambda *call: turns.clear())
    for part in parts:
        part.forward = _operator(part, made[part], turns)


def part_called(target: Any, args: Sequence[Any]) -> Any | None:
    """The module that an operator of a program calls, if it is one of these operators."""
    is_ours = target is torch.ops.spikewright.module.default
    return _calls[args[1]].module() if is_ours else None


def _watched(module: Any, part: Any, example: Arguments) -> list[_Results]:
    """The results of a part at each of its calls in one call of the module."""
    found: list[_Results] = []

    def note(part: Any, args: Any, output: Any) -> None:
        leaves, structure = pytree.tree_flatten(output)
        found.append(_Results([(tuple(x.shape[1:]), x.dtype) for x in leaves], structure))

    with ExitStack() as watching:
        watching.callback(part.register_forward_hook(note).remove)
        module(*example.args, **example.kwargs)
    return found


def _operator(part: Any, made: Sequence[_Results], turns: Counter[Any]) -> Any:
    """The replacement of a part's forward method while it is traced."""

    def forward(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = pytree.tree_flatten((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        others = [_TENSOR if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        results, key = made[turns[part]], next(_keys)
        turns[part] += 1
        _calls[key] = _Call(ref(part), others, structure, results)
        finalize(part, _calls.pop, key, None)
        return pytree.tree_unflatten(_module(tensors, key), results.structure)

    return forward


@dataclass(frozen=True)
class Operand:
    """A value that an operator is called with: its unbatched shape, and the tensor that it is.

    `sizes` are those of the tensor for one sample.
    """

    shape: Shape
    sizes: Shape
    dtype: Any
    device: Any

    def tensor(self, sample: NDArray) -> Any:
        """The tensor of one sample."""
        return torch.tensor(sample.reshape(self.sizes), dtype=self.dtype, device=self.device)


@dataclass(frozen=True, eq=False)
class OperatorCall:
    """One result of an operator, as a function of arrays `(batch, *shape)`.

    `args` and `kwargs` have an `Operand` in the place of every value. `index` is that of the
    result, if there are several.
    """

    target: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    index: int | None
    shape: Shape
    operands: tuple[Operand, ...] = field(init=False)

    def __post_init__(self) -> None:
        leaves = pytree.tree_leaves((self.args, self.kwargs), _is_operand)
        object.__setattr__(self, "operands", tuple(filter(_is_operand, leaves)))

    @property
    def held(self) -> Sequence[Any]:
        """The module that is called, if it is one, and constants that it is called with."""
        return part_called(self.target, self.args), self.args, self.kwargs

    def __call__(self, *arrays: NDArray) -> NDArray:
        """The results for all samples, called for one of them after the other."""
        return np.stack([self._of_one(samples) for samples in zip(*arrays, strict=True)])

    def _of_one(self, samples: Sequence[NDArray]) -> NDArray:
        given = iter([o.tensor(one) for o, one in zip(self.operands, samples, strict=True)])
        args, kwargs = pytree.tree_map(
            lambda leaf: next(given) if _is_operand(leaf) else leaf,
            (self.args, self.kwargs),
            is_leaf=_is_operand,
        )
        with torch.no_grad():
            made = self.target(*args, **kwargs)
        made = made if self.index is None else made[self.index]
        return to_array(made).reshape(self.shape)


def operator_call(
    operator: tuple[Any, Any, Any], made: Any, index: int | None, called: str
) -> PythonCall:
    """The layer that calls an operator for one of its results, `made`.

    `operator` is its target and its arguments, `called` the same in words.

    Raises `CannotCall` where the result is no tensor of known shape.
    """
    if not isinstance(made, torch.Tensor):
        raise CannotCall("its result is no tensor")
    if made.is_complex():
        raise CannotCall("its results are complex numbers")
    sizes = sizes_of(made)
    if not all(isinstance(size, int) for size in sizes):
        raise CannotCall(f"the extents of its result, {pretty(sizes)}, depend on the data")
    function = OperatorCall(*operator, index, sample_shape(sizes))
    shapes = [operand.shape for operand in function.operands]
    whole = [not operand.dtype.is_floating_point for operand in function.operands]
    return python_call(function, shapes, whole, called, function.held)


def _is_operand(leaf: Any) -> bool:
    return isinstance(leaf, Operand)
