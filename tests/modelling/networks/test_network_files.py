"""Ready-made networks in files: what is loaded runs bit for bit as what was saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from examples import EXAMPLES, driven
from running import run

import spikewright as sw
from spikewright import network
from spikewright.errors import NetworkError
from spikewright.network.pointwise import POINTWISE, Above, Pointwise, Square


def test_there_is_an_example_of_every_network() -> None:
    """A new one is tested the day it is published."""
    published = {n for n in sw.networks.__all__ if isinstance(getattr(sw.networks, n), type)}
    assert set(EXAMPLES) == {
        n for n in published if issubclass(getattr(sw.networks, n), sw.Network)
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_loaded_runs_as_what_was_saved(name: str, tmp_path: Path) -> None:
    """Bit for bit, its nodes found by their labels."""
    net, _ = driven(name)
    network.save(net, tmp_path / "net.sw")
    loaded = network.load(tmp_path / "net.sw")
    got = [run(each, each.all_probes[0], 60) for each in (net, loaded)]
    np.testing.assert_array_equal(*got)
    assert np.any(got[0] != 0) and len(loaded.all_connections) == len(net.all_connections)


def test_functions_of_ones_own_are_refused() -> None:
    """A file is data: the connection is named."""
    with sw.Network() as net:
        array = sw.networks.EnsembleArray(5, 1)
        array.add_output("cube", lambda x: x**3)
    with pytest.raises(NetworkError, match="Python functions cannot be saved"):
        network.save(net, "never.sw")


@pytest.mark.parametrize(
    ("function", "wanted"),
    [(Square(), [4.0, 0.25, 1.0]), (Above(0.2), [0.0, 0.3, 0.8]), (Above(-3), [1.0, 3.5, 4.0])],
)
def test_functions_as_data(function: Pointwise, wanted: list[float]) -> None:
    """Each is its formula, value by value, for one point or many."""
    x = np.array([-2.0, 0.5, 1.0])
    np.testing.assert_allclose(function(x), wanted)
    np.testing.assert_allclose(function(np.stack([x, x])), [wanted, wanted])
    assert POINTWISE[type(function).__name__] is type(function)
    with pytest.raises(NetworkError, match="threshold must be a finite number, got nan"):
        Above(float("nan"))
