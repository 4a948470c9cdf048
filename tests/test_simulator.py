"""The simulator: runs, inputs, recordings, resets, seeds, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import spikewright as sw
from conformance.mixed import MixedNetwork
from populations import cells, simulator
from spikewright.errors import BuildError, MissingExtraError, NetworkError, SimulationError
from spikewright.simulator_data import SimulationData

both = pytest.mark.parametrize("precision", sw.engines.PRECISIONS)


@both
def test_the_worked_example_of_rates(precision: sw.engines.Precision) -> None:
    """Without spikes, every step reads 1 and 2, whatever the scale."""
    for scale in (1.0, 5.0, 10.0):
        with sw.Network() as net:
            stimulus = sw.Node(1.0)
            first, second = (
                cells(neuron_type=sw.RectifiedLinear(), rate_scale=scale) for _ in range(2)
            )
            sw.Connection(stimulus, first.neurons, synapse=None)
            sw.Connection(first.neurons, second.neurons, transform=2.0, synapse=None)
            probes = sw.Probe(first.neurons), sw.Probe(second.neurons)
        with simulator(net, dt=0.1, precision=precision) as sim:
            sim.run_steps(12)
        assert [sim.data[p][:, 0].tolist() for p in probes] == [[1.0] * 12, [2.0] * 12]
        assert sim.data[first].gain == scale and sim.data[first].max_rates == scale


# The worked example


# Running


def test_steps_and_time() -> None:
    """The first step's time is dt; `run` rounds seconds to steps."""
    with sw.Network() as net:
        probe = sw.Probe(sw.Node(lambda t: t))
    sim = simulator(net, dt=0.01)
    assert (sim.n_steps, sim.time) == (0, 0.0) and sim.trange().tolist() == []
    sim.step()
    sim.run_steps(3)
    sim.run(0.0549)
    sim.run(0.0)
    sim.run_steps(0)
    assert sim.n_steps == 9 and math.isclose(sim.time, 0.09)
    np.testing.assert_allclose(sim.trange(), np.arange(1, 10) * 0.01)
    np.testing.assert_allclose(sim.data[probe][:, 0], sim.trange())
    np.testing.assert_allclose(sim.trange(sample_every=0.03), [0.03, 0.06, 0.09])


def test_a_run_shorter_than_half_a_step_warns() -> None:
    """It does nothing, and says so."""
    with sw.Network() as net:
        sw.Node([1.0])
    sim = simulator(net)
    with pytest.warns(UserWarning, match=r"0.0001 s is less than half a step of 0.001 s"):
        sim.run(0.0001)
    assert sim.n_steps == 0


def test_data_before_any_step_is_empty_and_of_the_right_shape() -> None:
    """So that code that reads it need not ask first."""
    with sw.Network() as net:
        probe = sw.Probe(sw.Node(np.zeros((2, 3))))
    assert simulator(net).data[probe].shape == (0, 2, 3)
    data = simulator(net, batch_size=4, precision="float32").data[probe]
    assert data.shape == (4, 0, 2, 3) and data.dtype == np.float32


@both
def test_recordings_have_the_precisions_type(precision: sw.engines.Precision) -> None:
    """float32 or float64, across several runs."""
    with sw.Network() as net:
        probe = sw.Probe(sw.Node([1.0]))
    sim = simulator(net, precision=precision)
    sim.run_steps(2)
    sim.run_steps(1)
    assert sim.data[probe].dtype == precision and sim.data[probe].shape == (3, 1)
    assert sim.precision == precision and sim.engine == "reference"


