"""`keras.ops` on the tensors of a model, with each option that changes what they compute."""

from __future__ import annotations

import numpy as np
from keras_cases import CASES, case
from keras_helpers import keras, layers
from keras_operations import OPERATIONS

import spikewright as sw
from spikewright.frontends.keras import READERS

L, ops = layers, keras.ops
vector = np.array([1.0, -2.0, 0.5], np.float32)
case("ops.Add", lambda xs: xs[0] + xs[1], (4, 3), (4, 3))
case("ops.Add", lambda x: x + x, (4, 3))
case("ops.Add", lambda x: 1.5 + x, (4, 3))
case("ops.Add", lambda x: x + vector, (4, 3))
case("ops.Add", lambda x: x + vector.reshape(1, 1, 3), (4, 3))
case("ops.Subtract", lambda xs: xs[0] - xs[1], (4, 3), (4, 3))
case("ops.Subtract", lambda x: x - vector, (4, 3))
case("ops.Subtract", lambda x: 2.0 - x, (4, 3))
case("ops.Multiply", lambda x: x * 2.0, (4, 3))
case("ops.Multiply", lambda x: ops.multiply(vector, x), (4, 3))
case("ops.Divide", lambda x: ops.divide(x, vector), (4, 3))
case("ops.TrueDivide", lambda x: ops.true_divide(x, 4), (4, 3))
case("ops.Negative", lambda x: -x, (4, 3))
case("ops.Cast", lambda x: ops.cast(x, "float64") * 2.0, (4, 3))
case("RoundedReLU", sw.keras.RoundedReLU(3, 1.5), (4, 3))
case("ops.Floor", lambda x: ops.floor(ops.clip(2 * x + 0.5, 0.5, 3.5)), (4, 3))
case("ops.Ceil", lambda x: ops.ceil(ops.clip(2 * x - 0.5, -0.5, 2.5)), (4, 3))
case("ops.Round", lambda x: ops.round(ops.clip(x, 0, 1) * 5), (4, 3))
case("ops.Trunc", lambda x: ops.trunc(ops.clip(3 * x, 0, 4)), (4, 3))
case("ops.Relu", ops.relu, (4, 3))
case("ops.Relu6", lambda x: ops.relu6(4 * x), (4, 3))
case("ops.Sigmoid", ops.sigmoid, (4, 3))
case("ops.Tanh", ops.tanh, (4, 3))
case("ops.Softplus", ops.softplus, (4, 3))
case("ops.Softmax", ops.softmax, (4, 3))
case("ops.Softmax", lambda x: ops.softmax(x, axis=1), (4, 3))
case("ops.LeakyRelu", lambda x: ops.leaky_relu(x, negative_slope=0.3), (4, 3))
case("ops.ReLU", lambda x: keras.activations.relu(x, negative_slope=0.3), (4, 3))
case("ops.ReLU", lambda x: keras.activations.relu(x, max_value=6), (4, 3))
case("ops.Reshape", lambda x: ops.reshape(x, (-1, 6, 2)), (4, 3))
case("ops.Transpose", lambda x: ops.transpose(x, (0, 3, 1, 2)), (4, 3, 2))
case("ops.Transpose", lambda x: ops.transpose(x, (0, -1, 1, 2)), (4, 3, 2))
case("ops.Concatenate", lambda xs: ops.concatenate(xs, axis=-1), (4, 3), (4, 2))
case("ops.Mean", lambda x: ops.mean(x, axis=(1, 2)), (4, 3, 2))
case("ops.Mean", lambda x: ops.mean(x, axis=-1, keepdims=True), (4, 3, 2))
case("ops.Max", lambda x: ops.max(x, axis=1), (4, 3, 2))
case("ops.Squeeze", lambda x: ops.squeeze(x, axis=-1), (4, 1, 1))
case("ops.ExpandDims", lambda x: ops.expand_dims(x, axis=(1, -1)), (4, 3))
case("ops.Add", lambda xs: xs[0] + xs[1], (4, 3), (4, 1))
case("ops.Add", lambda xs: xs[0] + xs[1], (4, 1), (1, 3))
case("ops.Add", lambda x: x + vector, (4, 1))
case("ops.Subtract", lambda xs: xs[0] - xs[1], (4, 1), (4, 3))
case("ops.Subtract", lambda x: ops.subtract(vector, x), (4, 1))
case("ops.Multiply", lambda xs: xs[0] * xs[1], (4, 3), (4, 1))
case("ops.Multiply", lambda x: x * x, (4, 3))
case("ops.Multiply", lambda x: x * vector, (4, 1))
case("ops.TrueDivide", lambda xs: xs[0] / (ops.abs(xs[1]) + 1.0), (4, 3), (4, 1))
case("ops.TrueDivide", lambda x: ops.true_divide(vector, ops.abs(x) + 1.0), (4, 3))
case("ops.Power", lambda x: x**2, (4, 3))
case("ops.Power", lambda x: x**3, (4, 3))
case("ops.Power", lambda x: (ops.abs(x) + 0.5) ** -3, (4, 3))
case("ops.Power", lambda x: ops.abs(x) ** 7, (4, 3))
case("ops.Power", lambda x: ops.abs(x) ** 0.5, (4, 3))
case("ops.Power", lambda x: (ops.abs(x) + 0.5) ** -1.0, (4, 3))
case("ops.Power", lambda x: (ops.abs(x) + 0.5) ** 1.7, (4, 3))
case("ops.Power", lambda x: x**1, (4, 3))
case("ops.Power", lambda x: 2.0**x, (4, 3))
case("ops.Maximum", lambda xs: ops.maximum(*xs), (4, 3), (4, 1))
case("ops.Maximum", lambda x: ops.maximum(x, 0.3), (4, 3))
case("ops.Maximum", lambda x: ops.maximum(vector, x), (4, 3))
case("ops.Minimum", lambda xs: ops.minimum(*xs), (4, 3), (4, 3))
case("ops.Minimum", lambda x: ops.minimum(x, vector), (4, 1))
case("ops.Clip", lambda x: ops.clip(x, -0.5, 0.7), (4, 3))
case("ops.Clip", lambda x: ops.clip(x, -vector - 3, vector + 3), (4, 3))
case("ops.SaturateCast", lambda x: ops.saturate_cast(x, "float64"), (4, 3))
case("ops.Array", ops.array, (4, 3))
case("ops.ConvertToTensor", ops.convert_to_tensor, (4, 3))
case("ops.StopGradient", ops.stop_gradient, (4, 3))
case("ops.Copy", ops.copy, (4, 3))
case("ops.Cosh", ops.cosh, (4, 3))
case("ops.Arctan", ops.arctan, (4, 3))
case("ops.Sinh", ops.sinh, (4, 3))
for name in "absolute exp exp2 expm1 square sin cos erf negative".split():  # noqa: SIM905
    case(f"ops.{name.capitalize()}", getattr(ops, name), (4, 3))
