"""Operators whose operands are all constants: computed once, when the model is read.

Only operators of a fixed list, and PyTorch's elementwise ones, are run: a program that comes from a
file cannot reach any other.
"""

from __future__ import annotations

from typing import Any

import torch

from spikewright.frontends.pytorch.call import MIXES, Cannot

_FOLDABLE = frozenset((
    "aten.alias.default", "aten.amax.default", "aten.amin.default", "aten.arange.default",
    "aten.arange.start", "aten.arange.start_step", "aten.bmm.default", "aten.cat.default",
    "aten.clone.default", "aten.contiguous.default", "aten.detach.default",
    "aten.diag_embed.default", "aten.dot.default", "aten.expand.default", "aten.eye.default",
    "aten.flatten.using_ints", "aten.flip.default", "aten.full.default",
    "aten.lift_fresh.default", "aten.lift_fresh_copy.default", "aten.linalg_vector_norm.default",
    "aten.linspace.default", "aten.linalg_norm.default", "aten.matmul.default",
    "aten.mean.default", "aten.mean.dim", "aten.mm.default", "aten.mv.default",
    "aten.norm.ScalarOpt_dim", "aten.norm.Scalar", "aten.norm_except_dim.default",
    "aten.ones.default", "aten.outer.default", "aten.permute.default", "aten.repeat.default",
    "aten.reshape.default", "aten.scalar_tensor.default", "aten.select.int", "aten.slice.Tensor",
    "aten.split.Tensor", "aten.squeeze.default", "aten.squeeze.dim", "aten.squeeze.dims",
    "aten.stack.default", "aten.sum.default", "aten.sum.dim_IntList", "aten.t.default",
    "aten.to.device", "aten.to.dtype", "aten.to.dtype_layout", "aten.transpose.int",
    "aten.tril.default", "aten.triu.default", "aten.unbind.int", "aten.unsqueeze.default",
    "aten.vdot.default", "aten.view.default", "aten.zeros.default", "aten._to_copy.default",
    "aten._unsafe_view.default", "aten._weight_norm.default",
    "aten._weight_norm_interface.default",
))  # fmt: skip
_SIZED = frozenset(f"aten.{n}.default" for n in ("full", "zeros", "ones", "expand"))


def is_foldable(target: Any) -> bool:
    """Whether an operator may be run on constants: it is pure, deterministic, and known."""
    if not isinstance(target, torch._ops.OpOverload) or target._schema.is_mutable:
        return False
    if torch.Tag.nondeterministic_seeded in target.tags:
        return False
    elementwise = target.namespace == "aten" and torch.Tag.pointwise in target.tags
    return elementwise or str(target) in _FOLDABLE


def fold(target: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The result of an operator on constants.

    A constant that is repeated to the size of the batch stays one sample, which broadcasts.
    """
    if str(target) in _SIZED:
        args = [_one_sample(argument) for argument in args]
        kwargs = {name: _one_sample(argument) for name, argument in kwargs.items()}
    if any(_depends_on_batch(argument) for argument in [*args, *kwargs.values()]):
        raise Cannot("it computes a constant from the size of the batch", MIXES)
    try:
        with torch.no_grad():
            return target(*args, **kwargs)
    except RuntimeError as error:
        raise Cannot(f"it cannot be computed from its constants: {error}") from None


def _one_sample(argument: Any) -> Any:
    if isinstance(argument, list | tuple) and argument and isinstance(argument[0], torch.SymInt):
        return [1, *argument[1:]]
    return argument


def _depends_on_batch(argument: Any) -> bool:
    if isinstance(argument, list | tuple):
        return any(map(_depends_on_batch, argument))
    return isinstance(argument, torch.SymInt | torch.SymFloat | torch.SymBool)
