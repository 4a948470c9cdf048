"""`sim.spike_times`: when neurons spiked, from what their probes recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import spikewright as sw
from slowly import in_turn, of_each_type
from spikewright.errors import SimulationError
from spikewright.network.neurons import NEURON_TYPES
from spikewright.testing.modelling import NeuronExample, neuron_type_examples, sent_of

SPIKING = [e for e in neuron_type_examples() if e.neuron_type.spiking]


def driven(
    example: NeuronExample, n: int = 6, **given: Any
) -> tuple[sw.Network, sw.Node, sw.Ensemble]:
    """Neurons of a type, and the node that gives each its current."""
    with sw.Network(seed=0) as net:
        stimulus = sw.Node(np.zeros(n))
        cells = sw.Ensemble(
            n, None, neuron_type=example.neuron_type, gain=1.0, bias=0.0, rate_scale=example.scale,
            initial_voltage="zero", **given,
        )  # fmt: skip
        sw.Connection(stimulus, cells.neurons, None)
    return net, stimulus, cells


def times_of(sent: np.ndarray, dt: float) -> list[list[float]]:
    """The end of a step, once for each spike sent in it, neuron by neuron."""
    return [
        [(t + 1) * dt for t, count in enumerate(column) for _ in range(round(count))]
        for column in sent.T
    ]


@pytest.mark.parametrize(
    ("example", "attr"), in_turn(of_each_type(SPIKING), ["output", "spike_count"])
)
def test_every_spike_is_listed_at_the_end_of_its_step(example: NeuronExample, attr: str) -> None:
    """Of every spiking type: as often as it was sent, for both probes that record spikes."""
    steps = 20
    net, stimulus, cells = driven(example)
    currents = example.currents(steps, 6)
    with net:
        probe, counts = sw.Probe(cells.neurons, attr), sw.Probe(cells.neurons, "spike_count")
    with sw.Simulator(net, dt=example.dt, engine="reference", progress=False) as sim:
        sim.run_steps(steps, {stimulus: currents})
    sent = sent_of(example.neuron_type, sim.data[counts].astype(float))
    assert sent.any()
    found = sim.spike_times(probe)
    assert [times.tolist() for times in found] == times_of(sent, example.dt)
    assert all(np.isin(times, sim.trange()).all() for times in found)


def test_several_spikes_in_a_step_repeat_and_batches_have_a_list_a_sample() -> None:
    """A current of 2 / dt sends two spikes a step, half of that one, none nothing."""
    net, stimulus, cells = driven(NeuronExample("", sw.SpikingRectifiedLinear()), 3)
    with net:
        probe, part = sw.Probe(cells.neurons), sw.Probe(cells.neurons[1:])
    with sw.Simulator(net, dt=0.5, batch_size=2, progress=False) as sim:
        sim.run_steps(2, {stimulus: np.array([[4.0, 2.0, 0.0], [0.0, 0.0, 2.0]])})
    found = [[times.tolist() for times in sample] for sample in sim.spike_times(probe)]
    assert found[0] == [[0.5, 0.5, 1.0, 1.0], [0.5, 1.0], []]
    assert found[1] == [[], [], [0.5, 1.0]]
    of_part = [[times.tolist() for times in sample] for sample in sim.spike_times(part)]
    assert of_part == [sample[1:] for sample in found]


def test_times_go_on_where_recordings_were_deleted() -> None:
    """They are those of the simulation, not of the recording; so are they from run to run."""
    net, stimulus, cells = driven(NeuronExample("", sw.SpikingRectifiedLinear()), 1)
    with net:
        probe = sw.Probe(cells.neurons)
    with sw.Simulator(net, dt=0.5, progress=False) as sim:
        assert [times.tolist() for times in sim.spike_times(probe)] == [[]]
        sim.run_steps(3, {stimulus: [2.0]})
        sim.clear_probes()
        sim.run_steps(1, {stimulus: [2.0]})
        sim.step()
        sim.run_steps(2, {stimulus: [2.0]})
    assert sim.spike_times(probe)[0].tolist() == [2.0, 3.0, 3.5]


def test_neurons_that_start_again_send_what_is_assumed_again() -> None:
    """A spike that receivers take as sent is none, in the first step of every window."""
    kind = sw.BipolarIntegrateAndFire(max_spikes_per_step=1, spike_heights=(2, 1))
    net, stimulus, cells = driven(NeuronExample("", kind), 1, restart_every=3)
    with net:
        probe = sw.Probe(cells.neurons)
    with sw.Simulator(net, dt=0.5, progress=False) as sim:
        sim.run_steps(6, {stimulus: [4.0]})
    assert sim.spike_times(probe)[0].tolist() == [1.0, 1.5, 2.5, 3.0]


def test_probes_without_all_spikes_are_refused() -> None:
    """Of rates, of values, filtered, thinned out, or of another simulator: with the next move."""
    with sw.Network() as net:
        node = sw.Node(np.zeros(1))
        cells, rates = sw.Ensemble(5), sw.Ensemble(5, neuron_type=sw.LIFRate())
        sw.Connection(node, cells)
        wrong = [
            sw.Probe(node), sw.Probe(cells), sw.Probe(rates.neurons),
            sw.Probe(cells.neurons, "voltage"), sw.Probe(cells.neurons, synapse=0.01),
        ]  # fmt: skip
        thin = sw.Probe(cells.neurons, sample_every=0.01)
    with sw.Network():
        other = sw.Probe(sw.Ensemble(5).neurons)
    with sw.Simulator(net, progress=False) as sim:
        sim.run_steps(2)
    for probe in wrong:
        with pytest.raises(SimulationError, match=r"does not record spikes: probe the neurons"):
            sim.spike_times(probe)
    with pytest.raises(SimulationError, match=r"one step of 10, .* leave sample_every out"):
        sim.spike_times(thin)
    with pytest.raises(SimulationError, match="is no probe of"):
        sim.spike_times(other)


def test_every_spiking_type_has_an_example() -> None:
    """So that the law above is about all of them."""
    known = {name for name, kind in NEURON_TYPES.items() if kind.spiking}
    assert {type(e.neuron_type).__name__ for e in SPIKING} >= known
