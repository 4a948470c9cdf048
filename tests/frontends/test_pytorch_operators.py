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
from spikewright.frontends.pytorch.modules import read_program
from spikewright.frontends.pytorch.program import BY_SHAPE


@dataclass(frozen=True)
class _Operand:
    """In the arguments of a case: something made of the input."""

    of: Callable[[torch.Tensor], torch.Tensor]


X = _Operand(lambda x: x)
RELU = _Operand(torch.relu)
PART = _Operand(lambda x: torch.relu(x)[:, 1:3])
COLUMN = _Operand(lambda x: torch.relu(x)[:, :, 0])
BOUNDED = _Operand(lambda x: (2 * x + 0.25).clamp(0.25, 3.25))
LOWER = _Operand(lambda x: (2 * x - 0.25).clamp(-0.25, 2.75))
POSITIVE = _Operand(lambda x: x.abs() + 0.5)
TURNED = _Operand(lambda x: torch.relu(x).transpose(-1, -2))
FIRST = _Operand(lambda x: torch.relu(x)[:, 0])
WHOLE = _Operand(lambda x: x.argsort(1))
WINDOW = torch.hann_window(6)
SPECTRUM = _Operand(
    lambda x: torch.stft(x, 8, window=torch.hann_window(8), return_complex=True)[..., 1:].mT
)
PAIRS = _Operand(lambda x: x.view(-1, 6, 8))

IMAGE, SEQUENCE, VOLUME, ROW = (4, 6, 8), (4, 10), (2, 4, 6, 4), (6,)
SPATIAL = {1: SEQUENCE, 2: IMAGE, 3: VOLUME}


