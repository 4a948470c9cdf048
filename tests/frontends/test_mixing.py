"""Comparing a model's own call on two samples with its calls on each of them alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from spikewright.frontends.mixing import correspond, parted, two_samples

X = {"x": np.arange(12.0, dtype=np.float32).reshape(1, 3, 4)}
Function = Callable[[NDArray], NDArray]


def of(function: Function) -> Callable[[Mapping[str, NDArray]], dict[str, NDArray]]:
    """A call of one input and one output."""
    return lambda inputs: {"y": function(inputs["x"])}


APART: dict[str, Function] = {
    "a mean of a sample": lambda x: x.mean(1),
    "merged and taken apart": lambda x: x.reshape(-1, 4).cumsum(1).reshape(-1, 3, 4),
    "by the size of the batch": lambda x: x.reshape(x.shape[0], -1),
    "a number a sample": lambda x: x.sum((1, 2)),
    "squeezed": lambda x: x[:, 0].squeeze(),
    "one number, squeezed": lambda x: x[:, 0, 0].squeeze(),
}
MIXED: dict[str, tuple[Function, str]] = {
    "a mean over the batch": (lambda x: x - x.mean(0), "another for two samples"),
    "one mean of all": (lambda x: x - x.mean(), "another for two samples"),
    "one row for all": (lambda x: x.mean(0, keepdims=True), "another for two samples"),
    "joined": (lambda x: x.reshape(1, -1, 4).mean(1), "another for two samples"),
    "a constant": (lambda x: np.ones(3, np.float32), "no row for each"),
    "a fixed number of rows": (lambda x: x.reshape(6, -1), "has shape|another for two"),
    "all values as one axis": (lambda x: x.reshape(-1), "merged with another axis"),
    "transposed": (lambda x: x.swapaxes(0, 1), "is its axis 1"),
    "the other sample": (lambda x: x[::-1] + 0 * x, "another for two samples"),
    "a running sum": (lambda x: x.cumsum(0), "another for two samples"),
}


@pytest.mark.parametrize("name", APART)
def test_a_call_that_keeps_samples_apart(name: str) -> None:
    """Two samples together give what each of them gives alone: nothing is reported."""
    assert parted(of(APART[name]), X) is None


@pytest.mark.parametrize("name", MIXED)
def test_a_call_that_mixes_samples(name: str) -> None:
    """The output is named, with what is wrong about it, and the samples that show it."""
    function, reason = MIXED[name]
    found = parted(of(function), X)
    assert found is not None
    assert found.output == "y"
    assert re.search(reason, found.reason), found.reason
    assert found.first["x"].shape == found.second["x"].shape == (1, 3, 4)


def test_a_step_that_rounding_moves_once_is_no_mixing() -> None:
    """A value that falls on the other side of a step in one pair of samples is tried again."""
    calls = iter(range(100))

    def unsteady(x: NDArray) -> NDArray:
        return x + (next(calls) == 0)

    assert parted(of(unsteady), X) is None


SAMPLES: dict[str, NDArray] = {
    "real": np.linspace(-1, 1, 6, dtype=np.float32).reshape(1, 6),
    "zeros": np.zeros((1, 6), np.float32),
    "one real number": np.array([0.5], np.float32),
    "ids": np.array([[3, 1, 4, 1]]),
    "ids that are all 0": np.zeros((1, 4), np.int64),
    "ids that are all 7": np.full((1, 4), 7),
    "one id": np.array([5]),
    "mask of ones": np.ones((1, 6), np.int64),
    "padded mask": np.array([[1, 1, 1, 1, 0, 0]]),
    "truth values": np.ones((1, 5), bool),
    "a real mask": np.array([[1, 1, 0]], np.float32),
    "a mask of two": np.array([[1, 0]]),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_two_samples_are_different_and_of_one_kind(name: str) -> None:
    """Neither is all zeros; the second has the type, shape and range of values of the first."""
    first, second = (given["x"] for given in two_samples({"x": SAMPLES[name]}))
    assert first.shape == second.shape == SAMPLES[name].shape
    assert first.dtype == second.dtype == SAMPLES[name].dtype
    assert not np.array_equal(first, second)
    assert second.any()
    if SAMPLES[name].dtype.kind in "iu":
        assert second.min() >= 0
        assert second.max() <= max(first.max(), 1)
    if "mask" in name:
        assert (np.diff(second.astype(int)) <= 0).all(), "padding comes last"
        assert second.flat[0]


def test_a_second_row_of_the_example_is_used() -> None:
    """A user's own samples are valid ones: the second row is the second sample."""
    rows = np.array([[3, 1], [9, 9]])
    _, second = two_samples({"x": rows})
    np.testing.assert_array_equal(second["x"], rows[1:])


def test_values_inside_correspond_wherever_their_samples_lie() -> None:
    """Samples in front, behind, or merged with other values in either order; nowhere else."""
    first, second = np.arange(6.0), np.arange(6.0) ** 2
    outer = np.concatenate([first, second])
    inner = np.stack([first, second], 1).reshape(-1)
    middle = np.stack([first.reshape(2, 3), second.reshape(2, 3)], 1).reshape(-1)
    for both in (outer, inner, middle):
        assert correspond(both, first, second)
        assert not correspond(both[::-1], first, second)
    assert correspond(first, first, first)
    assert not correspond(first, first, second)
