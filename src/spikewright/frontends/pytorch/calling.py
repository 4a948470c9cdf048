"""Operators of PyTorch that are called as they are, because they cannot be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils import _pytree as pytree

from spikewright.frontends.fallback import CannotCall, python_call
from spikewright.frontends.pytorch.call import pretty, to_array
from spikewright.frontends.pytorch.opaque import part_called
from spikewright.frontends.pytorch.program import Batch, sizes_of
from spikewright.frontends.reading.layout import Layout
from spikewright.graph.layers import PythonCall, Shape


@dataclass(frozen=True)
class Operand:
    """A value that an operator is called with: its unbatched shape, and the tensor that it is."""

    shape: Shape
    layout: Layout
    dtype: Any
    device: Any

    def tensor(self, array: NDArray) -> Any:
        """The tensor of an array `(batch, *shape)`."""
        return torch.tensor(self.layout.batch_back(array), dtype=self.dtype, device=self.device)


@dataclass(frozen=True, eq=False)
class OperatorCall:
    """One result of an operator, as a function of arrays `(batch, *shape)`.

    `args` and `kwargs` have an `Operand` in the place of every value. `index` is that of the
    result, if there are several.
    """

    target: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    batch: Batch
    index: int | None
    shape: Shape
    layout: Layout
    operands: tuple[Operand, ...] = field(init=False)

    def __post_init__(self) -> None:
        leaves = pytree.tree_leaves((self.args, self.kwargs), _is_operand)
        object.__setattr__(self, "operands", tuple(filter(_is_operand, leaves)))

    @property
    def held(self) -> Sequence[Any]:
        """The module that is called, if it is one, and constants that it is called with."""
        return part_called(self.target, self.args), self.args, self.kwargs

    def __call__(self, *arrays: NDArray) -> NDArray:
        """The result; as many samples at a time as a batch of a fixed size has."""
        size, samples = self.batch.fixed or len(arrays[0]), len(arrays[0])
        made = [
            self._of([_rows(array, start, size) for array in arrays])
            for start in range(0, samples, size)
        ]
        return np.concatenate(made)[:samples]

    def _of(self, arrays: Sequence[NDArray]) -> NDArray:
        given = iter([o.tensor(a) for o, a in zip(self.operands, arrays, strict=True)])
        batch = replace(self.batch, tried=(len(arrays[0]),))

        def filled(leaf: Any) -> Any:
            if _is_operand(leaf):
                return next(given)
            symbolic = isinstance(leaf, torch.SymInt | torch.SymFloat | torch.SymBool)
            return batch.at(leaf, 0) if symbolic else leaf

        args, kwargs = pytree.tree_map(filled, (self.args, self.kwargs), is_leaf=_is_operand)
        with torch.no_grad():
            made = self.target(*args, **kwargs)
        made = made if self.index is None else made[self.index]
        return self.layout.batch_first(to_array(made), self.shape)


def operator_call(
    operator: tuple[Any, Any, Any], batch: Batch, made: Any, index: int | None, called: str
) -> tuple[PythonCall, Layout]:
    """The layer that calls an operator for one of its results, `made`, and that result's layout.

    `operator` is its target and its arguments, `called` the same in words.

    Raises `CannotCall` where the result is no tensor with samples of its own.
    """
    if not isinstance(made, torch.Tensor):
        raise CannotCall("its result is no tensor")
    if made.is_complex():
        raise CannotCall("its results are complex numbers")
    sizes = sizes_of(made)
    axis = next((axis for axis, size in enumerate(sizes) if batch.factor(size) == 1), None)
    own = tuple(size for at, size in enumerate(sizes) if at != axis)
    if axis is None or not all(isinstance(size, int) for size in own):
        raise CannotCall(f"samples do not stay apart in its result, {pretty(sizes)}")
    function = OperatorCall(*operator, batch, index, own, layout := Layout(axis))
    shapes = [operand.shape for operand in function.operands]
    whole = [not operand.dtype.is_floating_point for operand in function.operands]
    return python_call(function, shapes, whole, called, function.held), layout


def _is_operand(leaf: Any) -> bool:
    return isinstance(leaf, Operand)


def _rows(array: NDArray, start: int, size: int) -> NDArray:
    """Rows from a start, the last one again where there are too few."""
    rows = array[start : start + size]
    return np.concatenate([rows, *[rows[-1:]] * (size - len(rows))])
