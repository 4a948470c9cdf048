"""Operators whose operands are all constants: computed once, when the model is read.

Only PyTorch's elementwise operators, those that have a reading and those of a fixed list are run: a
program that comes from a file cannot reach any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree

from spikewright._base.budget import current
from spikewright.frontends.pytorch.call import to_array
from spikewright.frontends.pytorch.program import Batch
from spikewright.frontends.pytorch.registry import READERS
from spikewright.frontends.reading.call import MIXES
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.spending import afford
from spikewright.frontends.reading.values import alike

_FOLDABLE = frozenset(
    f"aten.{name}"
    for name in """
    __and__.Scalar __and__.Tensor __or__.Scalar __or__.Tensor __xor__.Scalar __xor__.Tensor
    _conv_depthwise2d.default _log_softmax.default _native_batch_norm_legit.no_stats
    _softmax.default _to_copy.default _unsafe_view.default _upsample_bicubic2d_aa.default
    _upsample_bicubic2d_aa.vec _upsample_bilinear2d_aa.default _upsample_bilinear2d_aa.vec
    _weight_norm.default _weight_norm_interface.default all.default all.dim any.default any.dim
    arange.default arange.start arange.start_step argmax.default argmin.default argsort.default
    broadcast_tensors.default bucketize.Tensor column_stack.default complex.default cumprod.default
    diag.default diag_embed.default diff.default dot.default dstack.default embedding.default
    eye.default eye.m fill.Scalar fill.Tensor full.default full_like.default hstack.default
    index_fill.int_Scalar
    index_put.default lift_fresh.default linalg_norm.default linspace.default logspace.default
    meshgrid.default meshgrid.indexing new_full.default new_ones.default new_zeros.default
    norm.Scalar norm_except_dim.default one_hot.default ones.default ones_like.default outer.default
    prod.default prod.dim_int scalar_tensor.default scatter.src scatter.value
    searchsorted.Tensor sort.default tril.default tril_indices.default triu.default
    triu_indices.default vdot.default vstack.default zero.default zeros.default zeros_like.default
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True, eq=False)
class Varying:
    """A constant that depends on the size of the batch, as in `torch.zeros(len(x), 3)`.

    `values` are its values for the numbers of samples in `Batch.counts`.
    """

    values: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Shaped:
    """Stands for a value of which only the shape and the type are looked at."""

    sizes: tuple[Any, ...]
    like: Any

    def tensor(self, batch: Batch, case: int) -> Any:
        """Zeros of that shape and type, in one of the batch's cases."""
        sizes = [batch.at(size, case) for size in self.sizes]
        return torch.zeros((), dtype=self.like.dtype, device=self.like.device).expand(sizes)


def is_foldable(target: Any, args: Sequence[Any] = ()) -> bool:
    """Whether an operator may be run on constants: it is pure, deterministic, and known."""
    if not isinstance(target, torch._ops.OpOverload) or target._schema.is_mutable:
        return False
    if torch.Tag.nondeterministic_seeded in target.tags and not is_settled(target, args):
        return False
    name = str(target)
    elementwise = target.namespace == "aten" and torch.Tag.pointwise in target.tags
    read = name in READERS and not name.startswith("aten._")
    return elementwise or read or name in _FOLDABLE


def is_settled(target: Any, args: Sequence[Any]) -> bool:
    """Whether an operator that may draw random numbers draws none for these arguments."""
    given = {p.name: p.default_value for p in target._schema.arguments if p.has_default_value()}
    given.update(zip((p.name for p in target._schema.arguments), args, strict=False))
    running = [given.get(name) for name in ("train", "training") if name in given]
    rates = [given.get(name) for name in ("p", "dropout", "dropout_p") if name in given]
    return running == [False] or rates == [0]


def fold(target: Any, args: list[Any], kwargs: dict[str, Any], batch: Batch) -> Any:
    """The result of an operator on constants, `Varying` where the size of the batch is in it."""
    varies = any(map(_varies, pytree.tree_leaves((args, kwargs))))
    found = []
    for case in range(len(batch.counts) if varies else 1):
        try:
            own_args, own_kwargs = pytree.tree_map(
                lambda leaf, case=case: _in_case(leaf, batch, case), (args, kwargs)
            )
            _afford(target, own_args, own_kwargs)
            with torch.no_grad():
                found.append(target(*own_args, **own_kwargs))
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            raise Unreadable(f"it cannot be computed from its constants: {error}") from None
    return _joined(found)


def _afford(target: Any, args: Any, kwargs: Any) -> None:
    """Count the values of a result, known by their shapes; raises `Unreadable` for too many.

    Operators whose shapes follow from values, or that PyTorch cannot foresee, are computed at once.
    """
    if current() is None:
        return
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            made = target(*args, **kwargs)
    except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError):
        return  # computing it says what is wrong
    tensors = [leaf for leaf in pytree.tree_leaves(made) if isinstance(leaf, torch.Tensor)]
    afford(sum(tensor.numel() for tensor in tensors))


def _varies(leaf: Any) -> bool:
    symbolic = torch.SymInt | torch.SymFloat | torch.SymBool
    if isinstance(leaf, Shaped):
        return any(isinstance(size, symbolic) for size in leaf.sizes)
    return isinstance(leaf, symbolic | Varying)


def _in_case(leaf: Any, batch: Batch, case: int) -> Any:
    """An argument as it is for one of the numbers of samples."""
    if isinstance(leaf, Varying):
        return leaf.values[case]
    if isinstance(leaf, Shaped):
        return leaf.tensor(batch, case)
    return batch.at(leaf, case) if _varies(leaf) else leaf


def _joined(found: list[Any]) -> Any:
    """One result for all numbers of samples, if it is the same for all of them."""
    first = found[0]
    if isinstance(first, list | tuple):
        if len({len(results) for results in found}) > 1:
            raise Unreadable("the size of the batch says how many results it has", MIXES)
        return [_joined(list(results)) for results in zip(*found, strict=True)]
    return first if all(_same(first, other) for other in found[1:]) else Varying(tuple(found))


def _same(first: Any, second: Any) -> bool:
    if not isinstance(first, torch.Tensor):
        return bool(first == second)
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    rounded = first.is_floating_point() and alike(to_array(first), to_array(second))
    return rounded or torch.equal(first, second)


def for_samples(constant: Varying, counts: Sequence[int]) -> Any:
    """The constant for the first number of samples; refuses one that depends on that number.

    Its axes that count samples must hold the same for these samples whatever comes behind them,
    be it merged with an axis on the left or on the right.
    """
    first = constant.values[0]
    for (small, large), few, many in zip(
        pairwise(constant.values), counts, counts[1:], strict=False
    ):
        if not any(_same(small, part) for part in _parts(large, small.shape, few, many)):
            raise Unreadable("it computes a constant from the size of the batch", MIXES)
    return first


def _parts(large: Any, shape: Sequence[int], few: int, many: int) -> Iterator[Any]:
    """The parts for the first `few` of `many` samples, where they can be cut to that shape."""
    if large.dim() != len(shape):
        return
    for batch_in_front in (True, False):
        part = large
        for axis, size in enumerate(shape):
            own, rest = divmod(size, few)
            if large.shape[axis] == size:
                continue
            if rest or large.shape[axis] != own * many:
                return
            if batch_in_front:
                part = part.narrow(axis, 0, size)
            else:
                part = part.unflatten(axis, (own, many)).narrow(axis + 1, 0, few)
                part = part.flatten(axis, axis + 1)
        yield part