for name in "log log2 log10 log1p sqrt rsqrt reciprocal".split():  # noqa: SIM905
    function = getattr(ops, name)
    case(f"ops.{name.capitalize()}", lambda x, f=function: f(ops.abs(x) + 0.5), (4, 3))
for kind, name in {
    "LogSigmoid": "log_sigmoid",
    "LogSoftmax": "log_softmax",
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "HardTanh": "hard_tanh",
    "HardShrink": "hard_shrink",
    "SoftShrink": "soft_shrink",
    "TanhShrink": "tanh_shrink",
    "SparsePlus": "sparse_plus",
    "SparseSigmoid": "sparse_sigmoid",
    "Softsign": "softsign",
    "Squareplus": "squareplus",
    "Silu": "silu",
    "Gelu": "gelu",
    "Elu": "elu",
    "Celu": "celu",
    "Selu": "selu",
    "Glu": "glu",
}.items():
    case(f"ops.{kind}", getattr(ops, name), (3, 4))
case("ops.Gelu", lambda x: ops.gelu(x, approximate=False), (3, 4))
case("ops.Glu", lambda x: ops.glu(x, axis=1), (6, 3))
case("ops.Elu", lambda x: ops.elu(x, alpha=0.3), (3, 4))
case("ops.Threshold", lambda x: ops.threshold(x, 0.2, -0.4), (3, 4))
case("ops.LogSoftmax", lambda x: ops.log_softmax(x, axis=1), (3, 4))

