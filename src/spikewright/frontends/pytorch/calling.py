"""Operators of PyTorch that are called as they are, because they cannot be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils import _pytree as pytree

from spikewright.frontends.fallback import CannotCall, python_call
from spikewright.frontends.pytorch.call import pretty, to_array
from spikewright.frontends.pytorch.opaque import part_called
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.reading.layout import sample_shape
from spikewright.graph.layers import PythonCall, Shape


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
