"""What ONNX's evaluator gets wrong or differs about, held against PyTorch instead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx_helpers import NEWEST, agrees, close, random, single
from torch.nn import functional as F

from spikewright.frontends.source import Source
from spikewright.graph import evaluate


def output(source: Source, x: NDArray) -> NDArray:
    """The first output for data on the only input."""
    return evaluate(source.graph, {"x": x})["y0"]


def read_single(
    operator: str, shape: tuple[int, ...], runs: bool = True, **options: Any
) -> tuple[Source, NDArray]:
    """A model of one node that agrees with its own activations, and its input."""
    source = agrees(single(operator, shape, **options), independent=False, runs=runs)
    return source, random(3, *shape, seed=5)


@st.composite
def geometries(draw: st.DrawFn) -> dict[str, Any]:
    """Window geometry that PyTorch accepts: symmetric padding of at most half the window."""
    size = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    pads = [draw(st.integers(0, n // 2)) for n in size]
    return {
        "kernel_shape": list(size),
        "strides": [draw(st.integers(1, 4)) for _ in size],
        "pads": pads * 2,
        "ceil_mode": int(draw(st.booleans())),
    }


@settings(max_examples=60, deadline=None)
@given(geometry=geometries(), dilation=st.integers(1, 2), extent=st.integers(7, 10))
def test_max_pool_follows_pytorch(geometry: dict[str, Any], dilation: int, extent: int) -> None:
    """Any window geometry gives PyTorch's maxima; a ceil_mode overhang is at the end."""
    source, x = read_single(
        "MaxPool", (2, extent, 9), dilations=[dilation] * 2, opset=12, **geometry
    )
    expected = F.max_pool2d(
        torch.from_numpy(x),
        geometry["kernel_shape"],
        geometry["strides"],
        geometry["pads"][:2],
        dilation,
        ceil_mode=bool(geometry["ceil_mode"]),
    )
    close(output(source, x), expected.numpy())


@settings(max_examples=60, deadline=None)
@given(geometry=geometries(), counted=st.booleans(), extent=st.integers(4, 9))
def test_average_pool_follows_pytorch(geometry: dict[str, Any], counted: bool, extent: int) -> None:
    """Any window geometry gives PyTorch's means, under either rule for counting padding."""
    source, x = read_single(
        "AveragePool", (2, extent, 9), count_include_pad=int(counted), opset=NEWEST, **geometry
    )
    expected = F.avg_pool2d(
        torch.from_numpy(x),
        geometry["kernel_shape"],
        geometry["strides"],
        geometry["pads"][:2],
        ceil_mode=bool(geometry["ceil_mode"]),
        count_include_pad=counted,
    )
    close(output(source, x), expected.numpy())


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize(
    ("size", "stride", "pads"), [(3, 2, (1, 1)), (4, 2, (1, 2)), (2, 1, (0, 1)), (1, 3, (0, 0))]
)
def test_same_padding_of_pools(
    operator: str, auto_pad: str, size: int, stride: int, pads: tuple[int, int]
) -> None:
    """SAME makes ceil(7 / stride) windows; an odd value is at the end (UPPER) or start (LOWER)."""
    source, x = read_single(
        operator, (2, 7), kernel_shape=[size], strides=[stride], auto_pad=auto_pad, ceil_mode=1
    )
    pads = pads if auto_pad == "SAME_UPPER" else pads[::-1]
    value = -np.inf if operator == "MaxPool" else 0.0
    pool = F.max_pool1d if operator == "MaxPool" else F.avg_pool1d
    expected = pool(F.pad(torch.from_numpy(x), pads, value=value), size, stride)
    if operator == "AveragePool":
        covered = F.pad(torch.ones_like(torch.from_numpy(x)), pads)
        expected = expected / F.avg_pool1d(covered, size, stride)
    assert expected.shape[-1] == -(-7 // stride)
    close(output(source, x), expected.numpy())


def test_same_padding_of_dilated_max_pool() -> None:
    """SAME counts the reach of a dilated window: 2 dilated by 3 reaches 4, so 3 are added.

    onnxruntime 1.32 adds as if it were not dilated.
    """
    options = {"kernel_shape": [2], "dilations": [3], "auto_pad": "SAME_UPPER"}
    source, x = read_single("MaxPool", (2, 7), runs=False, opset=11, **options)
    expected = F.max_pool1d(F.pad(torch.from_numpy(x), (1, 2), value=-np.inf), 2, 1, dilation=3)
    close(output(source, x), expected.numpy())


@pytest.mark.parametrize("shape", [(3, 5), (3, 4, 5), (3, 4, 5, 2)])
def test_global_max_pool_of_any_rank(shape: tuple[int, ...]) -> None:
    """GlobalMaxPool is over all axes after the channels, whatever their number."""
    source, x = read_single("GlobalMaxPool", shape)
    axes = tuple(range(2, x.ndim))
    close(output(source, x), x.max(axis=axes, keepdims=True))


@pytest.mark.parametrize("opset", [9, 13])
def test_batch_normalization_before_14_is_inference(opset: int) -> None:
    """With a single output it normalises by the stored statistics, not by the batch's."""
    gamma, beta, mean = random(3), random(3, seed=1), random(3, seed=2)
    variance = np.abs(random(3, seed=3)) + 0.1
    statistics = [gamma, beta, mean, variance]
    source, x = read_single(
        "BatchNormalization", (3, 4, 4), operands=statistics, opset=opset, epsilon=0.01
    )
    tensors = [torch.from_numpy(v) for v in (x, mean, variance, gamma, beta)]
    close(output(source, x), F.batch_norm(*tensors, eps=0.01).numpy())


def test_negative_padding_removes() -> None:
    """A negative count in Pad removes values, on that side only."""
    pads = np.array([0, 0, -1, 2, 0, 0, 1, -3], np.int64)
    source, x = read_single("Pad", (3, 6, 6), operands=[pads])
    close(output(source, x), F.pad(torch.from_numpy(x), (2, -3, -1, 1)).numpy())


@pytest.mark.parametrize(("operator", "opset"), [("Upsample", 9), ("Resize", 10)])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_early_resizing(operator: str, opset: int, mode: str) -> None:
    """The first forms of nearest upsampling repeat values; factors of one change nothing."""
    scales = np.array([1, 1, 2, 3] if mode == "nearest" else [1, 1, 1, 1], np.float32)
    source, x = read_single(operator, (3, 4, 5), operands=[scales], opset=opset, mode=mode)
    expected = F.interpolate(torch.from_numpy(x), scale_factor=tuple(scales[2:]), mode="nearest")
    close(output(source, x), expected.numpy())


def test_softmax_before_13_over_the_wide_axis() -> None:
    """Before operator set 13 the axis says where flattening starts, so one wide axis behind it is
    what Softmax runs over.
    """
    source, x = read_single("Softmax", (1, 5, 1), opset=11)
    close(output(source, x), torch.softmax(torch.from_numpy(x), 2).numpy())