case("ops.Sum", lambda x: ops.sum(x, axis=-1), (4, 3, 2))
case("ops.Sum", lambda x: ops.sum(x, axis=(1, 3), keepdims=True), (4, 3, 2))
case("ops.Amax", lambda x: ops.amax(x, axis=1), (4, 3, 2))
case("ops.Amin", lambda x: ops.amin(x, axis=1), (4, 3, 2))
case("ops.Min", lambda x: ops.min(x, axis=(1, 2), keepdims=True), (4, 3, 2))
case("ops.Ptp", lambda x: ops.ptp(x, axis=1), (4, 3))
case("ops.Average", lambda x: ops.average(x, axis=1), (4, 3))
case("ops.Average", lambda x: ops.average(x, axis=2, weights=np.array([1.0, 2.0, 0.5])), (4, 3))
case("ops.Var", lambda x: ops.var(x, axis=(1, 2)), (4, 3, 2))
case("ops.Std", lambda x: ops.std(x, axis=-1, keepdims=True), (4, 3, 2))
case("ops.Moments", lambda x: ops.moments(x, axes=[1, 2]), (4, 3, 2))
case("ops.Norm", lambda x: ops.norm(x, axis=-1), (4, 3))
case("ops.Norm", lambda x: ops.norm(x, ord=1, axis=-1, keepdims=True), (4, 3))
case("ops.Norm", lambda x: ops.norm(x, axis=(1, 2)), (4, 3))
case("ops.Logsumexp", lambda x: ops.logsumexp(x, axis=-1), (4, 3))
case("ops.Logsumexp", lambda x: ops.logsumexp(x, axis=1, keepdims=True), (4, 3))
case("ops.Logsumexp", lambda x: ops.logsumexp(x, axis=(1, 2)), (4, 3))
case("ops.Prod", lambda x: ops.prod(x, axis=1), (5, 3))
case("ops.Prod", lambda x: ops.prod(x, axis=(1, 2), keepdims=True), (4, 3))
case("ops.Cumsum", lambda x: ops.cumsum(x, axis=1), (4, 3))
case("ops.Diff", lambda x: ops.diff(x, axis=1), (4, 3))
case("ops.Diff", lambda x: ops.diff(x, n=2), (4, 5))

