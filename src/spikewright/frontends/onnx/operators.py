"""Operators for ONNX's reference evaluator where its own are slow or differ from the standard.

==================  ===============================================================================
operator            what the evaluators of onnx 1.16 to 1.23 do
==================  ===============================================================================
Conv                loops over windows in Python (up to 1.20 at least)
ConvTranspose       loops over channels in Python; with groups splits neither weights nor bias
MaxPool             loops likewise; SAME_LOWER rounds the number of windows down
AveragePool         likewise; splits the overhang of `ceil_mode` over both ends, where the standard
                    (PyTorch's rule) puts it at the end
RNN, LSTM, GRU      know one direction, the usual functions and no clip
GlobalMaxPool       takes the maximum over two axes, right only where there are two
LpNormalization     sums values themselves, not their magnitudes, for p = 1
LRN                 normalises as many channels as there are samples
BatchNormalization  before operator set 14, uses the statistics of the batch
Softmax, LogSoftmax know only the axis form of operator set 13
Pad                 fails for negative counts
Resize              fails in operator set 10; takes empty scales and sizes for values (1.20)
Upsample            fails for other modes than nearest
DequantizeLinear    is missing before operator set 19
==================  ===============================================================================

These follow the equations of the standard, on whole arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from spikewright._optional import require
from spikewright.frontends.onnx.recurrent_operators import gru, lstm, rnn
from spikewright.frontends.onnx.registry import EVALUATORS


def operators(opset: int) -> list[type]:
    """The classes to hand to `ReferenceEvaluator(new_ops=...)` for a model of this opset."""
    base = require("onnx.reference.op_run").OpRun
    equations: dict[str, Any] = {
        "Conv": _conv,
        "ConvTranspose": _conv_transpose,
        "LRN": _local_response,
        "LpNormalization": _lp_normalization,
        "MaxPool": _max_pool,
        "AveragePool": _average_pool,
        "GlobalMaxPool": _global_max_pool,
        "Pad": _pad,
        "Resize": _resize,
        "RNN": rnn,
        "LSTM": lstm,
        "GRU": gru,
    }
    if opset < 19:
        equations["DequantizeLinear"] = _dequantize
    if opset < 14:
        equations["BatchNormalization"] = _batch_normalization
    if opset < 13:
        equations |= {"Softmax": _flat_softmax, "LogSoftmax": _flat_log_softmax}
    if opset < 11:
        equations |= {"Resize": _early_resize, "Upsample": _early_resize}
    made = [type(n, (base,), {"op_domain": "", "_run": run}) for n, run in equations.items()]
    return [*reversed(EVALUATORS), *made]  # the evaluator takes the first of a name


def _conv(
    self: Any, x: NDArray, weight: NDArray, bias: NDArray | None = None, **settings: Any
) -> tuple[NDArray, ...]:
    rank, groups = x.ndim - 2, settings.get("group") or 1
    settings |= {"kernel_shape": weight.shape[2:]}
    (before, after), _ = _pads(x.shape[2:], settings)
    windows = _windows(_padded(x, before, after, 0.0), rank, settings)
    taps = tuple(range(-rank, 0))
    parts = [
        np.tensordot(w, part, axes=((1, *taps), (1, *taps)))
        for w, part in zip(np.split(weight, groups), np.split(windows, groups, axis=1), strict=True)
    ]
    y = np.moveaxis(np.concatenate(parts), 0, 1)
    return (y if bias is None else y + bias.reshape(-1, *(1,) * rank),)


def _max_pool(self: Any, x: NDArray, **settings: Any) -> tuple[NDArray, ...]:
    (before, after), _ = _pads(x.shape[2:], settings)
    windows = _windows(_padded(x, before, after, -np.inf), x.ndim - 2, settings)
    axes = tuple(range(x.ndim, windows.ndim))
    return (windows.max(axis=axes).astype(x.dtype),)


def _average_pool(self: Any, x: NDArray, **settings: Any) -> tuple[NDArray, ...]:
    rank = x.ndim - 2
    (before, after), overhang = _pads(x.shape[2:], settings)
    counted = np.ones(x.shape[2:])[None, None]
    if settings.get("count_include_pad"):
        explicit = [a - o for a, o in zip(after, overhang, strict=True)]
        counted = _padded(counted, before, explicit, 1.0)
        counted = _padded(counted, [0] * rank, overhang, 0.0)
    else:
        counted = _padded(counted, before, after, 0.0)
    axes = tuple(range(x.ndim, x.ndim + rank))
    total = _windows(_padded(x, before, after, 0.0), rank, settings).sum(axis=axes)
    count = _windows(counted, rank, settings).sum(axis=axes)
    return ((total / count).astype(x.dtype),)


def _flat_softmax(self: Any, x: NDArray, **settings: Any) -> tuple[NDArray, ...]:
    """Before operator set 13: one distribution over all axes from `axis` (1 unless given) on."""
    given = [attribute.i for attribute in self.onnx_node.attribute if attribute.name == "axis"]
    axes = tuple(range(x.ndim))[given[0] if given else 1 :]
    e = np.exp(x - x.max(axis=axes, keepdims=True))
    return ((e / e.sum(axis=axes, keepdims=True)).astype(x.dtype),)


def _flat_log_softmax(self: Any, x: NDArray, **settings: Any) -> tuple[NDArray, ...]:
    (y,) = _flat_softmax(self, x.astype(np.float64), **settings)
    return (np.log(y).astype(x.dtype),)


def _conv_transpose(
    self: Any, x: NDArray, weight: NDArray, bias: NDArray | None = None, **settings: Any
) -> tuple[NDArray, ...]:
    """Every value of the input adds its kernel to the output; then padding is cut off."""
    rank, groups, spatial = x.ndim - 2, settings.get("group") or 1, x.shape[2:]
    size, stride, dilation = _geometry({**settings, "kernel_shape": weight.shape[2:]}, rank)
    extra = list(settings.get("output_padding") or [0] * rank)
    reach = [
        s * (n - 1) + d * (k - 1) + 1
        for n, k, s, d in zip(spatial, size, stride, dilation, strict=True)
    ]
    natural = [r + e for r, e in zip(reach, extra, strict=True)]
    before, extent = _transposed_extent(settings, spatial, stride, natural)
    full = [max(r, b + n) for r, b, n in zip(reach, before, extent, strict=True)]
    y = np.zeros((len(x), weight.shape[1] * groups, *full))
    parts = zip(np.split(x, groups, axis=1), np.split(weight, groups), strict=True)
    for group, (values, kernel) in enumerate(parts):
        channels = slice(group * weight.shape[1], (group + 1) * weight.shape[1])
        for tap in np.ndindex(*size):
            made = np.tensordot(values, kernel[(..., *tap)], axes=(1, 0))
            where = tuple(
                slice(t * d, t * d + (n - 1) * s + 1, s)
                for t, d, n, s in zip(tap, dilation, spatial, stride, strict=True)
            )
            y[(slice(None), channels, *where)] += np.moveaxis(made, -1, 1)
    kept = (slice(b, b + n) for b, n in zip(before, extent, strict=True))
    y = y[(slice(None), slice(None), *kept)]
    if bias is not None:
        y = y + bias.reshape(-1, *(1,) * rank)
    return (y.astype(x.dtype),)


def _transposed_extent(
    settings: dict[str, Any], spatial: tuple[int, ...], stride: list[int], natural: list[int]
) -> tuple[list[int], list[int]]:
    """What is cut off before, and the output's extent."""
    rank = len(spatial)
    automatic = settings.get("auto_pad") or "NOTSET"
    wanted = list(settings.get("output_shape") or [])[-rank:]
    if not wanted and automatic.startswith("SAME"):
        wanted = [n * s for n, s in zip(spatial, stride, strict=True)]
    if not wanted:
        pads = list(settings.get("pads") or [0] * 2 * rank)
        return pads[:rank], [
            n - b - a for n, b, a in zip(natural, pads[:rank], pads[rank:], strict=True)
        ]
    total = [max(0, n - w) for n, w in zip(natural, wanted, strict=True)]
    return [t // 2 if automatic == "SAME_UPPER" else (t + 1) // 2 for t in total], wanted


def _lp_normalization(self: Any, x: NDArray, **settings: Any) -> tuple[NDArray, ...]:
    """`x` over its length along an axis; zeros stay zeros."""
    axis, p = settings.get("axis", -1), settings.get("p", 2)
    length = np.sum(np.abs(x) ** p, axis=axis, keepdims=True) ** (1 / p)
    return ((x / np.where(length == 0, 1, length)).astype(x.dtype),)


def _local_response(self: Any, x: NDArray, **settings: Any) -> tuple[NDArray, ...]:
    """`x / (bias + alpha / size s)^beta`, s the sum of squares over `size` channels."""
    size, channels = settings["size"], x.shape[1]
    squares = np.pad(x.astype(np.float64) ** 2, ((0, 0), (size, size), *((0, 0),) * (x.ndim - 2)))
    first = size - (size - 1) // 2
    total = sum(squares[:, first + k : first + k + channels] for k in range(size))
    factor = settings["bias"] + settings["alpha"] / size * total
    return ((x / factor ** settings["beta"]).astype(x.dtype),)


def _global_max_pool(self: Any, x: NDArray) -> tuple[NDArray, ...]:
    return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


def _batch_normalization(self: Any, x: NDArray, *inputs: NDArray, **settings: Any) -> Any:
    trailing = (1,) * (x.ndim - 2)
    gamma, beta, mean, variance = (value.reshape(-1, *trailing) for value in inputs)
    y = gamma * (x - mean) / np.sqrt(variance + settings["epsilon"]) + beta
    return (y.astype(x.dtype),)


def _pad(self: Any, x: NDArray, *inputs: NDArray | None, **settings: Any) -> tuple[NDArray, ...]:
    """Negative counts remove values; then a constant or copies of values are put around."""
    given = settings.get("pads")
    counts = [int(n) for n in (inputs[0] if given is None else given)]  # type: ignore[union-attr]
    axes = range(x.ndim) if len(inputs) < 3 or inputs[2] is None else inputs[2] % x.ndim
    pairs = np.zeros((x.ndim, 2), np.int64)
    for position, axis in enumerate(axes):
        pairs[axis] = counts[position], counts[position + len(counts) // 2]
    keep = tuple(
        slice(max(-b, 0), n - max(-a, 0)) for (b, a), n in zip(pairs, x.shape, strict=True)
    )
    kept, added = x[keep], np.maximum(pairs, 0)
    mode = settings.get("mode") or "constant"
    if mode != "constant":
        return (np.pad(kept, added, mode=mode),)  # type: ignore[arg-type]
    value = inputs[1] if len(inputs) > 1 else settings.get("value")
    number = 0 if value is None or np.size(value) == 0 else np.ravel(value)[0]
    return (np.pad(kept, added, constant_values=number).astype(x.dtype),)


def _dequantize(
    self: Any, x: NDArray, scale: NDArray, zero: NDArray | None = None, **settings: Any
) -> tuple[NDArray, ...]:
    """`(x - zero) scale`, both one number or one for each entry of an axis (1 unless given)."""
    per_entry = [1] * x.ndim
    if scale.ndim == 1:
        per_entry[settings.get("axis", 1)] = -1
    shift = np.zeros_like(scale) if zero is None else zero.astype(scale.dtype)
    y = (x - shift.reshape(per_entry)) * scale.reshape(per_entry)
    return (y.astype(scale.dtype),)


def _resize(self: Any, x: NDArray, *inputs: NDArray | None, **settings: Any) -> Any:
    given = (None if value is None or value.size == 0 else value for value in inputs)
    original = require("onnx.reference.ops.op_resize").Resize
    return original._run(self, x, *given, **settings)


def _early_resize(
    self: Any, x: NDArray, scales: NDArray | None = None, **settings: Any
) -> tuple[NDArray, ...]:
    """Before operator set 11: asymmetric coordinates, rounded down for `nearest`."""
    factors = np.array(settings.get("scales") if scales is None else scales, np.float32)
    original = require("onnx.reference.ops.op_resize").Resize
    mode = settings.get("mode") or "nearest"
    return original._run(
        self,
        x,
        None,
        factors,
        mode="linear" if mode == "bilinear" else mode,
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
        cubic_coeff_a=-0.75,
        keep_aspect_ratio_policy="stretch",
        exclude_outside=0,
        extrapolation_value=0.0,
    )


def _pads(
    spatial: tuple[int, ...], settings: dict[str, Any]
) -> tuple[tuple[list[int], list[int]], list[int]]:
    """Padding before and after each axis, and how much of the latter is the overhang."""
    rank = len(spatial)
    size, stride, dilation = _geometry(settings, rank)
    automatic = settings.get("auto_pad") or "NOTSET"
    pads = list(settings.get("pads") or [0] * 2 * rank)
    before, after, overhang = [], [], []
    for axis, extent in enumerate(spatial):
        reach = dilation[axis] * (size[axis] - 1) + 1
        extra, first, last = 0, 0, 0
        if automatic.startswith("SAME"):
            outputs = -(-extent // stride[axis])
            total = max(0, (outputs - 1) * stride[axis] + reach - extent)
            first = (total + 1) // 2 if automatic == "SAME_LOWER" else total // 2
            last = total - first
        elif automatic == "NOTSET":
            first, last = pads[axis], pads[axis + rank]
            if settings.get("ceil_mode"):
                outputs = -(-(extent + first + last - reach) // stride[axis]) + 1
                if (outputs - 1) * stride[axis] >= extent + first:
                    outputs -= 1
                extra = max(0, (outputs - 1) * stride[axis] + reach - extent - first - last)
        before.append(first)
        after.append(last + extra)
        overhang.append(extra)
    return (before, after), overhang


def _geometry(settings: dict[str, Any], rank: int) -> tuple[list[int], list[int], list[int]]:
    ones = [1] * rank
    return (
        list(settings["kernel_shape"]),
        list(settings.get("strides") or ones),
        list(settings.get("dilations") or ones),
    )


def _padded(x: NDArray, before: list[int], after: list[int], value: float) -> NDArray:
    pairs = [(0, 0), (0, 0), *zip(before, after, strict=True)]
    return np.pad(x, pairs, constant_values=value)


def _windows(x: NDArray, rank: int, settings: dict[str, Any]) -> NDArray:
    """`(batch, channels, *windows, *size)`, a view."""
    size, stride, dilation = _geometry(settings, rank)
    reach = [d * (s - 1) + 1 for s, d in zip(size, dilation, strict=True)]
    views = sliding_window_view(x, reach, axis=tuple(range(2, 2 + rank)))
    steps = (*(slice(None, None, s) for s in stride), *(slice(None, None, d) for d in dilation))
    return views[(slice(None), slice(None), *steps)]
