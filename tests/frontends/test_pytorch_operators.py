"""Every operator that has a reading, one by one, against PyTorch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from pytorch_helpers import Of, check_values

from spikewright.frontends.pytorch import READERS
from spikewright.frontends.pytorch.exporting import export
from spikewright.frontends.pytorch.reading import read_program


@dataclass(frozen=True)
class _Operand:
    """In the arguments of a case: something made of the input."""

    of: Callable[[torch.Tensor], torch.Tensor]


X = _Operand(lambda x: x)
RELU = _Operand(torch.relu)
PART = _Operand(lambda x: torch.relu(x)[:, 1:3])
COLUMN = _Operand(lambda x: torch.relu(x)[:, :, 0])

IMAGE, SEQUENCE, VOLUME, ROW = (4, 6, 8), (4, 10), (2, 4, 6, 4), (6,)
SPATIAL = {1: SEQUENCE, 2: IMAGE, 3: VOLUME}


def _constant(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@dataclass
class _Case:
    """Arguments of an operator; `also_add` adds the input to the result."""

    args: tuple[Any, ...] = (X,)
    shape: tuple[int, ...] = IMAGE
    also_add: bool = False
    kwargs: dict[str, Any] = field(default_factory=dict)

    def run(self, target: str, x: torch.Tensor) -> Any:
        """The operator on these arguments; of values and indices, the values."""
        namespace, packet, overload = target.split(".")
        function = getattr(getattr(getattr(torch.ops, namespace), packet), overload)
        result = function(*[_fill(argument, x) for argument in self.args], **self.kwargs)
        if isinstance(result, list):
            return tuple(result)
        result = result[0] if isinstance(result, tuple) else result
        return result + x if self.also_add else result


def _fill(argument: Any, x: torch.Tensor) -> Any:
    if isinstance(argument, list):
        return [_fill(item, x) for item in argument]
    return argument.of(x) if isinstance(argument, _Operand) else argument


def _convolutions() -> dict[str, _Case]:
    w, b, plain = _constant(3, 4, 3, 2), _constant(3), ([2, 1], [1, 0], [1, 2], False, [0, 0], 1)
    cases = {
        "aten.convolution.default": _Case((X, w, b, *plain)),
        "aten._convolution.default": _Case((X, w, None, *plain, False, False, False, False)),
    }
    for rank, shape in SPATIAL.items():
        w, b = _constant(6, shape[0] // 2, *(3,) * rank), _constant(6)
        one, two = [1] * rank, [2] * rank
        cases[f"aten.conv{rank}d.default"] = _Case((X, w, b, two, one, one, 2), shape)
        even = (X, w[..., :2], None, one, "same", one, 2)  # an odd total of padding
        cases[f"aten.conv{rank}d.padding"] = _Case(even, shape)
    return cases


def _pools() -> dict[str, _Case]:
    cases = {}
    for rank, shape in SPATIAL.items():
        one, two, three = [1] * rank, [2] * rank, [3] * rank
        cases |= {
            f"aten.max_pool{rank}d.default": _Case((X, three, two, one, one, True), shape),
            f"aten.max_pool{rank}d_with_indices.default": _Case((X, two, [], one), shape),
            f"aten.avg_pool{rank}d.default": _Case((X, three, two, one, True, False), shape),
            f"aten.adaptive_avg_pool{rank}d.default": _Case((X, [3, 4, 3][:rank]), shape),
            f"aten.adaptive_max_pool{rank}d.default": _Case((X, one), shape),
        }
        if rank > 1:
            cases[f"aten._adaptive_avg_pool{rank}d.default"] = _Case((X, one), shape)
    return cases


def _upsampling() -> dict[str, _Case]:
    cases = {}
    for rank, shape in SPATIAL.items():
        for stem in ("upsample_nearest", "_upsample_nearest_exact"):
            size, factors = [2 * n for n in shape[1:]], [2.0] * rank
            cases[f"aten.{stem}{rank}d.default"] = _Case((X, size), shape)
            cases[f"aten.{stem}{rank}d.vec"] = _Case((X, None, factors), shape)
    return cases


def _norms() -> dict[str, _Case]:
    w, b, mean = _constant(4), _constant(4, seed=4), _constant(4, seed=5)
    variance, rest = _constant(4, seed=6).abs() + 0.5, (0.1, 1e-3)
    return {
        "aten.batch_norm.default": _Case((X, w, b, mean, variance, False, *rest, False)),
        "aten.native_batch_norm.default": _Case((X, w, None, mean, variance, False, *rest)),
        "aten._native_batch_norm_legit_no_training.default": _Case(
            (X, None, b, mean, variance, *rest)
        ),
    }


def _with(*args: Any, shape: tuple[int, ...] = IMAGE, **kwargs: Any) -> _Case:
    return _Case((X, *args), shape, kwargs=kwargs)


_ALONE = """
relu relu6 sigmoid tanh softplus neg positive clone alias detach lift_fresh_copy contiguous
mean sum
""".split()  # noqa: SIM905
_DROPOUTS = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
_JOINS = ("cat", "concat", "concatenate", "stack")

CASES: dict[str, _Case] = {
    **_convolutions(),
    **_pools(),
    **_upsampling(),
    **_norms(),
    **{f"aten.{name}.default": _Case() for name in _ALONE},
    **{f"aten.{name}.default": _with(0.5, False) for name in (*_DROPOUTS, "native_dropout")},
    **{f"aten.{name}.default": _Case(([X, RELU], -2)) for name in _JOINS},
    "aten.hardtanh.default": _with(0, 6),
    "aten.clamp.default": _with(0, 6.0),
    "aten.clamp_min.default": _with(0),
    "aten.clamp_max.default": _with(0.3),
    "aten.clip.default": _with(0),
    "aten.threshold.default": _with(0, 0),
    "aten.leaky_relu.default": _with(0.2),
    "aten.prelu.default": _with(torch.tensor([0.3])),
    "aten._prelu_kernel.default": _with(torch.tensor([[[[0.3]]]])),
    "aten.softmax.int": _with(-1),
    "aten._softmax.default": _with(1, False),
    "aten._safe_softmax.default": _with(2),
    "aten.linear.default": _with(_constant(5, 8), _constant(5)),
    "aten.matmul.default": _with(_constant(8, 5)),
    "aten.mm.default": _with(_constant(6, 5), shape=ROW),
    "aten.addmm.default": _Case(
        (_constant(5), X, _constant(6, 5)), ROW, kwargs={"beta": 0.5, "alpha": 2.0}
    ),
    "aten.add.Tensor": _with(RELU, alpha=-2),
    "aten.sub.Tensor": _Case((RELU, X), kwargs={"alpha": 3}),
    "aten.subtract.Tensor": _Case((_constant(8), X)),
    "aten.rsub.Tensor": _with(_constant(6, 1), alpha=2),
    "aten.add.Scalar": _with(1.5, 2),
    "aten.sub.Scalar": _with(1.5, 2),
    "aten.rsub.Scalar": _with(1.5, 2),
    "aten.mul.Scalar": _with(-1.5),
    "aten.div.Scalar": _with(3.0),
    "aten.mul.Tensor": _with(_constant(4, 1, 1)),
    "aten.multiply.Tensor": _Case((_constant(1, 4, 6, 8), X)),
    "aten.div.Tensor": _with(_constant(4, 1, 8)),
    "aten.true_divide.Tensor": _with(_constant(8)),
    "aten.divide.Tensor": _with(_constant(8)),
    "aten.mean.dim": _with([2, 3], True),
    "aten.sum.dim_IntList": _with([-1, 1]),
    "aten.amax.default": _with([2], True),
    "aten.max.dim": _with(1),
    "aten.pad.default": _with([1, 2, 0, 1]),
    "aten.constant_pad_nd.default": _with([1, -2, -1, 3, 2, 0]),
    "aten.slice.Tensor": _with(2, -4, -1),
    "aten.narrow.default": _with(1, 1, 2),
    "aten.select.int": _with(2, -2),
    "aten.slice_scatter.default": _with(PART, 1, -3, -1),
    "aten.select_scatter.default": _with(COLUMN, 2, -1),
    "aten.unbind.int": _with(1),
    "aten.split.Tensor": _with(3, 3),
    "aten.split.sizes": _with([1, 5], 2),
    "aten.split_with_sizes.default": _with([3, 1], 1),
    "aten.chunk.default": _with(3, -1),
    "aten.expand.default": _with([-1, 4, 5, 3], shape=(4, 1, 3)),
    "aten.repeat.default": _with([1, 2, 1, 3]),
    "aten.reshape.default": _with([-1, 6, 32]),
    "aten.view.default": _with([-1, 192]),
    "aten._unsafe_view.default": _with([-1, 12, 16]),
    "aten.view_copy.default": _with([-1, 4, 48]),
    "aten.flatten.using_ints": _with(1, 2),
    "aten.unflatten.int": _with(3, [2, 4]),
    "aten.squeeze.default": _with(shape=(1, 5, 1)),
    "aten.squeeze.dim": _with(2, shape=(1, 1, 5)),
    "aten.squeeze.dims": _with([1, 3], shape=(1, 5, 1)),
    "aten.unsqueeze.default": _with(-1),
    "aten.permute.default": _with([0, -1, 1, 2]),
    "aten.transpose.int": _with(-1, 1),
    "aten.swapaxes.default": _with(1, 2),
    "aten.swapdims.default": _with(1, 2),
    "aten.movedim.int": _with(1, -1),
    "aten.pixel_shuffle.default": _with(2),
    "aten.channel_shuffle.default": _with(2),
    "aten.to.dtype": _with(torch.float64),
    "aten.to.dtype_layout": _with(dtype=torch.float64),
    "aten.to.device": _with(torch.device("cpu"), torch.float64),
    "aten.to.other": _with(torch.zeros(1)),
    "aten.type_as.default": _with(torch.zeros(1)),
    "aten._to_copy.default": _with(dtype=torch.float64),
    "aten.zeros_like.default": _Case(also_add=True),
    "aten.ones_like.default": _Case(also_add=True),
    "aten.full_like.default": _Case((X, 2.5), also_add=True),
    "aten.new_zeros.default": _Case((X, [1, 4, 6, 8]), also_add=True),
    "aten.new_ones.default": _Case((X, [1, 4, 6, 8]), also_add=True),
    "aten.new_full.default": _Case((X, [1, 4, 6, 8], 0.5), also_add=True),
}
MIXING = ("aten.mean.default", "aten.sum.default")
"""Reductions over everything: never readable, see the tests of refusals."""


def test_every_registered_operator_has_a_case() -> None:
    """A reading without a case is a reading that nobody has checked."""
    assert set(READERS) == set(CASES)


@pytest.mark.parametrize("target", [name for name in CASES if name not in MIXING])
def test_reading_computes_what_pytorch_computes(target: str) -> None:
    """The operator stands in the traced program, and its reading gives the same values."""
    case = CASES[target]
    example = torch.randn(2, *case.shape, generator=torch.Generator().manual_seed(6))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = export(Of(lambda _, x: case.run(target, x)), example)
    assert target in {str(node.target) for node in exported.graph.nodes}
    check_values(read_program(exported))