def test_a_batch_has_its_axis_first() -> None:
    """Of inputs and recordings; what is not fed is the same for all samples."""
    with sw.Network() as net:
        fed, constant, end = sw.Node(np.zeros(2)), sw.Node([5.0, 6.0]), sw.Node(size_in=2)
        sw.Connection(fed, end, None)
        sw.Connection(constant, end, None)
        probe, same = sw.Probe(end), sw.Probe(constant)
    sim = simulator(net, batch_size=3)
    held = np.arange(6.0).reshape(3, 2)
    sim.run_steps(2, {fed: held})
    changing = np.arange(12.0).reshape(3, 2, 2)
    sim.run_steps(2, {fed: changing})
    expected = np.concatenate([np.repeat(held[:, None], 2, axis=1), changing], axis=1)
    np.testing.assert_array_equal(sim.data[probe], expected + np.array([5.0, 6.0]))
    np.testing.assert_array_equal(sim.data[same], np.broadcast_to([5.0, 6.0], (3, 4, 2)))


def test_a_batch_of_one_keeps_its_axis() -> None:
    """`batch_size=1` and no batch differ in shape alone."""
    with sw.Network() as net:
        probe = sw.Probe(sw.Node(lambda t: t))
    alone, batch = simulator(net), simulator(net, batch_size=1)
    for sim in (alone, batch):
        sim.run_steps(4)
    np.testing.assert_array_equal(batch.data[probe], alone.data[probe][None])


def test_inputs_hold_for_one_run() -> None:
    """Held constant or one value a step; the next run has the node's own constant again."""
    with sw.Network() as net:
        node = sw.Node(np.array([[1.0, 2.0]]))
        probe = sw.Probe(node)
    sim = simulator(net)
    sim.run_steps(1)
    sim.run_steps(2, {node: [[3, 4]]})
    sim.run(0.002, {node: np.array([[[5, 6]], [[7, 8]]], np.int32)})
    sim.run_steps(1)
    expected = [[1, 2], [3, 4], [3, 4], [5, 6], [7, 8], [1, 2]]
    assert sim.data[probe][:, 0].tolist() == expected


def test_inputs_may_change_afterwards_without_changing_what_was_recorded() -> None:
    """Recordings are copies."""
    with sw.Network() as net:
        node = sw.Node([0.0])
        probe = sw.Probe(node)
    sim = simulator(net)
    value = np.array([3.0])
    sim.run_steps(2, {node: value})
    value[:] = 9.0
    assert sim.data[probe][:, 0].tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    ("batch_size", "value", "message"),
    [
        (None, np.zeros(3), r"'in'> takes \(2,\) held constant or \(5, 2\), got shape \(3,\)"),
        (None, np.zeros((4, 2)), r"got shape \(4, 2\)"),
        (None, 1.0, r"got shape \(\)"),
        (3, np.zeros(2), r"takes \(3, 2\) held constant or \(3, 5, 2\), got shape \(2,\)"),
        (3, np.zeros((2, 2)), r"got shape \(2, 2\)"),
        (3, np.zeros((3, 4, 2)), r"got shape \(3, 4, 2\)"),
        (None, [1.0, np.nan], r"what is fed to <Node 'in'> holds NaN or infinity"),
        (None, [1.0, np.inf], r"what is fed to <Node 'in'> holds NaN or infinity"),
        (None, ["a", "b"], r"what is fed to <Node 'in'> is not an array of numbers"),
        (None, [[1.0], [2.0, 3.0]], r"is not an array of numbers"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    batch_size: int | None, value: Any, message: str
) -> None:
    """The error names the node and both shapes that it takes; nothing was run."""
    with sw.Network() as net:
        node = sw.Node(np.zeros(2), label="in")
    sim = simulator(net, batch_size=batch_size)
    with pytest.raises(SimulationError, match=message):
        sim.run_steps(5, {node: value})
    assert sim.n_steps == 0
    sim.run_steps(5)


def test_only_constant_nodes_of_the_network_can_be_fed() -> None:
    """Junctions, functions, foreign nodes and other things cannot."""
    with sw.Network():
        foreign = sw.Node([1.0], label="foreign")
    with sw.Network() as net:
        junction = sw.Node(size_in=1, label="junction")
        function = sw.Node(lambda t: t, label="function")
    sim = simulator(net)
    for wrong in (foreign, junction, function, "name"):
        with pytest.raises(SimulationError, match="cannot be fed: only nodes of the network with"):
            sim.run_steps(1, {wrong: [1.0]})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"dt": 0.0}, BuildError, r"dt must be above 0 s, got 0.0"),
        ({"dt": -1}, BuildError, r"dt must be above 0 s, got -1"),
        ({"dt": math.nan}, BuildError, r"dt must be above 0 s, got nan"),
        ({"dt": math.inf}, BuildError, r"dt must be above 0 s, got inf"),
        ({"dt": "1 ms"}, BuildError, r"dt must be above 0 s, got '1 ms'"),
        ({"precision": "float16"}, BuildError, r"precision must be one of .* got 'float16'"),
        ({"batch_size": 0}, BuildError, r"batch_size must be None or a whole number from 1, got 0"),
        ({"batch_size": 2.5}, BuildError, r"batch_size must be .* got 2.5"),
        ({"engine": "warp"}, BuildError, r"engine must be 'auto' or one of .* got 'warp'"),
        ({"seed": -1}, NetworkError, r"Simulator: a seed is None or a whole number from 0, got -1"),
    ],
)
def test_impossible_options_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """The error names the option and the value."""
    with sw.Network() as net:
        sw.Node([1.0])
    with pytest.raises(error, match=message):
        simulator(net, **options)


