"""`sw.plot`: a picture in one call, shown by notebooks, as matplotlib axes."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import spikewright as sw
from spikewright import demo
from spikewright.conversion import watch
from spikewright.errors import SimulationError
from spikewright.graph import Graph, GraphNode
from spikewright.graph.layers import Activation, Add, Affine, Input
from spikewright.report import figures

X, Y = demo.held_out(30)


@pytest.fixture(scope="module")
def conversion() -> sw.Conversion:
    """The shipped network in spikes."""
    return sw.convert(demo.MODEL, spiking=True, scale_firing_rates=50)


def is_shown(axes: Any) -> bool:
    """Whether pyplot knows the figure, so that a notebook shows it."""
    return axes.figure.number in plt.get_fignums()


def test_a_raster_of_one_sample(conversion: sw.Conversion) -> None:
    """A panel a layer and one for the output; every spike of the neurons is a dot."""
    axes = sw.plot.raster(conversion, X[0], 12, neurons=512)
    run = conversion.run(X[:1], 12, record=["relu1"], progress=False)
    panels = axes.figure.axes

    assert isinstance(axes, plt.Axes) and is_shown(axes)
    assert [panel.get_ylabel().split("\n")[0] for panel in panels] == ["relu1", "relu2", "output"]
    dots = panels[0].collections[0].get_offsets()
    assert len(dots) == np.count_nonzero(run.spikes_over_time("relu1"))


def test_a_notebook_cuts_nothing_off(conversion: sw.Conversion) -> None:
    """It keeps the tight box of a figure, with the panels of the source's values on the right."""
    figure = sw.plot.raster(conversion, X[0], 12).figure
    figure.draw_without_rendering()
    tight = figure.get_tightbbox()
    beside = [inset for axes in figure.axes for inset in axes.child_axes]
    assert beside
    for inset in beside:
        drawn = inset.get_window_extent()
        assert tight.x0 * figure.dpi <= drawn.x0 and drawn.x1 <= tight.x1 * figure.dpi


def test_a_raster_of_digits_shows_where_layers_start() -> None:
    """Time is that of the network: a layer sends in its own steps, behind its start."""
    steps, silent = 4, 2
    network = sw.convert(
        demo.MODEL, spiking=True, coding=sw.SignedDigits(steps, silent), calibration=X
    )
    panels = sw.plot.raster(network, X[0]).figure.axes
    ends = []
    for panel in panels[:2]:
        found = [np.asarray(c.get_offsets()) for c in panel.collections]
        times = np.rint(np.concatenate([dots[:, 0] for dots in found if len(dots)])).astype(int)
        ends.append((times.min(), times.max()))
    assert {panel.get_xlim()[1] for panel in panels[:2]} == {steps + silent}
    (first, last), (later, end) = ends
    assert first >= 1 and last <= steps
    assert silent < later and end <= steps + silent
    run = network.run(X[:1], record=["relu2"], progress=False)
    counts = watch(network, X[:1], None).counts["relu2"]
    assert len(counts) == run.network_steps == steps + silent
    np.testing.assert_array_equal(counts[silent:], run.spikes_over_time("relu2")[0])
    assert not counts[:silent].any() and counts.any()
    answers = watch(network, X[:1], None).answers
    np.testing.assert_allclose(next(iter(answers.values()))[-1], run.predict()[0], rtol=1e-6)
    with pytest.raises(SimulationError, match="the complete value"):
        watch(network, X[:1], None, readout="last")


@pytest.mark.parametrize(
    "form", [lambda x: x[:1], lambda x: torch.from_numpy(x[0]), lambda x: x[0].tolist(),
             lambda x: {"image": x[0]}],
)  # fmt: skip
def test_a_sample_in_any_form(conversion: sw.Conversion, form: Any) -> None:
    """With its batch axis or without, as a tensor, a list, by name."""
    expected = sw.plot.raster(conversion, X[0], 4).figure.axes[0].collections[0].get_offsets()
    found = sw.plot.raster(conversion, form(X), 4).figure.axes[0].collections[0].get_offsets()

    np.testing.assert_array_equal(found, expected)


def test_several_inputs_by_name() -> None:
    """Each with its sample."""
    rng = np.random.default_rng(0)
    graph = Graph(
        (
            GraphNode("a", Input((3,))),
            GraphNode("b", Input((3,))),
            GraphNode("sum", Add(), ("a", "b")),
            GraphNode("fc", Affine(rng.normal(size=(4, 3)), rng.normal(size=4)), ("sum",)),
            GraphNode("act", Activation("relu"), ("fc",)),
        ),
        {"o": "act"},
    )
    network = sw.convert(graph, spiking=True, scale_firing_rates=100)
    x = rng.normal(size=(2, 3))

    assert sw.plot.raster(network, {"a": x[0], "b": x[1]}, 4).figure
    with pytest.raises(SimulationError, match="inputs"):
        sw.plot.raster(network, x[0], 4)


def test_rates_of_a_run_and_of_an_evaluation(conversion: sw.Conversion) -> None:
    """A row a layer."""
    run = conversion.run(X, 8, progress=False)
    evaluation = conversion.evaluate(X, Y, 8, progress=False)
    for measured in (run, evaluation):
        axes = sw.plot.rates(measured)
        assert [t.get_text() for t in axes.get_yticklabels()] == ["relu1", "relu2"]
        assert is_shown(axes)


def test_a_sweep_or_its_records() -> None:
    """The same picture."""
    found = sw.sweep(demo.MODEL, X, Y, scales=[5, 50], steps=8, within=0.1, progress=False)
    for given in (found, found.records):
        axes = sw.plot.sweep(given)
        assert axes.get_ylabel() == "accuracy" and is_shown(axes)