case("ops.Swapaxes", lambda x: ops.swapaxes(x, -1, 1), (4, 3, 2))
case("ops.Moveaxis", lambda x: ops.moveaxis(x, 1, -1), (4, 3, 2))
case("ops.GetItem", lambda x: x[:, 1:3], (4, 3))
case("ops.GetItem", lambda x: x[:, -1], (4, 3))
case("ops.GetItem", lambda x: x[:, ::2, ..., None, 1], (4, 3, 2))
case("ops.GetItem", lambda x: x[:, None], (4, 3))
case("ops.GetItem", lambda x: x[:, :], (4, 3))
case("ops.Take", lambda x: ops.take(x, [2, 0, 2], axis=1), (4, 3))
case("ops.Take", lambda x: ops.take(x, 1, axis=-1), (4, 3))
case("ops.Take", lambda x: ops.take(x, np.array([[0, -1], [1, 2]]), axis=1), (4, 3))
case("ops.Split", lambda x: ops.split(x, 2, axis=1), (4, 3))
case("ops.Split", lambda x: ops.split(x, [1, 2], axis=-1)[1] * 2.0, (4, 3))
case("ops.ArraySplit", lambda x: ops.array_split(x, 3, axis=1), (4, 3))
case("ops.Unstack", lambda x: ops.unstack(x, axis=1), (4, 3))
case("ops.Stack", lambda xs: ops.stack(xs, axis=1), (4, 3), (4, 3))
case("ops.Stack", lambda xs: ops.stack(xs, axis=-1), (4, 3), (4, 3))
case("ops.Hstack", ops.hstack, (4, 3), (2, 3))
case("ops.Flip", lambda x: ops.flip(x, axis=1), (4, 3))
case("ops.Flip", lambda x: ops.flip(x, axis=(1, 2)), (4, 3))
case("ops.Roll", lambda x: ops.roll(x, 1, axis=1), (4, 3))
case("ops.Roll", lambda x: ops.roll(x, (1, -2), axis=(1, 2)), (4, 3))
case("ops.Repeat", lambda x: ops.repeat(x, 2, axis=1), (4, 3))
case("ops.Repeat", lambda x: ops.repeat(x, np.array([1, 0, 2]), axis=-1), (4, 3))
case("ops.Tile", lambda x: ops.tile(x, (1, 2, 3)), (4, 3))
case("ops.Tile", lambda x: ops.tile(x, 2), (4, 3))
case("ops.Pad", lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1))), (4, 3))
case("ops.Pad", lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1)), constant_values=0.7), (4, 3))
case("ops.Pad", lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1)), "reflect"), (4, 3))
case("ops.Pad", lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1)), "symmetric"), (4, 3))
case("ops.Tril", lambda x: ops.tril(x, 1), (2, 4, 3))
WHERE = np.arange(12).reshape(4, 3) % 2 == 0
case("ops.Where", lambda x: ops.where(WHERE, x, 0.5), (4, 3))
case("ops.Where", lambda xs: ops.where(WHERE, *xs), (4, 3), (4, 1))
case("ops.Where", lambda x: ops.where(x > 0.1, x, 0.2 * x), (4, 3))
case("ops.Where", lambda xs: ops.where(xs[0] < xs[1], 1.5, xs[1]), (4, 3), (4, 3))
case("ops.Greater", lambda x: ops.cast(ops.greater(x, 0.1), "float32"), (4, 3))
case("ops.GreaterEqual", lambda x: ops.cast(ops.greater_equal(0.1, x), "float32"), (4, 3))
case("ops.Less", lambda xs: ops.cast(ops.less(*xs), "float32"), (4, 3), (4, 3))
case("ops.LessEqual", lambda xs: ops.cast(ops.less_equal(*xs), "float32"), (4, 3), (4, 3))
for equal in (ops.equal, ops.not_equal):
    name = "ops.Equal" if equal is ops.equal else "ops.NotEqual"
    case(name, lambda xs, f=equal: ops.where(f(xs[0] > 0, xs[1] > 0), *xs), (4, 3), (4, 3))
case("ops.LogicalAnd", lambda x: ops.where(ops.logical_and(x > -0.5, x < 0.5), x, 0.0), (4, 3))
case("ops.LogicalOr", lambda x: ops.where(ops.logical_or(x < -0.5, x > 0.5), x, 0.0), (4, 3))
case("ops.LogicalNot", lambda x: ops.where(ops.logical_not(x > 0.5), x, 0.0), (4, 3))
case("ops.Triu", ops.triu, (4, 3))
case("ops.DepthToSpace", lambda x: ops.depth_to_space(x, 2), (3, 2, 8))
case("ops.SpaceToDepth", lambda x: ops.space_to_depth(x, 2), (4, 6, 3))