def test_an_engine_that_is_not_installed_is_a_sentence_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And "auto" does without it."""
    with sw.Network() as net:
        sw.Node([1.0])
    monkeypatch.setattr(sw.engines, "available", lambda: ("reference",))
    with pytest.raises(MissingExtraError, match=r"pip install 'spikewright\[torch\]'"):
        simulator(net, engine="torch")
    assert simulator(net, engine="auto").engine == "reference"


@pytest.mark.parametrize("steps", [-1, 1.5, "3", True])
def test_impossible_numbers_of_steps_are_refused(steps: Any) -> None:
    """A run has whole steps."""
    with sw.Network() as net:
        sw.Node([1.0])
    with pytest.raises(SimulationError, match="a run has a whole number of steps, 0 or more"):
        simulator(net).run_steps(steps)


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_impossible_durations_are_refused(seconds: float) -> None:
    """A run lasts some seconds."""
    with sw.Network() as net:
        sw.Node([1.0])
    with pytest.raises(SimulationError, match="a run lasts 0 s or more"):
        simulator(net).run(seconds)


def test_a_closed_simulator_runs_no_more_and_keeps_its_data() -> None:
    """`with` closes it."""
    with sw.Network() as net:
        probe = sw.Probe(sw.Node([2.0]))
    with simulator(net) as sim:
        sim.run_steps(3)
    for forbidden in (sim.step, sim.reset, lambda: sim.run(0.1)):
        with pytest.raises(SimulationError, match="the simulator is closed"):
            forbidden()
    assert sim.data[probe].shape == (3, 1)


# Recordings


def test_everything_can_be_probed() -> None:
    """Outputs and inputs of nodes, all of neurons, and what a connection delivers."""
    steps, dt, scale = 8, 0.125, 4.0
    with sw.Network() as net:
        stimulus = sw.Node([3.0, 5.0], label="in")
        double = sw.Node(lambda t, x: 2 * x, size_in=2)
        ensemble = cells(
            2, neuron_type=sw.IntegrateAndFire(0.5), gain=2.0, bias=0.25, rate_scale=scale,
            initial_voltage="half",
        )  # fmt: skip
        sw.Connection(stimulus, double, None)
        link = sw.Connection(double[::-1], ensemble.neurons, None, 0.5)
        probes = {
            name: sw.Probe(target, attr)
            for name, target, attr in (
                ("node", double, None), ("node input", double, "input"), ("link", link, None),
                ("output", ensemble.neurons, None), ("input", ensemble.neurons, "input"),
                ("voltage", ensemble.neurons, "voltage"),
                ("spikes", ensemble.neurons, "spike_count"),
            )
        }  # fmt: skip
    sim = simulator(net, dt=dt)
    sim.run_steps(steps)
    data = {name: sim.data[probe] for name, probe in probes.items()}
    assert all(value.shape == (steps, 2) for value in data.values())
    assert data["node"][0].tolist() == [6.0, 10.0] and data["node input"][0].tolist() == [3.0, 5.0]
    assert data["link"][0].tolist() == [5.0, 3.0]
    current = scale * (2.0 * np.array([5.0, 3.0]) + 0.25)
    np.testing.assert_array_equal(data["input"], np.tile(current, (steps, 1)))
    integral = 0.5 + dt * current * np.arange(1, steps + 1)[:, None]
    spikes = np.diff(np.floor(integral), axis=0, prepend=0.0)
    np.testing.assert_array_equal(data["spikes"], spikes)
    np.testing.assert_array_equal(data["voltage"], integral - np.floor(integral))
    np.testing.assert_array_equal(data["output"], spikes * 0.5 / (scale * dt))


def test_sample_every_keeps_its_rhythm_across_runs() -> None:
    """Every n-th step of the simulation, whatever the runs; `trange` gives the times."""
    with sw.Network() as net:
        node = sw.Node(lambda t: t)
        every, rarely, rounded = (sw.Probe(node, sample_every=s) for s in (0.001, 0.003, 0.0026))
    sim = simulator(net)
    for steps in (1, 1, 5, 0, 2, 4):
        sim.run_steps(steps)
    np.testing.assert_allclose(sim.data[every][:, 0], 0.001 * np.arange(1, 14))
    np.testing.assert_allclose(sim.data[rarely][:, 0], [0.003, 0.006, 0.009, 0.012])
    np.testing.assert_allclose(sim.data[rarely][:, 0], sim.trange(0.003))
    np.testing.assert_allclose(sim.data[rounded], sim.data[rarely])


def test_data_knows_the_objects_of_its_network() -> None:
    """Probes, ensembles and connections, inner ones too; anything else is a KeyError that names."""
    mixed = MixedNetwork()
    sim = simulator(mixed.network, dt=mixed.dt)
    data = sim.data
    assert isinstance(data, SimulationData)
    everything = [
        *mixed.network.all_probes, *mixed.network.all_ensembles, *mixed.network.all_connections,
    ]  # fmt: skip
    assert len(data) == len(everything) and set(data) == set(everything)
    assert mixed.stimulus not in data
    with sw.Network() as other:
        foreign = sw.Probe(sw.Node([1.0]), label="foreign")
    for key in (foreign, mixed.stimulus, other, "name"):
        with pytest.raises(KeyError, match="is no probe, ensemble or connection of"):
            data[key]


def test_weights_are_the_users_own() -> None:
    """Never scaled by a rate, never rounded to a grid; of a connection without transform, 1."""
    matrix = np.random.default_rng(0).standard_normal((3, 2))
    with sw.Network() as net:
        stimulus, ensemble = sw.Node(np.ones(2)), cells(3, rate_scale=7.0)
        dense = sw.Connection(stimulus, ensemble.neurons, None, matrix)
        plain = sw.Connection(ensemble.neurons, sw.Node(size_in=3))
    data = simulator(net, precision="float32").data
    np.testing.assert_array_equal(data[dense].weights, matrix)
    assert data[plain].weights == 1.0


def test_functions_are_called_in_turn_in_blocks_of_one_step() -> None:
    """What one function leaves for another is there in the same step."""
    left: list[float] = []
    with sw.Network() as net:
        writer = sw.Node(lambda t: left.append(t) or t)  # type: ignore[func-returns-value]
        reader = sw.Node(lambda t, x: float(len(left)), size_in=1)
        sw.Connection(writer, reader, synapse=None)
        probe = sw.Probe(reader)
    left.clear()
    with simulator(net, block=1) as sim:
        sim.run_steps(4)
    assert sim.data[probe][:, 0].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("block", [0, -1, 1.5, True, "all"])
def test_blocks_that_cannot_be_are_refused(block: Any) -> None:
    """The message names the value."""
    with pytest.raises(BuildError, match=f"block .*{block!r}"):
        simulator(sw.Network(), block=block)


def test_probes_forget_and_the_run_goes_on() -> None:
    """After clearing, recordings begin with the next step; state and time stay."""
    with sw.Network() as net:
        probe = sw.Probe(sw.Node(lambda t: t))
    with simulator(net) as sim:
        sim.run_steps(3)
        sim.clear_probes()
        assert sim.data[probe].shape == (0, 1)
        sim.run_steps(2)
    np.testing.assert_allclose(sim.data[probe][:, 0], [0.004, 0.005])
    assert sim.n_steps == 5


def test_progress_bars_by_nengos_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """For all runs of a simulator, or for one of them; what Nengo's has beside it says so."""
    from spikewright import simulator

    asked: list[bool] = []
    bar = simulator.progress

    def noted(total: int, show: bool) -> Any:
        asked.append(show)
        return bar(total, show)

    monkeypatch.setattr(simulator, "progress", noted)
    with sw.Network() as net:
        sw.Node([1.0])
    for given in ({}, {"progress_bar": False}, {"progress": False}):
        with sw.Simulator(net, **given) as sim:
            sim.run_steps(1)
            sim.run(0.001, progress_bar=not given)
            sim.run_steps(1, progress_bar=bool(given))
    assert asked == [True, True, False, False, False, True, False, False, True]
    for name, message in (
        ("optimize", "Leave it out"),
        ("model", "built="),
        ("presision", "'prec"),
    ):
        with pytest.raises(
            TypeError, match=rf"Simulator\(\) has no argument '{name}'. .*{message}"
        ):
            sw.Simulator(net, **{name: 1})
    with pytest.raises(BuildError, match="models of Nengo's are for NengoSimulator"):
        sw.Simulator(object())  # type: ignore[arg-type]


