"""A network that is watched runs as `sw.Simulator` runs it, whatever blocks it runs in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from explorers import unpacked
from networks import network, run

import spikewright as sw
from spikewright.errors import SimulationError
from spikewright.explorer.live.run import LiveRun
from spikewright.explorer.live.telling import CURVES, curves

MOVES = [(1, 0.5), (7, 0.5), (40, -0.9), (1, 0.3), (60, 0.3), (31, 1.0)]
"""Steps of each block, and the value of the stimulus in it."""


def _moved(found: LiveRun) -> None:
    for steps, value in MOVES:
        found.values = [[value], *found.values[1:]]
        found.advance(steps)


def test_recordings_are_those_of_a_simulator() -> None:
    """Values to the last bit and every spike, with inputs that move between blocks."""
    found = run()
    _moved(found)
    fed = np.concatenate([np.full((steps, 1), value) for steps, value in MOVES])
    net = network()
    with sw.Simulator(net, progress=False) as sim:
        sim.run_steps(len(fed), {net.nodes[0]: fed})

    assert found.seen.step == len(fed)
    amplitude = net.ensembles[0].neuron_type.amplitude
    for place, (plot, probe) in enumerate(zip(found.plots, net.probes, strict=True)):
        data = sim.data[probe].reshape(-1, plot.size)[:, plot.numbers]
        expected = data * (sim.dt / amplitude) if place == 2 else data
        assert len(np.unique(data)) > (1 if place < 5 else 0)  # something happens in it
        np.testing.assert_array_equal(found.seen.kept[place], expected)


def test_a_reset_begins_anew_and_keeps_inputs() -> None:
    """The same recordings come again; moved inputs stay where they are."""
    found = run()
    _moved(found)
    before = found.seen.kept
    found.reset()

    assert (found.seen.begun, found.seen.step) == (1, 0)
    assert [len(kept) for kept in found.seen.kept] == [0] * len(found.plots)
    assert found.values[0] == [1.0]
    _moved(found)
    for once, again in zip(before, found.seen.kept, strict=True):
        np.testing.assert_array_equal(once, again)


@pytest.mark.parametrize("place", [0, 1])
def test_curves_are_those_of_the_library(place: int) -> None:
    """Over the represented value in one dimension, else along each neuron's encoder."""
    found = run()
    of = sw.tuning_curves if place == 0 else sw.response_curves
    x, rates = of(found.simulator, found.ensembles[place][1])
    told, arrays = unpacked(curves(found, place))

    assert told["neurons"] == [80, 60][place]
    np.testing.assert_array_equal(arrays["x"], np.float32(x).ravel())
    np.testing.assert_array_equal(arrays["rates"], np.float32(rates)[:, :CURVES])


def _unprobed() -> sw.Network:
    with sw.Network("bare", seed=0) as net:
        sw.Ensemble(10)
    return net


REFUSED: list[tuple[Callable[[], Any], dict[str, Any], str]] = [
    (_unprobed, {}, "<Network 'bare' .*> has no probes.*make some"),
    (lambda: pytest.importorskip("nengo").Network("theirs"), {}, "theirs.*has no probes"),
    (network, {"x": np.zeros((3, 1))}, "x= is for models"),
    (network, {"y": np.zeros(3)}, "y= is for models"),
    (network, {"example_input": np.zeros((1, 1))}, "example_input= is for models"),
]


@pytest.mark.parametrize("make, data, text", REFUSED, ids=[text for *_, text in REFUSED])
def test_what_cannot_be_watched_is_refused(
    make: Callable[[], Any], data: dict[str, Any], text: str
) -> None:
    """With the reason, and what to do."""
    with pytest.raises(SimulationError, match=text):
        sw.explore(make(), **data)