rng = np.random.default_rng(3)
matrix = rng.normal(size=(3, 5)).astype(np.float32)
case("ops.Matmul", lambda xs: ops.matmul(*xs), (4, 3), (3, 2))
case("ops.Matmul", lambda xs: xs[0] @ xs[1], (2, 4, 3), (2, 3, 2))
case("ops.Matmul", lambda x: x @ matrix, (4, 3))
case("ops.Matmul", lambda x: x @ matrix, (3,))
case("ops.Matmul", lambda x: ops.matmul(matrix.T, x), (3, 2))
case("ops.Matmul", lambda x: ops.matmul(x, vector), (4, 3))
case("ops.Dot", lambda x: ops.dot(x, matrix), (4, 3))
case("ops.Tensordot", lambda x: ops.tensordot(x, matrix, axes=1), (4, 3))
case("ops.Tensordot", lambda x: ops.tensordot(x, matrix, axes=([1], [0])), (3, 4))
case("ops.Einsum", lambda xs: ops.einsum("btd,bsd->bts", *xs), (4, 3), (5, 3))
case("ops.Einsum", lambda xs: ops.einsum("bhtd,bhsd->bhts", *xs), (2, 4, 3), (2, 5, 3))
case("ops.Einsum", lambda xs: ops.einsum("bi,bj->bji", *xs), (4,), (3,))
case("ops.Einsum", lambda xs: ops.einsum("bij,bj->bij", *xs), (4, 3), (3,))
case("ops.Einsum", lambda xs: ops.einsum("bij,bik->bj", *xs), (4, 3), (4, 2))
case("ops.Einsum", lambda xs: ops.einsum("bid,bjd->b", *xs), (4, 3), (2, 3))
case("ops.Einsum", lambda x: ops.einsum("bij,jk->bki", x, matrix), (4, 3))
case("ops.Einsum", lambda x: ops.einsum("jk,...j->...k", matrix, x), (4, 3))
case("ops.Einsum", lambda x: ops.einsum("bij->bji", x), (4, 3))
case("ops.Einsum", lambda x: ops.einsum("bij->bi", x), (4, 3))
case("ops.Einsum", lambda x: ops.einsum("bij,jk,kl->bil", x, matrix, matrix.T), (4, 3))
case("ops.Einsum", lambda xs: ops.einsum("bi,bij,bj->b", xs[0], xs[1], xs[0]), (3,), (3, 3))
case("ops.Einsum", lambda x: ops.einsum("bii->bi", x), (3, 3))
case("ops.Matmul", lambda x: ops.matmul(x, ops.stack([matrix, matrix[::-1]])), (2, 4, 3))
case("ops.Inner", lambda x: ops.inner(x, matrix.T), (4, 3))

kernel = rng.normal(size=(3, 2, 4, 6)).astype(np.float32)
case("ops.Conv", lambda x: ops.conv(x, kernel, 2, "same"), (7, 6, 4))
case("ops.Conv", lambda x: ops.conv(x, kernel, dilation_rate=2), (7, 6, 4))
case("ops.DepthwiseConv", lambda x: ops.depthwise_conv(x, kernel, padding="same"), (7, 6, 4))
case(
    "ops.SeparableConv",
    lambda x: ops.separable_conv(x, kernel[..., :2], kernel[:1, :1].repeat(2, 2)),
    (7, 6, 4),
)
case("ops.MaxPool", lambda x: ops.max_pool(x, 2, padding="same"), (7, 6, 4))
case("ops.AveragePool", lambda x: ops.average_pool(x, 3, 1, "same"), (7, 4))
case(
    "ops.BatchNorm",
    lambda x: ops.batch_normalization(x, vector, vector**2, axis=-1, offset=-vector, scale=vector),
    (4, 3),
)
case("ops.Normalize", lambda x: ops.normalize(x, axis=-1), (4, 3))
case("ops.RMSNorm", lambda x: ops.rms_normalization(x, vector), (4, 3))
case("ops.LayerNorm", lambda x: ops.layer_normalization(x, vector, -vector), (4, 3))
case("ops.Resize", lambda x: ops.image.resize(x, (5, 6)), (3, 4, 2))
case("ops.DotProductAttention", lambda xs: ops.dot_product_attention(*xs), *[(4, 2, 3)] * 3)
case(
    "ops.DotProductAttention",
    lambda xs: ops.dot_product_attention(*xs, is_causal=True, scale=0.3),
    *[(4, 2, 3)] * 3,
)
case("ops.OneHot", lambda x: ops.one_hot(x, 5), (4,))
case(
    "ops.Slice", L.Lambda(lambda x: ops.slice(x, (0, 1, 0), (ops.shape(x)[0], 2, 3))), (4, 3)
)  # fmt: skip
case("ops.BroadcastTo", L.Lambda(lambda x: ops.broadcast_to(x, (ops.shape(x)[0], 4, 5))), (4, 1))
case(  # in a graph Keras 3.15 cannot run it
    "ops.ConvTranspose",
    L.Lambda(lambda x: ops.conv_transpose(x, kernel, 2, "valid", data_format="channels_last")),
    (4, 3, 6),
)
for name, (function, shapes) in OPERATIONS.items():
    words = name.rpartition(".")[2].split("_")
    kind = f"ops.{''.join(map(str.capitalize, words))}"
    if kind in READERS and kind not in CASES:
        several = len(shapes) > 1
        case(kind, (lambda xs, f=function: f(*xs)) if several else function, *shapes)