def _constant(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@dataclass
class _Case:
    """Arguments of an operator; `also_add` adds the input to the result.

    `every` result is looked at, not only the first; `then` brings the batch axis to the front.
    Inputs may be `whole` numbers below 6.
    """

    args: tuple[Any, ...] = (X,)
    shape: tuple[int, ...] = IMAGE
    also_add: bool = False
    kwargs: dict[str, Any] = field(default_factory=dict)
    every: bool = False
    then: Callable[[Any], Any] = lambda result: result
    whole: bool = False

    def run(self, target: str, x: torch.Tensor) -> Any:
        """The operator on these arguments; of values and indices, the values."""
        namespace, packet, overload = target.split(".")
        function = getattr(getattr(getattr(torch.ops, namespace), packet), overload)
        result = function(*[_fill(argument, x) for argument in self.args], **self.kwargs)
        if isinstance(result, list):
            return self.then(tuple(result))
        if isinstance(result, tuple) and not self.every:
            result = result[0]
        return self.then(result + x if self.also_add else result)


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


def _choices() -> dict[str, _Case]:
    """Truth values, places and distances."""
    low, high = _Operand(lambda x: x > -0.3), _Operand(lambda x: x < 0.4)
    places = torch.tensor([0, 2])
    return {
        **{
            f"aten.{name}": _Case((low, high))
            for name in ("logical_xor.default", "bitwise_xor.Tensor", "__xor__.Tensor")
        },
        "aten.any.dim": _Case((high, 2, True)),
        "aten.any.dims": _Case((high, [2, 3])),
        "aten.any.default": _Case((low,)),
        "aten.all.dim": _Case((low, 1)),
        "aten.all.dims": _Case((low, [1, 3], True)),
        "aten.all.default": _Case((low,)),
        "aten.argmax.default": _Case((X, 2, True)),
        "aten.argmin.default": _Case((X, -1)),
        "aten.floor_divide.default": _Case((WHOLE, 3), (9,), then=lambda n: n.clamp(0, 2)),
        "aten.div.Tensor_mode": _Case(
            (WHOLE, torch.tensor(49)),
            (50,),
            kwargs={"rounding_mode": "floor"},
            then=lambda n: n.clamp(0, 2),
        ),
        "aten.div.Scalar_mode": _Case((X, 3), kwargs={"rounding_mode": None}),
        "aten.hypot.default": _Case((X, TURNED), (4, 4)),
        "aten.logaddexp.default": _Case((X, TURNED), (4, 4)),
        "aten.nan_to_num.default": _with(0.5),
        "aten.stft.default": _Case((X, 8, 3, 6, WINDOW, True, None, False), (20,)),
        "aten.view_as_real.default": _Case((SPECTRUM,), (20,)),
        "aten.real.default": _Case((SPECTRUM,), (20,)),
        "aten.imag.default": _Case((SPECTRUM,), (20,)),
        "aten.topk.default": _Case((X, 2, 1, False), every=True),
        "aten.sort.default": _Case((X, 1, True), every=True),
        "aten.sort.stable": _Case((X,), kwargs={"stable": True, "dim": 1}, every=True),
        "aten.argsort.default": _Case((X, 1, True)),
        "aten.argsort.stable": _Case((X,), kwargs={"stable": True, "dim": 1}),
        "aten.scatter.src": _Case((X, 1, _Operand(lambda x: x.argsort(1)), BOUNDED)),
        "aten.scatter.value": _Case((X, 3, _Operand(lambda x: x.topk(2).indices), 0.5)),
        "aten.scatter_add.default": _Case((X, 1, _Operand(lambda x: x.argsort(1)), BOUNDED)),
        "aten.cdist.default": _Case((X, _constant(3, 8))),
        "aten.index_fill.int_Scalar": _with(2, places, 1.5),
        "aten.index_fill.int_Tensor": _with(1, places, torch.tensor(0.5)),
        "aten.linalg_norm.default": _Case((X, None, [2, 3], True)),
        "aten.linalg_norm.ord_str": _Case((X, "fro", [1, 2])),
        "aten.linalg_matrix_norm.str_ord": _Case((X, "fro", [-2, -1])),
        "aten.pow.Tensor_Tensor": _Case((_Operand(lambda x: x.abs() + 0.2), X)),
        "aten.clip.Tensor": _with(torch.tensor(-0.5), _constant(8).abs()),
        "aten.broadcast_to.default": _with([-1, 4, 6, 8], shape=(4, 1, 8)),
        "aten.sign.default": _with(),
    }


def _recurrent() -> dict[str, _Case]:
    """Layers over ten steps of four values from zeros, and cells from a state."""
    cases, units = {}, 3
    zeros = _Operand(lambda x: torch.zeros(1, len(x), units))
    turned = _Operand(lambda x: x.transpose(1, 2))
    for name, gates in (("rnn_tanh", 1), ("rnn_relu", 1), ("gru", 3), ("lstm", 4)):
        params = [_constant(gates * units, 4), _constant(gates * units, units, seed=4)]
        params += [_constant(gates * units, seed=5), _constant(gates * units, seed=6)]
        several = name == "lstm"
        settings = (True, 1, 0.0, False, False, True)
        args = (turned, [zeros, zeros] if several else zeros, params, *settings)
        cases[f"aten.{name}.input"] = _Case(args, SEQUENCE)
        state = _Operand(lambda x: torch.relu(x)[:, 2:])
        cell = (_Operand(lambda x: x[:, :4]), [state, state] if several else state, *params)
        cases[f"aten.{name}_cell.default"] = _Case(cell, (5,))
    settings = "LSTM", True, 1, False
    counts = _Operand(lambda x: x[:, 0].argmax(-1) + 1)
    given = turned, counts, [zeros, zeros], params, *settings
    cases["spikewright.recurrent.default"] = _Case(given, SEQUENCE, then=lambda made: made[0])
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
        name = {1: "upsample_linear1d", 2: "upsample_bilinear2d", 3: "upsample_trilinear3d"}[rank]
        size = [2 * n - 1 for n in shape[1:]]
        cases[f"aten.{name}.default"] = _Case((X, size, True), shape)
        cases[f"aten.{name}.vec"] = _Case((X, None, False, [1.6] * rank), shape)
    for name in ("upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"):
        cases[f"aten.{name}.default"] = _Case((X, [4, 11], name == "upsample_bicubic2d"))
        cases[f"aten.{name}.vec"] = _Case((X, None, False, [0.6, 1.7]))
    return cases


def _paddings() -> dict[str, _Case]:
    cases = {}
    for rank, shape in SPATIAL.items():
        pad = [1, 2, 2, 0, 1, 1][: 2 * rank]
        cases[f"aten.reflection_pad{rank}d.default"] = _Case((X, pad), shape)
        cases[f"aten.replication_pad{rank}d.default"] = _Case((X, pad), shape)
    return cases


def _transposed_convolutions() -> dict[str, _Case]:
    cases = {}
    for rank, shape in SPATIAL.items():
        w, b = _constant(shape[0], 3, *(3,) * rank), _constant(6)
        one, two = [1] * rank, [2] * rank
        name = f"aten.conv_transpose{rank}d.{'default' if rank == 1 else 'input'}"
        cases[name] = _Case((X, w, b, two, one, one, 2, one), shape)
    return cases


def _with(*args: Any, shape: tuple[int, ...] = IMAGE, **kwargs: Any) -> _Case:
    return _Case((X, *args), shape, kwargs=kwargs)


def _norms() -> dict[str, _Case]:
    w, b, mean = _constant(4), _constant(4, seed=4), _constant(4, seed=5)
    variance, rest = _constant(4, seed=6).abs() + 0.5, (0.1, 1e-3)
    return {
        "aten.batch_norm.default": _Case((X, w, b, mean, variance, False, *rest, False)),
        "aten.native_batch_norm.default": _Case((X, w, None, mean, variance, False, *rest)),
        "aten._native_batch_norm_legit_no_training.default": _Case(
            (X, None, b, mean, variance, *rest)
        ),
        "aten.instance_norm.default": _Case((X, w, b, None, None, True, *rest, False)),
        "aten.group_norm.default": _Case((X, 2, w, b)),
        "aten.native_group_norm.default": _Case((X, w, b, 2, 4, 48, 2, 1e-3)),
        "aten.layer_norm.default": _Case((X, [6, 8], _constant(6, 8), _constant(6, 8, seed=4))),
        "aten.native_layer_norm.default": _Case((X, [8], _constant(8), None, 1e-3)),
        "aten.rms_norm.default": _Case((X, [8], _constant(8))),
        "aten._fused_rms_norm.default": _Case((X, [8], _constant(8), 1e-3)),
        "aten.linalg_vector_norm.default": _Case((X, 2, [1], True)),
        "aten.norm.ScalarOpt_dim": _Case((X, 1, [-1])),
        "aten.var.correction": _with([2, 3], correction=1, keepdim=True),
        "aten.var.dim": _with([1], False),
        "aten.std.correction": _with([1], correction=0),
        "aten.std.dim": _with([3]),
        "aten.var_mean.correction": _Case((X, [3]), kwargs={"correction": 0}, every=True),
        "aten.std_mean.correction": _Case((X, [1]), kwargs={"keepdim": True}, every=True),
    }


_ALONE = """
relu relu6 sigmoid tanh softplus neg negative positive clone alias detach lift_fresh_copy contiguous
mean sum max min ravel gelu silu hardswish hardsigmoid mish selu elu log_sigmoid log_sigmoid_forward
abs exp exp2 expm1 sin cos erf special_erf special_expit square hardshrink softshrink
""".split()  # noqa: SIM905
_ABOVE_ZERO = "sqrt rsqrt log log1p log2 log10 reciprocal".split()  # noqa: SIM905
_DROPOUTS = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
_JOINS = ("cat", "concat", "concatenate", "stack")

CASES: dict[str, _Case] = {
    **_convolutions(),
    **_pools(),
    **_choices(),
    **_recurrent(),
    **_upsampling(),
    **_norms(),
    **_paddings(),
    **_transposed_convolutions(),
    **{f"aten.{name}.default": _Case() for name in _ALONE},
    **{f"aten.{name}.default": _Case((POSITIVE,)) for name in _ABOVE_ZERO},
    **{f"aten.{name}.default": _with(0.5, False) for name in (*_DROPOUTS, "native_dropout")},
    **{f"aten.{name}.default": _Case(([X, RELU], -2)) for name in _JOINS},
    **{f"aten.{name}.default": _Case((BOUNDED,)) for name in ("floor", "round", "trunc")},
    "aten.ceil.default": _Case((LOWER,)),
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
    "aten.bmm.default": _Case((FIRST, _Operand(lambda x: x[:, 1].transpose(1, 2)))),
    "aten.baddbmm.default": _Case(
        (_constant(6, 6), FIRST, _Operand(lambda x: x[:, 1].mT)), kwargs={"beta": 2, "alpha": 0.5}
    ),
    "aten.addmv.default": _Case((_constant(1), X, _constant(6)), ROW, kwargs={"alpha": 0.5}),
    "aten.inner.default": _Case((X, _constant(5, 8))),
    "aten.linalg_vecdot.default": _Case((X, RELU), kwargs={"dim": 1}),
    "aten.linalg_multi_dot.default": _Case(([X, _constant(6, 3), _constant(3, 2)],), ROW),
    "aten.chain_matmul.default": _Case(([X, _constant(6, 3), _constant(3, 2)],), ROW),
    "aten.bilinear.default": _Case((X, RELU, _constant(3, 8, 8), _constant(3))),
    "aten.tensordot.default": _Case((X, _constant(8, 4, 5), [3, 1], [0, 1])),
    "aten.cosine_similarity.default": _Case((X, RELU, 1, 0.1)),
    "aten.mv.default": _with(_constant(6), shape=ROW),
    "aten.einsum.default": _Case(("bchw,bkhw->bhkc", [X, RELU])),
    "aten.scaled_dot_product_attention.default": _Case(
        (X, RELU, X, _constant(6, 6)), kwargs={"scale": 0.3}
    ),
    "aten._scaled_dot_product_flash_attention_for_cpu.default": _Case((X, RELU, X, 0.0, True)),
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
    "aten.amin.default": _with([1, 3]),
    "aten.max.dim": _with(1),
    "aten.min.dim": _with(-1, True),
    "aten.max.other": _with(_constant(8)),
    "aten.min.other": _with(RELU),
    "aten.maximum.default": _with(torch.tensor(0.5)),
    "aten.minimum.default": _with(RELU),
    "aten.clamp.Tensor": _with(_constant(8) - 2, _constant(8) + 2),
    "aten.clamp_min.Tensor": _with(_Operand(lambda x: x.mean(1, True))),
    "aten.clamp_max.Tensor": _with(torch.tensor(0.25)),
    "aten.cumsum.default": _with(2),
    "aten.diff.default": _with(2, -1),
    "aten.tril.default": _with(1),
    "aten.triu.default": _with(-1),
    **{f"aten.{name}.Scalar": _with(0.1) for name in ("gt", "ge", "lt", "le")},
    **{f"aten.{name}.Tensor": _with(_constant(8)) for name in ("gt", "le")},
    **{f"aten.{name}.Tensor": _with(RELU) for name in ("ge", "lt")},
    **{f"aten.{name}.Scalar": _Case((X, 2), whole=True) for name in ("eq", "ne")},
    **{
        f"aten.{name}.Tensor": _Case((X, torch.tensor([1, 2, 3, 1, 2, 3, 0, 5])), whole=True)
        for name in ("eq", "ne")
    },
    **dict.fromkeys(
        (
            "aten.logical_and.default",
            "aten.logical_or.default",
            "aten.bitwise_and.Tensor",
            "aten.bitwise_or.Tensor",
            "aten.__and__.Tensor",
            "aten.__or__.Tensor",
        ),
        _Case((_Operand(lambda x: x > 0.1), _Operand(lambda x: x.flip(1) < 0.8))),
    ),
    "aten.logical_not.default": _Case((_Operand(lambda x: x > 0.1),)),
    "aten.bitwise_not.default": _Case((_Operand(lambda x: x > 0.1),)),
    "aten.logsumexp.default": _with([1]),
    "aten.prod.dim_int": _with(-1, True),
    "aten.sinh.default": _with(),
    "aten.atan.default": _with(),
    "aten.cosh.default": _with(),
    "aten.where.self": _Case((_constant(6, 8) > 0, X, RELU)),
    "aten.where.ScalarOther": _Case((_constant(4, 1, 1) > 0, X, 2.0)),
    "aten.where.ScalarSelf": _Case((_constant(4, 1, 1) > 0, 2.0, X)),
    "aten.where.Scalar": _Case((_Operand(lambda x: x > 0.1), 1.5, -0.5)),
    "aten.masked_fill.Scalar": _with(_constant(8) > 0, 1.5),
    "aten.masked_fill.Tensor": _with(_constant(8) > 0, torch.tensor(-1.5)),
    "aten.addcmul.default": _Case((_constant(4, 1, 1), X, RELU), kwargs={"value": 0.5}),
    "aten.addcdiv.default": _Case((X, RELU, POSITIVE), kwargs={"value": -2}),
    "aten.pow.Tensor_Scalar": _with(3),
    "aten.pow.Scalar": _Case((2.5, X)),
    "aten.celu.default": _with(0.7),
    "aten.rrelu.default": _with(0.1, 0.3, False),
    "aten.glu.default": _with(1),
    "aten.log_softmax.int": _with(1),
    "aten._log_softmax.default": _with(3, False),
    "aten.pad.default": _with([1, 2, 0, 1]),
    "aten.constant_pad_nd.default": _with([1, -2, -1, 3, 2, 0]),
    "aten.slice.Tensor": _with(2, -4, -1),
    "aten.narrow.default": _with(1, 1, 2),
    "aten.index.Tensor": _Case((X, [None, None, torch.tensor([[0, 2], [5, 1]])])),
    "aten.index_select.default": _with(1, torch.tensor([3, 0, 3])),
    "aten.gather.default": _with(
        3, _Operand(lambda x: torch.tensor([[1, 7], [0, 2]]).expand(x.size(0), 4, 2, 2))
    ),
    "aten.unfold.default": _with(2, 3, 2),
    "aten.diagonal.default": _with(1, 2, 3),
    "aten.flip.default": _with([1, 3]),
    "aten.roll.default": _with([2, -1], [3, 1]),
    "aten.im2col.default": _with([2, 3], [1, 2], [1, 0], [2, 1]),
    "aten.col2im.default": _with([5, 9], [2, 2], [1, 1], [0, 1], [2, 3], shape=(8, 8)),
    "aten.select.int": _with(2, -2),
    "aten.slice_scatter.default": _with(PART, 1, -3, -1),
    "aten.select_scatter.default": _with(COLUMN, 2, -1),
    "aten.unbind.int": _with(1),
    "aten.split.Tensor": _with(3, 3),
    "aten.split.sizes": _with([1, 5], 2),
    "aten.split_with_sizes.default": _with([3, 1], 1),
    "aten.chunk.default": _with(3, -1),
    "aten.tensor_split.sections": _with(3, 3),
    "aten.tensor_split.indices": _with([1, 5], 2),
    "aten.expand_as.default": _Case((_Operand(lambda x: x[:, :1]), X)),
    "aten.tile.default": _with([2, 1, 3]),
    "aten.repeat_interleave.self_int": _with(2, 1),
    "aten.expand.default": _with([-1, 4, 5, 3], shape=(4, 1, 3)),
    "aten.repeat.default": _with([1, 2, 1, 3]),
    "aten.embedding.default": _Case((_constant(6, 3), X), SEQUENCE, whole=True),
    "aten.one_hot.default": _Case((X, 6), SEQUENCE, then=torch.Tensor.float, whole=True),
    "aten.reshape.default": _with([-1, 6, 32]),
    "aten.view.default": _with([-1, 192]),
    "aten._unsafe_view.default": _with([-1, 12, 16]),
    "aten.view_copy.default": _with([-1, 4, 48]),
    "aten.flatten.using_ints": _with(1, 2),
    "aten.unflatten.int": _with(3, [2, 4]),
    "aten.squeeze.default": _Case((X,), (1, 5, 1), then=lambda made: made.view(-1, 5)),
    "aten.squeeze.dim": _with(2, shape=(1, 1, 5)),
    "aten.squeeze.dims": _with([1, 3], shape=(1, 5, 1)),
    "aten.unsqueeze.default": _with(-1),
    "aten.permute.default": _with([0, -1, 1, 2]),
    "aten.transpose.int": _with(-1, 1),
    "aten.swapaxes.default": _with(1, 2),
    "aten.swapdims.default": _with(1, 2),
    "aten.movedim.int": _with(1, -1),
    "aten.movedim.intlist": _with([3, 1], [1, 2]),
    "aten.moveaxis.int": _with(-1, 1),
    "aten.moveaxis.intlist": _with([1, 2], [3, 1]),
    "aten.mT.default": _with(),
    "aten.t.default": _Case((X,), ROW, then=lambda y: y.transpose(0, 1)),
    "aten.numpy_T.default": _Case((X,), ROW, then=lambda y: y.transpose(0, 1)),
    "aten.reshape_as.default": _Case((PAIRS, X)),
    "aten.view_as.default": _Case((PAIRS, X)),
    "aten.pixel_unshuffle.default": _with(2),
    "aten.pixel_shuffle.default": _with(2),
    "aten.channel_shuffle.default": _with(2),
    "aten.to.dtype": _with(torch.float64),
    "aten.to.dtype_layout": _with(dtype=torch.float64),
    "aten.to.device": _with(torch.device("cpu"), torch.float64),
    "aten.to.other": _with(torch.zeros(1)),
    "aten.type_as.default": _with(torch.zeros(1)),
    "aten._to_copy.default": _with(dtype=torch.float64),
    "aten.zeros_like.default": _Case(also_add=True),
    "aten.zero.default": _Case(also_add=True),
    "aten.fill.Scalar": _Case((X, 1.5), also_add=True),
    "aten.fill.Tensor": _Case((X, torch.tensor(1.5)), also_add=True),
    "aten.copy.default": _Case((X, _Operand(lambda x: x[:, :1] * 2))),
    "aten.ones_like.default": _Case(also_add=True),
    "aten.full_like.default": _Case((X, 2.5), also_add=True),
    "aten.new_zeros.default": _Case((X, [1, 4, 6, 8]), also_add=True),
    "aten.new_ones.default": _Case((X, [1, 4, 6, 8]), also_add=True),
    "aten.new_full.default": _Case((X, [1, 4, 6, 8], 0.5), also_add=True),
}
MIXING = tuple(
    f"aten.{name}.default" for name in ("mean", "sum", "max", "min", "ravel", "any", "all", "sign")
)
"""Reductions over everything, and a sign: never readable alone, see the tests of refusals."""


def test_every_registered_operator_has_a_case() -> None:
    """A reading without a case is a reading that nobody has checked."""
    documented = {name for name in READERS if name.startswith("mine.")}  # of docs/own_layers.md
    assert (set(READERS) - documented) | set(BY_SHAPE) == set(CASES)


@pytest.mark.parametrize("target", [name for name in CASES if name not in MIXING])
def test_reading_computes_what_pytorch_computes(target: str) -> None:
    """The operator stands in the traced program, and its reading gives the same values."""
    case = CASES[target]
    generator = torch.Generator().manual_seed(6)
    example = torch.randn(2, *case.shape, generator=generator)
    if case.whole:
        example = torch.randint(6, (2, *case.shape), generator=generator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = export(Of(lambda _, x: case.run(target, x)), example)
    assert target in {str(node.target) for node in exported.graph.nodes}
    check_values(read_program(exported))
