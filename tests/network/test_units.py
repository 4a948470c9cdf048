"""Times are in seconds: those that are milliseconds by mistake are noticed where they are given."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

import spikewright as sw
from spikewright.network.neurons import NEURON_TYPES

LEAKY = sorted(name for name, cls in NEURON_TYPES.items() if hasattr(cls, "tau_rc"))


@pytest.mark.parametrize("name", LEAKY)
@pytest.mark.parametrize(("field", "given"), [("tau_rc", 20), ("tau_ref", 2.0)])
def test_time_constants_of_a_second_are_taken_for_milliseconds(
    name: str, field: str, given: float
) -> None:
    """Of every leaky type, at the line that makes it, with the value that was probably meant."""
    message = rf"{name}.{field} is {given:g} s, .* if {given:g} ms is meant, give {given / 1000:g}$"
    with pytest.warns(UserWarning, match=message) as found:
        NEURON_TYPES[name](**{field: given})
    assert [warning.filename for warning in found] == [__file__]


def _connected(synapse: Any) -> None:
    with sw.Network():
        node = sw.Node([1.0])
        sw.Connection(node, sw.Node(size_in=1), synapse=synapse)


def _probed(synapse: Any) -> None:
    with sw.Network():
        sw.Probe(sw.Node([1.0]), synapse=synapse)


@pytest.mark.parametrize("make", [sw.Lowpass, sw.Alpha, sw.Triangle, _connected, _probed])
def test_synapses_of_seconds_are_taken_for_milliseconds(make: Callable[[Any], None]) -> None:
    """Given as a synapse or as a number."""
    with pytest.warns(UserWarning, match="is 5 s, for times are in seconds; .* give 0.005"):
        make(5)


def test_usual_times_are_taken_as_they_are() -> None:
    """Traces of a second are in use, as are plain functions whose time is 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sw.Lowpass(1.0), sw.Alpha(0.1), sw.BCM(), sw.LIF(0.9, 0.1), sw.Sigmoid(1.0), sw.Tanh(1.0)
        _connected(None), _connected(0.5)
