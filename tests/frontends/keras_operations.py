"""Operations of `keras.ops` with operands: each is tried in a graph of layers and in code."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from keras_helpers import keras

ops = keras.ops


class Operation(NamedTuple):
    """A function of tensors that uses the operation, and the unbatched shapes of those."""

    function: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...] = ((4, 3),)

    @property
    def is_function(self) -> bool:
        """Whether it can be the activation function of a layer."""
        x = keras.KerasTensor((None, *self.shapes[0]))
        made = self.function(x) if len(self.shapes) == 1 else None
        return isinstance(made, keras.KerasTensor) and made.shape == x.shape


OPERATIONS: dict[str, Operation] = {}


def operation(name: str, function: Callable[..., Any] | None = None, *shapes: Any) -> None:
    """Add an operation, of one tensor of shape (4, 3) unless it says otherwise."""
    OPERATIONS[name] = Operation(function or getattr(ops, name), shapes or ((4, 3),))


def positive(name: str) -> None:
    """Add a function that needs numbers above zero."""
    function = getattr(ops, name)
    operation(name, lambda x: function(ops.abs(x) + 0.5))


VECTOR = np.array([1.0, -2.0, 0.5], np.float32)
MATRIX = np.random.default_rng(3).normal(size=(3, 5)).astype(np.float32)
KERNEL = np.random.default_rng(4).normal(size=(3, 2, 4, 4)).astype(np.float32)
PAIR = ((4, 3), (4, 3))
WIDE = ((4, 3), (4, 1))

FUNCTIONS = """
    abs absolute celu cos cosh elu erf exp exp2 expm1 gelu glu hard_shrink hard_sigmoid hard_silu
    hard_swish hard_tanh leaky_relu log_sigmoid log_softmax negative relu relu6 selu sigmoid silu
    sin sinh soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid square squareplus
    swish tanh tanh_shrink copy stop_gradient convert_to_tensor ones_like zeros_like array
    arctan arcsinh deg2rad rad2deg fabs sinc real conj conjugate erfc nan_to_num
