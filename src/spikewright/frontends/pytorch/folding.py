"""Operators whose operands are all constants: computed once, when the model is read.

Only PyTorch's elementwise operators, those that have a reading and those of a fixed list are run: a
program that comes from a file cannot reach any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree

from spikewright._base.budget import current
from spikewright.frontends.pytorch.program import sizes_of
from spikewright.frontends.pytorch.registry import READERS
from spikewright.frontends.reading.refusal import Unreadable
from spikewright.frontends.reading.spending import afford

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
    bartlett_window.default bartlett_window.periodic blackman_window.default
    blackman_window.periodic hamming_window.default hamming_window.periodic hann_window.default
    hann_window.periodic kaiser_window.default kaiser_window.periodic
    eye.default eye.m fill.Scalar fill.Tensor full.default full_like.default hstack.default
    index_fill.int_Scalar
    index_put.default lift_fresh.default linalg_norm.default linalg_householder_product.default
    linalg_matrix_exp.default linalg_solve.default linspace.default logspace.default mH.default
    matrix_exp.default sgn.default
    meshgrid.default meshgrid.indexing new_full.default new_ones.default new_zeros.default
    norm.Scalar norm_except_dim.default one_hot.default ones.default ones_like.default outer.default
    prod.default prod.dim_int scalar_tensor.default scatter.src scatter.value
    searchsorted.Tensor sort.default tril.default tril_indices.default triu.default
    triu_indices.default vdot.default vstack.default zero.default zeros.default zeros_like.default
    """.split()  # noqa: SIM905
)


def like(tensor: Any) -> Any:
    """Zeros of the shape and type of a value of which only these are looked at."""
    return torch.zeros((), dtype=tensor.dtype, device=tensor.device).expand(sizes_of(tensor))


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


def fold(target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The result of an operator on constants; raises `Unreadable` where it cannot be computed."""
    try:
        _afford(target, args, kwargs)
        with torch.no_grad():
            return target(*args, **kwargs)
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        raise Unreadable(f"it cannot be computed from its constants: {error}") from None


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
