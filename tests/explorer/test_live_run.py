"""A network that is watched runs as `sw.Simulator` runs it, whatever blocks it runs in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from explorers import unpacked
from networks import network, run

import spikewright as sw
from spikewright.errors import SimulationError, SpikewrightError
from spikewright.explorer.live import CURVES, STEPS, LiveRun, curves_message, live, run_greeting

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

    assert (found.seen.resets, found.seen.step) == (1, 0)
    assert [len(kept) for kept in found.seen.kept] == [0] * len(found.plots)
    assert found.values[0] == [1.0]
    _moved(found)
    for once, again in zip(before, found.seen.kept, strict=True):
        np.testing.assert_array_equal(once, again)


def test_what_is_new_joins_what_was_told() -> None:
    """Parts that a page is told are the recordings, joined; after a reset all is new."""
    found = run()
    parts, at = [], (-1, 0)
    for steps in (5, 1, 13, 8):
        found.advance(steps)
        parts.append(found.since(found.seen, *at))
        at = found.seen.resets, found.seen.step
    for place, kept in enumerate(found.seen.kept):
        told = [part[str(place)] for part in parts]
        np.testing.assert_array_equal(np.concatenate(told), kept)
    assert len(found.seen.kept[1]) == 27 // 3

    assert [len(new) for new in found.since(found.seen, *at).values()] == [0] * len(found.plots)
    found.reset()
    found.advance(2)
    assert len(found.since(found.seen, *at)["0"]) == 2


def test_kept_recordings_are_bounded() -> None:
    """Only the latest steps are kept, and they are the latest."""
    found = run()
    for steps in (STEPS - 100, 250):
        found.advance(steps)
    whole = run()
    whole.simulator.run_steps(STEPS + 150)

    assert [len(kept) for kept in found.seen.kept[:2]] == [STEPS, -(-STEPS // 3)]
    data = whole.simulator.data[whole.plots[0].probe]
    np.testing.assert_array_equal(found.seen.kept[0], data[-STEPS:])
    assert len(found.simulator.data[found.plots[0].probe]) == 0


def test_a_block_takes_a_tenth_of_a_second_at_most() -> None:
    """One step at first; then as many as fit, one at least, and no more than are shown."""
    found = run()
    assert found.block(40) == 1
    for pace, steps in ((1e-5, 40), (0.01, 10), (5.0, 1)):
        found._pace = pace
        assert found.block(40) == steps
    found._pace = 1e-9
    assert (found.block(1e6), found.block(0.01)) == (STEPS, 1)


def test_a_page_is_told_what_there_is() -> None:
    """Inputs that may be moved, and how far; probes by name; ensembles that have curves."""
    told, _ = unpacked(run_greeting(run()))

    assert told["title"] == "Square"
    assert told["inputs"] == [
        {"name": "stimulus", "bound": 1.0, "first": [0.5]},
        {"name": "Node 2", "bound": 1.5, "first": [0.1, -0.2]},
    ]
    assert told["held"] == ["screen"]
    names = ["a", "Ensemble 2", "a: spikes", "counts", "a: voltage", "screen"]
    assert [plot["name"] for plot in told["plots"]] == names
    assert [plot["raster"] for plot in told["plots"]] == [False, False, True, True, False, False]
    assert [plot["shown"] for plot in told["plots"]] == [1, 2, 50, 30, 10, 10]
    assert [plot["bound"] for plot in told["plots"]] == [1.0, 1.5, 0.0, 0.0, 0.0, 2.0]
    assert told["ensembles"] == ["a", "Ensemble 2"]


@pytest.mark.parametrize("place", [0, 1])
def test_curves_are_those_of_the_library(place: int) -> None:
    """Over the represented value in one dimension, else along each neuron's encoder."""
    found = run()
    of = sw.curves.tuning_curves if place == 0 else sw.curves.response_curves
    x, rates = of(found.simulator, found.ensembles[place][1])
    told, arrays = unpacked(curves_message(found, place))

    assert told["neurons"] == [80, 60][place]
    np.testing.assert_array_equal(arrays["x"], np.float32(x).ravel())
    np.testing.assert_array_equal(arrays["rates"], np.float32(rates)[:, :CURVES])


def test_a_driven_constant_is_no_input() -> None:
    """A node that passes on what connections bring takes no values of a page."""
    with sw.Network(seed=0) as net:
        free, driven = sw.Node([0.2], label="free"), sw.Node([0.0], size_in=1, label="driven")
        sw.Connection(free, driven, synapse=None)
        sw.Probe(driven)
    found = live(net)
    assert [given.name for given in found.inputs] == ["free"]
    assert found.held == []


def test_a_model_of_nengos_runs_as_its_simulator_runs_it() -> None:
    """`NengoSimulator` gives the same values, the model's noise included, and so after a reset."""
    nengo = pytest.importorskip("nengo")
    with nengo.Network(seed=3) as model:
        noise = nengo.Node(nengo.processes.WhiteSignal(0.5, high=5), label="noise")
        stimulus = nengo.Node([0.4], label="stimulus")
        a = nengo.Ensemble(50, 1, label="a")
        nengo.Connection(stimulus, a)
        nengo.Connection(noise, a)
        probe, spikes = nengo.Probe(a, synapse=0.02), nengo.Probe(a.neurons)
    with sw.NengoSimulator(model, seed=4, progress_bar=False) as sim:
        sim.run_steps(60)
    found = live(model)  # with the model's seed plus one, as Nengo's
    for _ in range(2):
        for steps in (1, 9, 50):
            found.advance(steps)
        assert [given.name for given in found.inputs] == ["stimulus"]
        assert np.std(sim.data[probe]) > 0.01
        np.testing.assert_array_equal(found.seen.kept[0], np.float32(sim.data[probe]))
        np.testing.assert_array_equal(found.seen.kept[1], sim.data[spikes] * sim.dt)
        found.reset()
    found.close()


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


def test_its_page_is_shown_in_a_notebook() -> None:
    """In a frame, as a conversion's is; closing ends the simulator."""
    found = sw.explore(network())
    assert f'<iframe src="{found.url}"' in found._repr_html_()
    found.close()
    with pytest.raises(SimulationError, match="closed"):
        found._session.advance(1)


def test_a_failing_function_is_told_by_name() -> None:
    """The error is the simulator's, and a reset begins anew."""
    late = {"steps": 5}
    with sw.Network(seed=0) as net:
        node = sw.Node(lambda t: 1 / (t < late["steps"] * 0.001), size_out=1, label="broken")
        sw.Probe(node)
    found = live(net)
    with pytest.raises(SpikewrightError, match="broken"):
        found.advance(20)
    late["steps"] = 50
    found.reset()
    found.advance(20)
    assert found.seen.step == 20
