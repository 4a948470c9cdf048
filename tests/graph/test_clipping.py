"""Limits of an interval as layers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spikewright.graph.clipping import FAR, clip_steps
from spikewright.graph.layers import Activation

BOUNDS = st.floats(-1e9, 1e9) | st.just(math.inf) | st.just(-math.inf)


@example(bounds=(-5e-324, 0.0))
@given(bounds=st.tuples(BOUNDS, BOUNDS).filter(lambda b: b[0] < b[1]))
def test_values_are_limited_and_others_keep_their_digits(bounds) -> None:
    """The layers compute `min(max(x, low), high)`, and values between the bounds keep 13 digits."""
    low, high = bounds
    x = np.array([[-1e10, -1.0, -1e-3, 0.0, 1e-3, 1.0, 1e10]])
    value = x
    for _, layer in clip_steps(low, high):
        value = layer.evaluate(value)

    scale = max([1.0, *(abs(b) for b in bounds if abs(b) <= FAR)])
    assert np.allclose(value, np.clip(x, low, high), rtol=1e-12, atol=1e-13 * scale)


def test_a_far_bound_is_a_curve() -> None:
    """A sum with a bound of a million would cost a small value its digits."""
    assert clip_steps(-1e6, 2.0) == (("", Activation("clip", {"minimum": -1e6, "maximum": 2.0})),)


def test_bounds_next_to_each_other_are_a_curve() -> None:
    """No factor of the layers leaves the range of 32-bit floats, however close the bounds are."""
    assert [layer.function for _, layer in clip_steps(0.0, 1e-7)] == ["clip"]
    for _, layer in clip_steps(0.0, 2e-6):
        assert np.isfinite(layer.evaluate(np.array([-1e30, 1e30], dtype=np.float32))).all()


def test_an_interval_without_inside_is_refused() -> None:
    """Bounds that leave nothing between them are named."""
    with pytest.raises(ValueError, match=r"2\.0 and 2\.0: nothing lies between"):
        clip_steps(2.0, 2.0)
