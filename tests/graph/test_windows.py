"""Sliding windows: what they see, and whether they see anything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikewright._base.windows import (
    Windows,
    channels_last,
    join_shape,
    restore_channels,
    split_shape,
)

small = st.integers(1, 4)


@st.composite
def lines(draw: st.DrawFn) -> tuple[Windows, int]:
    """One-dimensional windows over an extent that has room for at least one."""
    size, stride, dilation = draw(small), draw(small), draw(small)
    padding = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    windows = Windows((size,), (stride,), (padding,), (dilation,), draw(st.booleans()))
    extent = draw(st.integers(1, 8))
    return windows, max(extent, dilation * (size - 1) + 1 - sum(padding))


def _positions(windows: Windows, extent: int) -> list[list[int]]:
    """Input positions under every tap of every window, some of them outside the input."""
    (count,), ((before, _),) = windows.output_extent((extent,)), windows.padding
    starts = [i * windows.stride[0] - before for i in range(count)]
    return [[s + t * windows.dilation[0] for t in range(windows.size[0])] for s in starts]


@settings(deadline=None, derandomize=True, max_examples=100)
@given(lines())
def test_taps_see_the_input_and_the_fill_value_outside(case: tuple[Windows, int]) -> None:
    """Tap t of window o holds x[o stride - padding + t dilation], or the value asked for."""
    windows, extent = case
    x = np.arange(1.0, extent + 1)
    views = [view[0, :, 0] for _, view in windows.taps(x[None, :, None], value=-7.0)]

    seen = [[x[p] if 0 <= p < extent else -7.0 for p in row] for row in _positions(*case)]
    np.testing.assert_array_equal(np.transpose(views), seen)


@settings(deadline=None, derandomize=True, max_examples=166)
@given(lines())
def test_windows_that_see_no_input_are_found(case: tuple[Windows, int]) -> None:
    """Yes is never wrong; no may be over-cautious only where the dilation exceeds the extent."""
    windows, extent = case
    truth = all(any(0 <= p < extent for p in row) for row in _positions(*case))
    found = windows.all_see_input((extent,))

    assert found == truth or (not found and windows.dilation[0] > extent)


def test_patches_lay_the_taps_out_in_row_major_order() -> None:
    """`(batch, *windows, taps, channels)`, taps as the kernel's flattened axes."""
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
    windows = Windows((2, 2), (1, 2), ((0, 0), (0, 0)), (1, 1))

    patches = windows.patches(x)
    assert patches.shape == (2, 3, 2, 4, 3)
    np.testing.assert_array_equal(patches[:, 1, 1], x[:, 1:3, 2:4].reshape(2, 4, 3))


@pytest.mark.parametrize("last", [False, True])
def test_channel_order_goes_there_and_back(last: bool) -> None:
    """Moving the channel axis and moving it back is no change, of values and of shapes."""
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    shape = x.shape[1:]

    assert restore_channels(channels_last(x, last), last).tobytes() == x.tobytes()
    assert channels_last(x, last).shape[-1] == split_shape(shape, last)[1]
    assert join_shape(*split_shape(shape, last), last) == shape