def test_recordings_say_what_there_is() -> None:
    """Each probe, ensemble and connection with the shapes of what it has; of many the first."""
    with sw.Network(label="model", seed=0) as net:
        cells = sw.Ensemble(50, 2, label="cells")
        sw.Connection(
            cells, sw.Ensemble(4, None, gain=1.0, bias=0.0, label="layer")[:2], label="on"
        )
        sw.Connection(sw.Node([1.0]), sw.Ensemble(1, neuron_type=sw.Direct(), label="direct"))
        sw.Probe(cells, label="seen")
    with sw.Simulator(net, progress=False) as sim:
        sim.run_steps(10)
        text = repr(sim.data)
    first, *lines = text.splitlines()
    assert first == (
        "Data of 10 steps of <Network 'model' with 3 ensembles (55 neurons), 1 node, "
        "2 connections, 1 probe>:"
    )
    for line in (
        "  <Probe 'seen'>: (10, 2)",
        "  <Ensemble 'cells'>: gain, bias and encoders (50, 2)",
        "  <Ensemble 'layer'>: gain and bias (4,)",
        "  <Ensemble 'direct'>: eval_points (points, 1)",
        "  <Connection 'on'>: weights and decoders (2, 50)",
    ):
        assert line in lines
    with sw.Network() as many:
        sw.networks.EnsembleArray(5, 30)
    with sw.Simulator(many, progress=False) as sim:
        assert repr(sim.data).splitlines()[-1].startswith("  ... and ")
        assert len(repr(sim.data).splitlines()) < 20


# Blocks of steps, and recordings that are forgotten
