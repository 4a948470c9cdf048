"""What a connection's function is asked for at evaluation points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import spikewright as sw
from spikewright.errors import NetworkError


@pytest.mark.parametrize("function", [np.square, np.exp, np.abs])
def test_elementwise_functions_are_called_once(function: Any) -> None:
    """A NumPy ufunc is given all evaluation points together, to the same wanted values."""
    with sw.Network():
        pair = sw.Ensemble(5, 3)
        nodes = sw.Node(size_in=2), sw.Node(size_in=2)
        at_once = sw.Connection(pair[1:], nodes[0], function=function)
        one_by_one = sw.Connection(pair[1:], nodes[1], function=lambda x: function(x))
    points = np.random.default_rng(0).normal(size=(50, 3))
    np.testing.assert_allclose(at_once.targets(points), one_by_one.targets(points), rtol=1e-15)
    with sw.Network():
        wrong = sw.Connection(pair[1:], nodes[0], function=np.arcsin, label="arc")
        with np.errstate(invalid="ignore"), pytest.raises(NetworkError, match=r"NaN .*at x = "):
            wrong.targets(points)
