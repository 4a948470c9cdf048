"""The worked example: the rows that must always hold, through the library."""

from __future__ import annotations

import numpy as np
import pytest

from spikewright.errors import NetworkError
from spikewright.showing.explain import worked_example

STEADY = ["1/2"] * 12
ROWS: dict[float | None, list[tuple[str, list[str]]]] = {
    None: [("rate A / B", STEADY)],
    1: [("s = 1: A", ["0"] * 9 + ["10", "0", "0"]), ("s = 1: B", ["0"] * 9 + ["20", "0", "0"])],
    5: [("s = 5: A", ["0", "2"] * 6), ("s = 5: B", ["0", "4"] * 6)],
    10: [("s = 10: A / B", STEADY)],
}


@pytest.mark.parametrize("scale", ROWS)
def test_the_rows_of_the_worked_example(scale: float | None) -> None:
    """A spike at step 10 at scale 1, at every other step at 5, the rate network itself at 10."""
    found = worked_example(scale)

    assert found.rows == ROWS[scale]


@pytest.mark.parametrize("scale", [1, 2, 5, 10, 20])
def test_gain_changes_and_weights_do_not(scale: float) -> None:
    """The scale shows in gain, spike height and maximum rate; connections keep 1 and 2."""
    found = worked_example(scale)

    assert found.gain == scale
    assert found.amplitude == pytest.approx(1 / scale)
    assert found.max_rate_hz == scale
    assert found.weights == (1.0, 2.0)


@pytest.mark.parametrize("scale", [1, 2, 5, 10, 20])
def test_the_mean_over_a_second_is_right_at_every_scale(scale: float) -> None:
    """What single steps lack, the mean has: 1 for A, 2 for B."""
    found = worked_example(scale, steps=10)

    np.testing.assert_allclose([found.a.mean(), found.b.mean()], [1.0, 2.0], rtol=1e-6)


@pytest.mark.parametrize(("dt", "first"), [(0.1, 10), (0.01, 100), (0.001, 1000)])
def test_the_first_spike_comes_after_one_second(dt: float, first: int) -> None:
    """A rate of 1 Hz spikes once a second, at the exact step, whatever the step's length."""
    found = worked_example(1, steps=first + 1, dt=dt)

    assert np.flatnonzero(found.a).tolist() == [first - 1]
    assert found.a[first - 1] == pytest.approx(1 / dt)


def test_a_scale_must_be_above_zero() -> None:
    """Zero would silence the network, so it is refused by name and value."""
    with pytest.raises(NetworkError, match="rate_scale must be above 0, got 0"):
        worked_example(0)