"""
for name in FUNCTIONS.split():
    operation(name)
operation("glu", None, (3, 4))
for name in ("log", "log10", "log1p", "log2", "reciprocal", "rsqrt", "sqrt"):
    positive(name)
operation("cbrt", lambda x: ops.cbrt(ops.abs(x) + 0.5))
operation("tan", lambda x: ops.tan(0.1 * x))
operation("full_like", lambda x: ops.full_like(x, 2.0) * x)
operation("ones_like", lambda x: ops.ones_like(x) - x)
operation("zeros_like", lambda x: ops.zeros_like(x) + x)
operation("threshold", lambda x: ops.threshold(x, 0.2, -0.4))
operation("clip", lambda x: ops.clip(x, -0.5, 0.7))
operation("power", lambda x: ops.power(x, 3))
operation("cast", lambda x: ops.cast(ops.cast(x, "float64"), "float32"))
operation("saturate_cast", lambda x: ops.saturate_cast(x, "float32"))
operation("floor", lambda x: ops.floor(ops.clip(2 * x + 0.5, 0.5, 3.5)))
operation("ceil", lambda x: ops.ceil(ops.clip(2 * x - 0.5, -0.5, 2.5)))
operation("round", lambda x: ops.round(ops.clip(x, 0, 1) * 5))
operation("trunc", lambda x: ops.trunc(ops.clip(3 * x, 0, 4)))

for name in ("add", "multiply", "subtract", "maximum", "minimum", "logaddexp", "logaddexp2"):
    operation(name, None, *WIDE)
operation("fmax", None, *PAIR)
operation("fmin", None, *PAIR)
operation("hypot", None, *PAIR)
operation("divide", lambda x, y: ops.divide(x, ops.abs(y) + 1.0), *WIDE)
operation("true_divide", lambda x: ops.true_divide(x, VECTOR))
operation("divide_no_nan", lambda x: ops.divide_no_nan(x, VECTOR))
operation("where", lambda x: ops.where(x > 0.1, x, 0.2 * x))
operation("select", lambda x: ops.select([x > 0.5, x < -0.5], [x, -x], 0.3))
operation("greater", lambda x: ops.cast(ops.greater(x, 0.1), "float32"))
operation("greater_equal", lambda x: ops.cast(ops.greater_equal(x, 0.1), "float32"))
operation("less", lambda x, y: ops.cast(ops.less(x, y), "float32"), *PAIR)
operation("less_equal", lambda x, y: ops.cast(ops.less_equal(x, y), "float32"), *PAIR)
operation("equal", lambda x, y: ops.where(ops.equal(x > 0, y > 0), x, y), *PAIR)
operation("not_equal", lambda x, y: ops.where(ops.not_equal(x > 0, y > 0), x, y), *PAIR)
operation("logical_and", lambda x: ops.where(ops.logical_and(x > -0.5, x < 0.5), x, 0.0))
operation("logical_or", lambda x: ops.where(ops.logical_or(x < -0.5, x > 0.5), x, 0.0))
operation("logical_not", lambda x: ops.where(ops.logical_not(x > 0.5), x, 0.0))
operation("logical_xor", lambda x: ops.where(ops.logical_xor(x > 0.5, x > -0.5), x, 0.0))
operation("any", lambda x: ops.cast(ops.any(x > 0.5, axis=-1), "float32"))
operation("all", lambda x: ops.cast(ops.all(x > -0.5, axis=-1, keepdims=True), "float32"))
operation("isfinite", lambda x: ops.where(ops.isfinite(x), x, 0.0))
operation("sign")
operation("heaviside", lambda x: ops.heaviside(x, np.float32(0.5)))
operation("floor_divide", lambda x: ops.floor_divide(x, 0.5))
operation("mod", lambda x: ops.mod(x, 0.5))

operation("sum", lambda x: ops.sum(x, axis=-1))
operation("mean", lambda x: ops.mean(x, axis=1, keepdims=True))
operation("max", lambda x: ops.max(x, axis=1))
operation("min", lambda x: ops.min(x, axis=-1))
operation("amax", lambda x: ops.amax(x, axis=1))
operation("amin", lambda x: ops.amin(x, axis=-1))
operation("prod", lambda x: ops.prod(x, axis=1))
operation("ptp", lambda x: ops.ptp(x, axis=1))
operation("var", lambda x: ops.var(x, axis=-1))
operation("std", lambda x: ops.std(x, axis=-1, keepdims=True))
operation("moments", lambda x: ops.moments(x, axes=[1])[1])
operation("average", lambda x: ops.average(x, axis=2, weights=np.array([1.0, 2.0, 0.5])))
operation("logsumexp", lambda x: ops.logsumexp(x, axis=-1))
operation("norm", lambda x: ops.norm(x, axis=-1))
operation("normalize", lambda x: ops.normalize(x, axis=-1))
operation("count_nonzero", lambda x: ops.cast(ops.count_nonzero(x > 0, axis=-1), "float32"))
operation("cumsum", lambda x: ops.cumsum(x, axis=1))
operation("diff", lambda x: ops.diff(x, axis=1))
operation("trace", lambda x: ops.trace(x, axis1=1, axis2=2), (3, 3))
operation("layer_normalization", lambda x: ops.layer_normalization(x, VECTOR, -VECTOR))
operation("rms_normalization", lambda x: ops.rms_normalization(x, VECTOR))
operation("batch_normalization", lambda x: ops.batch_normalization(x, VECTOR, VECTOR**2, axis=-1))

operation("reshape", lambda x: ops.reshape(x, (-1, 6, 2)))
operation("ravel", lambda x: ops.ravel(x))
operation("squeeze", lambda x: ops.squeeze(x, axis=-1), (4, 1))
operation("expand_dims", lambda x: ops.expand_dims(x, axis=1))
operation("transpose", lambda x: ops.transpose(x, (0, 2, 1)))
operation("swapaxes", lambda x: ops.swapaxes(x, 1, 2))
operation("moveaxis", lambda x: ops.moveaxis(x, 1, -1))
operation("broadcast_to", lambda x: x * ops.broadcast_to(VECTOR, (4, 3)))
operation("concatenate", lambda x, y: ops.concatenate([x, y], axis=-1), *WIDE)
operation("append", lambda x, y: ops.append(x, y, axis=-1), *WIDE)
operation("stack", lambda x, y: ops.stack([x, y], axis=1), *PAIR)
operation("hstack", lambda x, y: ops.hstack([x, y]), *PAIR)
operation("dstack", lambda x, y: ops.dstack([x, y]), *PAIR)
operation("vstack", lambda x, y: ops.vstack([x, y]), *PAIR)
operation("split", lambda x: ops.split(x, 2, axis=1)[1])
operation("array_split", lambda x: ops.array_split(x, 3, axis=1)[0])
operation("hsplit", lambda x: ops.hsplit(x, 2)[1])
operation("dsplit", lambda x: ops.dsplit(x, 3)[1])
operation("unstack", lambda x: ops.unstack(x, axis=1)[2])
operation("take", lambda x: ops.take(x, [2, 0, 2], axis=1))
operation("take_along_axis", lambda x: ops.take_along_axis(x, np.array([[[2, 0, 1]]]), axis=1))
operation("slice", lambda x: ops.slice(x, (0, 1, 0), (1, 2, 3)))
operation("flip", lambda x: ops.flip(x, axis=1))
operation("fliplr")
operation("flipud")
operation("roll", lambda x: ops.roll(x, 1, axis=1))
operation("rot90", lambda x: ops.rot90(x, 1, axes=(1, 2)))
operation("repeat", lambda x: ops.repeat(x, 2, axis=1))
operation("tile", lambda x: ops.tile(x, (1, 2, 3)))
operation("pad", lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1)), constant_values=0.7))
operation("tril", None, (4, 4))
operation("triu", None, (4, 4))
operation("diagonal", lambda x: ops.diagonal(x, axis1=1, axis2=2), (3, 3))
operation("depth_to_space", lambda x: ops.depth_to_space(x, 2), (3, 2, 8))
operation("space_to_depth", lambda x: ops.space_to_depth(x, 2), (4, 6, 3))

operation("matmul", None, (4, 3), (3, 2))
operation("dot", lambda x: ops.dot(x, MATRIX))
operation("inner", lambda x: ops.inner(x, MATRIX.T))
operation("outer", lambda x: ops.outer(x, VECTOR), (3,))
operation("tensordot", lambda x: ops.tensordot(x, MATRIX, axes=1))
operation("einsum", lambda x, y: ops.einsum("btd,bsd->bts", x, y), (4, 3), (5, 3))
operation("kron", lambda x: ops.kron(x, VECTOR[None]), (3,))
operation("det", None, (3, 3))
operation("inv", lambda x: ops.inv(x + 3 * np.eye(3, dtype=np.float32)), (3, 3))
operation("cholesky", lambda x: ops.cholesky(x @ ops.swapaxes(x, 1, 2)), (3, 3))
operation("solve", lambda x: ops.solve(np.eye(4, dtype=np.float32)[None], x))

operation("conv", lambda x: ops.conv(x, KERNEL, 2, "same"), (7, 6, 4))
operation("depthwise_conv", lambda x: ops.depthwise_conv(x, KERNEL), (7, 6, 4))
operation(
    "separable_conv",
    lambda x: ops.separable_conv(x, KERNEL, np.ones((1, 1, 16, 3), np.float32)),
    (7, 6, 4),
)
operation("max_pool", lambda x: ops.max_pool(x, 2), (6, 4))
operation("average_pool", lambda x: ops.average_pool(x, 2), (6, 4))
operation("dot_product_attention", None, *[(4, 2, 3)] * 3)
operation("one_hot", lambda x: ops.one_hot(ops.cast(x > 0, "int32"), 2), (4,))
operation("unfold", lambda x: ops.unfold(x, 2), (3, 4, 4))
operation("image.resize", lambda x: ops.image.resize(x, (5, 6)), (3, 4, 2))
operation("image.rgb_to_grayscale", ops.image.rgb_to_grayscale, (4, 4, 3))
operation("image.pad_images", lambda x: ops.image.pad_images(x, 1, 2, 1, 0), (4, 4, 3))
operation("image.crop_images", lambda x: ops.image.crop_images(x, 1, 1, 1, 1), (4, 4, 3))
operation("image.extract_patches", lambda x: ops.image.extract_patches(x, 2), (4, 4, 3))

for name in ("sort", "argsort", "cumprod", "median", "sparsemax", "argmax", "argmin"):
    operation(name, partial(getattr(ops, name), axis=-1))
operation("top_k", lambda x: ops.top_k(x, 2)[0])
operation("quantile", lambda x: ops.quantile(x, 0.5, axis=-1))
operation("rfft", lambda x: ops.rfft(x)[0])
