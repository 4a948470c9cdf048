"""Operators whose operands are all constants: computed once, when the model is read.

Only operators of a fixed list, and PyTorch's elementwise ones, are run: a program that comes from a
file cannot reach any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from spikewright.frontends.pytorch.call import MIXES, Cannot
from spikewright.frontends.pytorch.program import Batch, settled, sizes_of

_FOLDABLE = frozenset(
    f"aten.{name}"
    for name in """
    _conv_depthwise2d.default _log_softmax.default _softmax.default _to_copy.default
    _unsafe_view.default _weight_norm.default _weight_norm_interface.default
    adaptive_avg_pool1d.default adaptive_avg_pool2d.default addcmul.default addmm.default
    alias.default
    amax.default amin.default
    arange.default arange.start arange.start_step argmax.default argsort.default
    avg_pool1d.default avg_pool2d.default batch_norm.default
    baddbmm.default bmm.default broadcast_tensors.default cat.default chunk.default clone.default
    column_stack.default complex.default concat.default concatenate.default contiguous.default
    conv1d.default conv2d.default conv3d.default convolution.default copy.default cumprod.default
    cumsum.default detach.default diag.default diag_embed.default diagonal.default dot.default
    dstack.default einsum.default embedding.default
    expand.default expand_as.default eye.default eye.m fill.Scalar fill.Tensor flatten.using_ints
    flip.default full.default gather.default group_norm.default hstack.default
    index.Tensor index_fill.int_Scalar index_put.default index_select.default
    instance_norm.default _native_batch_norm_legit.no_stats layer_norm.default lift_fresh.default
    lift_fresh_copy.default
    linalg_norm.default linalg_vector_norm.default linear.default linspace.default
    log_softmax.int logspace.default
    matmul.default max.default max.dim mean.default mean.dim meshgrid.default meshgrid.indexing
    mT.default numpy_T.default min.default min.dim mm.default
    movedim.int movedim.intlist mv.default narrow.default
    native_layer_norm.default norm.Scalar norm.ScalarOpt_dim norm_except_dim.default one_hot.default
    ones.default ones_like.default outer.default pad.default constant_pad_nd.default permute.default
    prod.default prod.dim_int ravel.default reflection_pad1d.default reflection_pad2d.default
    repeat.default repeat_interleave.self_int
    replication_pad1d.default replication_pad2d.default reshape.default reshape_as.default
    rms_norm.default roll.default scalar_tensor.default scatter.src scatter.value select.int
    select_scatter.default slice.Tensor slice_scatter.default softmax.int sort.default
    split.Tensor split.sizes split_with_sizes.default squeeze.default squeeze.dim squeeze.dims
    stack.default std.correction std.dim std_mean.correction
    sum.default sum.dim_IntList swapaxes.default swapdims.default t.default tensordot.default
    to.device to.dtype to.dtype_layout to.other transpose.int tril.default tril_indices.default
    triu.default triu_indices.default
    type_as.default unbind.int unflatten.int unfold.default unsqueeze.default
    upsample_bicubic2d.default upsample_bicubic2d.vec upsample_bilinear2d.default
    upsample_bilinear2d.vec upsample_linear1d.default upsample_linear1d.vec
    _upsample_bicubic2d_aa.default _upsample_bicubic2d_aa.vec _upsample_bilinear2d_aa.default
    _upsample_bilinear2d_aa.vec
    upsample_nearest1d.default upsample_nearest1d.vec upsample_nearest2d.default
    upsample_nearest2d.vec var.correction var.dim var_mean.correction vdot.default view.default
    view_as.default view_copy.default vstack.default zero.default zeros.default zeros_like.default
    new_zeros.default new_ones.default new_full.default full_like.default
    """.split()  # noqa: SIM905
)
# What a constant with one row a sample may go through: all rows stay the same.
_KEEPS_ROWS = frozenset(
    f"aten.{name}"
    for name in """
    _to_copy.default _unsafe_view.default alias.default cat.default clone.default contiguous.default
    detach.default expand.default expand_as.default fill.Scalar fill.Tensor flatten.using_ints
    full_like.default movedim.int ones_like.default permute.default repeat.default reshape.default
    select.int slice.Tensor slice_scatter.default select_scatter.default squeeze.default
    squeeze.dim squeeze.dims stack.default swapaxes.default
    to.device to.dtype to.dtype_layout transpose.int type_as.default unflatten.int
    unsqueeze.default view.default view_as.default view_copy.default zeros_like.default
    _log_softmax.default _softmax.default amax.default amin.default bmm.default chunk.default
    conv1d.default conv2d.default conv3d.default cumprod.default cumsum.default
    layer_norm.default linalg_vector_norm.default linear.default log_softmax.int matmul.default
    mean.dim mm.default pad.default constant_pad_nd.default prod.dim_int softmax.int
    split.Tensor split_with_sizes.default sum.dim_IntList unbind.int
    """.split()  # noqa: SIM905
)
_ALONG = ("aten.cum", "aten.softmax", "aten._softmax", "aten.log_softmax", "aten._log_softmax")
_DROPOUTS = frozenset(
    f"aten.{name}.default"
    for name in ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
)
_VIEWS = frozenset(
    f"aten.{name}"
    for name in (
        "view.default", "_unsafe_view.default", "view_copy.default", "reshape.default",
        "flatten.using_ints", "unflatten.int",
    )
)  # fmt: skip
_MAKES_ROWS = frozenset(
    f"aten.{name}.default"
    for name in ("full", "zeros", "ones", "expand", "repeat", "new_zeros", "new_ones", "new_full")
)


def is_foldable(target: Any, args: Sequence[Any] = ()) -> bool:
    """Whether an operator may be run on constants: it is pure, deterministic, and known."""
    if not isinstance(target, torch._ops.OpOverload) or target._schema.is_mutable:
        return False
    if str(target) in _DROPOUTS:
        return _is_off(*args)
    if torch.Tag.nondeterministic_seeded in target.tags:
        return False
    elementwise = target.namespace == "aten" and torch.Tag.pointwise in target.tags
    return elementwise or str(target) in _FOLDABLE


def _is_off(value: Any = None, p: float = 1.0, train: Any = True) -> bool:
    """Whether dropout with these arguments drops nothing."""
    return train is False or p == 0


def fold(node: Any, target: Any, args: list[Any], kwargs: dict[str, Any], batch: Batch) -> Any:
    """The result of an operator on constants.

    A constant with a row for every sample stays one row, which stands for all of them; operators
    that could tell rows apart, or count them, are refused.
    """
    given = [*args, *kwargs.values()]
    name, rows = str(target), _rows(node.all_input_nodes)
    if name in _DROPOUTS:
        return args[0]
    elementwise = torch.Tag.pointwise in target.tags
    if rows and not (elementwise or name in _KEEPS_ROWS or name in _MAKES_ROWS):
        raise Cannot("it computes a constant from the size of the batch", MIXES)
    if name in _MAKES_ROWS or (rows and name in _KEEPS_ROWS):
        args = [_one_row(argument, batch) for argument in args]
        kwargs = {key: _one_row(argument, batch) for key, argument in kwargs.items()}
        given = [*args, *kwargs.values()]
    if any(_depends_on_batch(argument) for argument in given):
        raise Cannot("it computes a constant from the size of the batch", MIXES)
    try:
        with torch.no_grad():
            result = target(*args, **kwargs)
    except RuntimeError as error:
        raise Cannot(f"it cannot be computed from its constants: {error}") from None
    if rows or name in _MAKES_ROWS:
        _check_rows(node, rows, batch)
    return result


def _rows(nodes: Any) -> list[tuple[int, Any]]:
    """Axis and size of every axis of constants that has a row for every sample."""
    return [found for node in nodes for found in _symbolic(node.meta.get("val"))]


def _symbolic(value: Any) -> list[tuple[int, Any]]:
    if isinstance(value, list | tuple):
        return [found for item in value for found in _symbolic(item)]
    if not isinstance(value, torch.Tensor):
        return []
    return [(axis, size) for axis, size in enumerate(sizes_of(value)) if not isinstance(size, int)]


def _check_rows(node: Any, before: list[tuple[int, Any]], batch: Batch) -> None:
    """Rows must still be rows: one axis, of as many batches as before."""
    values = node.meta.get("val")
    for value in values if isinstance(values, list | tuple) else [values]:
        after = _symbolic(value)
        if not before:
            kept = all(batch.factor(size) for _, size in after) and len(after) < 2
        elif str(node.target) in _VIEWS:  # in row-major order whole batches may be joined
            first = all(axis == 0 and batch.factor(size) for axis, size in after + before)
            kept = len(after) == 1 and (first or after[0][1] == before[0][1])
        else:
            kept = len(after) == 1 and all(size == after[0][1] for _, size in before)
        if not kept or _tells_apart(node, before):
            raise Cannot("it computes a constant from the size of the batch", MIXES)


def _tells_apart(node: Any, before: list[tuple[int, Any]]) -> bool:
    """Whether an operator writes to some of the rows only, or works along them."""
    if str(node.target).startswith(_ALONG):
        dim = node.args[1] % node.args[0].meta["val"].dim()
        return any(axis == dim for axis, _ in before)
    if not str(node.target).startswith(("aten.slice_scatter", "aten.select_scatter")):
        return False
    value, source = (argument.meta["val"] for argument in node.args[:2])
    dim = (node.args[2] if len(node.args) > 2 else 0) % value.dim()
    whole = source.dim() == value.dim() and sizes_of(source)[dim] == sizes_of(value)[dim]
    return any(axis == dim for axis, _ in _symbolic(value)) and not whole


def _one_row(argument: Any, batch: Batch) -> Any:
    """Sizes with the batch counted as one sample."""
    if isinstance(argument, list | tuple) and any(isinstance(n, torch.SymInt) for n in argument):
        sizes = [settled(n) for n in argument]
        known = [n if isinstance(n, int) else batch.factor(n) for n in sizes]
        return known if all(known) else argument
    return argument


def _depends_on_batch(argument: Any) -> bool:
    if isinstance(argument, list | tuple):
        return any(map(_depends_on_batch, argument))
    return isinstance(argument, torch.SymInt | torch.SymFloat | torch.SymBool)