def test_what_has_nothing_to_show_is_refused(conversion: sw.Conversion, tmp_path: Any) -> None:
    """A rate network, an evaluation that was loaded, two samples at once."""
    rate = sw.convert(demo.MODEL)
    for call in (lambda: sw.plot.raster(rate, X[0], 4), lambda: sw.plot.rates(rate.run(X, 2))):
        with pytest.raises(SimulationError, match="nothing to draw: no layer"):
            call()
    with pytest.raises(SimulationError, match=r"takes one sample"):
        sw.plot.raster(conversion, X[:2], 4)
    conversion.evaluate(X, Y, 2, progress=False).save(tmp_path / "e.json")
    with pytest.raises(SimulationError, match="loaded from a file"):
        sw.plot.rates(sw.Evaluation.load(tmp_path / "e.json"))


def test_pictures_that_are_saved_stay_out_of_pyplot() -> None:
    """What `report.figures` draws opens no window, before and after a call here."""
    sw.plot.rates(sw.convert(demo.MODEL, spiking=True, scale_firing_rates=50).run(X, 4))
    before = plt.get_fignums()
    figures.draw(figures.rates_info({"a": np.ones(3)}))

    assert len(before) == 1 and plt.get_fignums() == before


def spiking_network() -> tuple[sw.Network, sw.Probe, sw.Probe]:
    """Two populations with a probe of their spikes each."""
    with sw.Network(seed=0) as net:
        stimulus = sw.Node(lambda t: np.sin(12 * t))
        a, b = sw.Ensemble(40, 1, label="sine"), sw.Ensemble(20, 1)
        sw.Connection(stimulus, a)
        sw.Connection(a, b)
        return net, sw.Probe(a.neurons), sw.Probe(b.neurons, "spike_count")


def test_a_raster_of_a_probe() -> None:
    """A dot a spike, a panel a probe, on the time axis of the simulation."""
    net, probe, other = spiking_network()
    with sw.Simulator(net, progress=False) as sim:
        sim.run_steps(100)
        sim.clear_probes()
        sim.run_steps(200)
    axes = sw.plot.raster(sim, probe)
    assert is_shown(axes) and axes.get_ylabel() == "sine\nneuron"
    times, neurons = np.array(axes.collections[0].get_offsets()).T
    for number, found in enumerate(sim.spike_times(probe)):
        np.testing.assert_allclose(np.sort(times[neurons == number]), found)
    assert len(times) > 100 and axes.get_xlim() == pytest.approx((0.1, 0.3))
    panels = sw.plot.raster(sim, [probe, other]).figure.axes
    assert [panel.get_ylabel().split("\n")[0] for panel in panels] == ["sine", "population 2"]


def test_a_raster_of_a_sample_of_a_batch() -> None:
    """Named by its number, which is asked for and checked."""
    net, probe, _ = spiking_network()
    with sw.Simulator(net, batch_size=2, progress=False) as sim:
        sim.run_steps(50)
    assert sw.plot.raster(sim, probe, sample=1).figure
    for sample in (None, 2, -1):
        with pytest.raises(SimulationError, match="name one of 2 samples with sample="):
            sw.plot.raster(sim, probe, sample=sample)
    with sw.Simulator(net, progress=False) as alone:
        with pytest.raises(SimulationError, match="run the simulator first"):
            sw.plot.raster(alone, probe)
        alone.run_steps(1)
        with pytest.raises(SimulationError, match="sample= is for simulators with a batch_size"):
            sw.plot.raster(alone, probe, sample=0)
        with pytest.raises(SimulationError, match="nothing to draw: name a probe"):
            sw.plot.raster(alone, [])


def test_a_raster_has_the_most_active_neurons(conversion: sw.Conversion) -> None:
    """So many of a layer as asked for, and the title says of how many."""
    panel = sw.plot.raster(conversion, X[0], 12, neurons=5).figure.axes[0]
    spikes = conversion.run(X[:1], 12, record=["relu1"], progress=False).spikes_over_time("relu1")
    totals = np.sort(spikes.reshape(12, -1).sum(axis=0))[-5:]
    assert f"{int(totals.sum())} spikes of the 5 most active of 512 neurons" in panel.get_title(
        "left"
    )
    with sw.Network(seed=1) as network:
        cells = sw.Ensemble(30, 1, label="cells")
        probe = sw.Probe(cells.neurons)
    with sw.Simulator(network, progress=False) as simulator:
        simulator.run_steps(200)
    axes = sw.plot.raster(simulator, probe, neurons=4)
    most = np.sort([len(t) for t in simulator.spike_times(probe)])[-4:]
    assert axes.get_ylabel() == "cells\n4 most active of 30"
    assert sum(len(c.get_offsets()) for c in axes.collections) == most.sum()


PICTURES = {
    "raster": lambda c: sw.plot.raster(c, X[0], 12),
    "rates": lambda c: sw.plot.rates(c.run(X, 12, progress=False)),
    "sweep": lambda c: sw.plot.sweep(sw.sweep(demo.MODEL, X, Y, steps=8, progress=False)),
}
"""A picture of every function."""


@pytest.mark.parametrize("name", sw.plot.__all__)
def test_every_picture_says_what_it_shows(name: str, conversion: sw.Conversion) -> None:
    """A title, a name and a unit for the numbers of the lowest axis, and a legend."""
    figure = PICTURES[name](conversion).figure
    texts = [t.get_text() for t in figure.findobj(plt.Text)]
    units = ("(ms)", "(Hz)", "scale")
    assert figure.axes and any(t[:1].isupper() for t in texts)
    assert any(unit in panel.get_xlabel() for panel in figure.axes for unit in units)
    assert any(word in texts for word in ("a spike", "mean", "mean readout"))
