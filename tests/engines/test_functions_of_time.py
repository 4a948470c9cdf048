"""Functions of time are called once a step, in order, and what they give is looked at together."""

from __future__ import annotations

import numpy as np
import pytest

import spikewright as sw
from spikewright.engines.sources import call_all
from spikewright.errors import SimulationError


def test_an_array_that_is_used_again_is_not_the_same_value() -> None:
    """A function that changes its own array and returns it gives each step's values."""
    held = np.zeros(2)

    def again(t: float) -> np.ndarray:
        held[:] = t, -t
        return held

    with sw.Network() as net:
        probe = sw.Probe(sw.Node(again, size_out=2))
    with sw.Simulator(net, dt=0.25, progress=False) as sim:
        sim.run_steps(4)
    np.testing.assert_array_equal(sim.data[probe][:, 0], [0.25, 0.5, 0.75, 1.0])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, r"node: its function returned NaN or infinity at t = 3 s"),
        (None, r"node: its function returned shape \(0,\) at t = 3 s, expected \(1,\)"),
        ([1.0, 2.0], r"node: its function returned shape \(2,\) at t = 3 s, expected \(1,\)"),
        ("no", r"node: its function failed at t = 3 s \(ValueError"),
    ],
)
def test_the_first_call_that_misbehaves_is_named(value: object, message: str) -> None:
    """Others may be scalars, arrays or whole numbers."""
    given = {1: 1.0, 2: np.array([2.0]), 3: value, 4: 4}
    with pytest.raises(SimulationError, match=message):
        call_all(lambda t: given[t], "node", "function", (1,), [(t,) for t in given])
    given[3] = True
    found = call_all(lambda t: given[t], "node", "function", (1,), [(t,) for t in given])
    np.testing.assert_array_equal(found, [[1.0], [2.0], [1.0], [4.0]])


def test_a_failure_is_raised_at_once() -> None:
    """Nothing is called after a call that failed."""
    calls: list[float] = []

    def fails(t: float) -> float:
        calls.append(t)
        return 1 / (2 - t)

    with pytest.raises(SimulationError, match=r"failed at t = 2 s \(ZeroDivisionError"):
        call_all(fails, "node", "function", (1,), [(t,) for t in (0.0, 1.0, 2.0, 3.0)])
    assert calls == [0.0, 1.0, 2.0]
