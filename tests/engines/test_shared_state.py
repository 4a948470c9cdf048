"""Python steps that share something are called in turn, and not block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
from benchmarks.python_steps import chain

import spikewright as sw
from sharing import COPIED, WAYS, Pair, Robot, close, network, positions
from slowly import in_turn
from spikewright import engines
from spikewright.errors import BuildError, NetworkError, SimulationError
from spikewright.network import NodeFunction
from spikewright.network.synapses import WindowMean

STEPS = 12
ENGINES = engines.available()


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close()


@pytest.mark.parametrize(
    ("name", "engine", "first", "block"),
    in_turn(WAYS, ENGINES, ["sense", "sense", "act"], [None, None, None, 1]),
)
def test_a_loop_closes_through_what_functions_share(
    name: str, engine: str, first: str, block: int | None
) -> None:
    """The position that is sensed is the one that was left in the step before."""
    net, probe = network(WAYS[name](), first)
    with sw.Simulator(net, engine=engine, block=block, progress=False) as sim:
        sim.run_steps(STEPS)
    np.testing.assert_array_equal(sim.data[probe][:, 0], positions(STEPS))


@pytest.mark.parametrize(("name", "engine"), in_turn(sorted(COPIED), ENGINES))
def test_every_sample_has_copies_of_what_its_functions_share(name: str, engine: str) -> None:
    """Three samples run as each does alone; the first one has the functions themselves."""
    net, probe = network(WAYS[name]())
    with sw.Simulator(net, engine=engine, batch_size=3, progress=False) as sim:
        sim.run_steps(STEPS)
    np.testing.assert_array_equal(sim.data[probe][..., 0], [positions(STEPS)] * 3)


@pytest.mark.parametrize("name", sorted(WAYS.keys() - COPIED))
def test_what_cannot_be_copied_is_refused_for_a_batch(name: str) -> None:
    """The error names the node, what is shared, and what to do."""
    net, _ = network(WAYS[name]())
    with pytest.raises(BuildError, match=r"Node '(sense|act)'.*3 samples.*one sample at a time"):
        sw.Simulator(net, batch_size=3)


def _robot(first: str = "sense") -> tuple[sw.Network, sw.Probe, sw.Probe]:
    """A robot that neurons drive to 0.5, by what they are told of where it is."""
    robot = Robot()
    with sw.Network(seed=3) as net:
        sense = sw.Node(robot.sense, label="sense")
        act = sw.Node(robot.act, size_in=1, size_out=0, label="act")
        error = sw.Ensemble(50, 1, neuron_type=sw.LIF(), seed=4)
        sw.Connection(sw.Node([0.5]), error, synapse=None)
        sw.Connection(sense, error, transform=-1, synapse=0.005)
        sw.Connection(error, act, transform=0.02, synapse=0.01)
        return net, sw.Probe(sense), sw.Probe(error.neurons)


@pytest.mark.parametrize("engine", ENGINES)
def test_neurons_between_two_functions_are_part_of_the_loop(engine: str) -> None:
    """Blocks of any kind give what steps one by one give, and the robot comes to its goal."""
    found = []
    for block, steps in ((None, 200), (1, 200), (None, 1)):
        net, sensed, spikes = _robot()
        with sw.Simulator(net, engine=engine, block=block, progress=False) as sim:
            for _ in range(200 // steps):
                sim.run_steps(steps) if steps > 1 else sim.step()
        found.append((sim.data[sensed], sim.data[spikes]))
    for sensed_again, spikes_again in found[1:]:
        np.testing.assert_allclose(sensed_again, found[0][0], rtol=1e-6)
        np.testing.assert_array_equal(spikes_again, found[0][1])
    assert abs(found[0][0][-1, 0] - 0.5) < 0.1
    assert found[0][1].any()


def test_longer_blocks_are_for_those_who_know() -> None:
    """With `block=` above 1 each function is called for a whole block before the next one is."""
    net, sensed, _ = _robot()
    with sw.Simulator(net, block=200, progress=False) as sim:
        sim.run_steps(200)
    assert np.all(sim.data[sensed] == 1.0)


class Watched(sw.IntegrateAndFire):
    """Neurons that leave the number of their spikes for somebody else."""

    count: ClassVar = [0.0]

    def step(self, xp: Any, current: Any, state: Any, clock: Any) -> Any:
        """Spikes; their number is left."""
        spikes = super().step(xp, current, state, clock)
        self.count[0] += float(spikes.sum())
        return spikes


class Oja(sw.Oja):
    """A rule that leaves the number of its steps."""

    count: ClassVar = [0.0]

    def delta(self, xp: Any, weights: Any, signals: Any, state: Any, facts: Any) -> Any:
        """The change; the step is counted."""
        self.count[0] += 1.0
        return super().delta(xp, weights, signals, state, facts)


class Twice(NodeFunction):
    """A function on arrays that leaves the number of its calls."""

    accumulate = False
    count: ClassVar = [0.0]

    def output_shape(self, shape: Any) -> Any:
        """As it is."""
        return shape

    def apply(self, xp: Any, x: Any) -> Any:
        """Twice the input; the call is counted."""
        self.count[0] += 1.0
        return x + x


def _left_by(kind: Any) -> tuple[sw.Network, sw.Probe]:
    """A network with something that leaves numbers, and a node that reads them."""
    kind.count[0] = 0.0
    given = {"gain": np.ones(1), "bias": np.zeros(1)}
    with sw.Network(seed=0) as net:
        neurons = Watched() if kind is Watched else sw.IntegrateAndFire()
        a = sw.Ensemble(1, None, neuron_type=neurons, **given)
        sw.Connection(sw.Node([300.0]), a.neurons, synapse=None)
        if kind is Oja:
            b = sw.Ensemble(1, None, neuron_type=sw.IntegrateAndFire(), **given)
            rule = Oja(learning_rate=1e-9)
            sw.Connection(a.neurons, b.neurons, transform=[[1.0]], learning_rule_type=rule)
        if kind is Twice:
            twice = sw.Node(Twice(), size_in=1)
            sw.Connection(a.neurons, twice, synapse=None)
        reads = sw.Node(lambda t, x: kind.count[0], size_in=1, size_out=1)
        sw.Connection(a.neurons, reads, synapse=None)
        return net, sw.Probe(reads)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", [Watched, Oja, Twice])
def test_neurons_rules_and_functions_of_arrays_are_called_in_turn_too(
    kind: Any, engine: str
) -> None:
    """A node sees at every step how often they have been called, or what they have left."""
    net, probe = _left_by(kind)
    with sw.Simulator(net, engine=engine, progress=False) as sim:
        sim.run_steps(40)
    steps = sim.data[probe][:, 0]
    if kind is Watched:
        np.testing.assert_array_equal(steps, np.floor(0.3 * np.arange(1, 41) + 1e-9))
    else:
        assert set(np.diff(steps)) == {1.0}


@pytest.mark.parametrize("kind", [Watched, Oja, Twice])
def test_what_is_called_once_for_a_batch_has_no_copies(kind: Any) -> None:
    """The samples would share what it leaves."""
    net, _ = _left_by(kind)
    net.nodes[-1].output = lambda t, x: 0.0
    with pytest.raises(BuildError, match=r"keeps something outside the network.*2 samples"):
        sw.Simulator(net, batch_size=2)


@pytest.mark.parametrize("engine", ENGINES)
def test_functions_of_vectors_that_no_neurons_compute_are_called_in_turn(engine: str) -> None:
    """The function of a connection from an ensemble in direct mode shares as a node's does."""
    left: list[float] = []

    def noted(x: Any) -> Any:
        left.append(float(x[0]))
        return x

    with sw.Network() as net:
        clock = sw.Node(lambda t: t)
        direct = sw.Ensemble(1, 1, neuron_type=sw.Direct())
        sw.Connection(clock, direct, synapse=None)
        reads = sw.Node(lambda t, x: left[-1], size_in=1, size_out=1)
        sw.Connection(direct, reads, function=noted, synapse=None)
        probe = sw.Probe(reads)
    with sw.Simulator(net, engine=engine, progress=False) as sim:
        sim.run_steps(5)
    np.testing.assert_allclose(sim.data[probe][:, 0], 0.001 * np.arange(1, 6), rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_delay_line_belongs_to_its_sample(engine: str) -> None:
    """Three samples with different inputs come out as each does by itself, three steps late."""
    values = np.random.default_rng(0).normal(size=(3, 10, 1))

    def run(given: Any, batch: int) -> Any:
        line = [0.0] * 3

        def late(t: float, x: Any) -> float:
            line.append(float(x[0]))
            return line.pop(0)

        with sw.Network() as net:
            stimulus, delay = sw.Node([0.0]), sw.Node(late, size_in=1, size_out=1)
            sw.Connection(stimulus, delay, synapse=None)
            probe = sw.Probe(delay)
        with sw.Simulator(net, engine=engine, batch_size=batch, progress=False) as sim:
            sim.run_steps(4, {stimulus: given[:, :4]})
            sim.run_steps(6, {stimulus: given[:, 4:]})
        return sim.data[probe]

    found = run(values, 3)
    for sample in range(3):
        np.testing.assert_array_equal(found[sample], run(values[sample : sample + 1], 1)[0])
    np.testing.assert_allclose(found[:, 3:], values[:, :-3], rtol=1e-6)


def test_what_is_known_to_share_nothing_runs_in_blocks() -> None:
    """NumPy's functions, plain functions of time and input, and those that are marked."""
    table = np.arange(5.0)
    with sw.Network() as net:
        nodes = [
            sw.Node(np.sin), sw.Node(lambda t: [np.cos(t), 2.0 * t]), sw.Node(lambda t: t),
            sw.Node(lambda t: table[int(t) % 5], stateless=True),
        ]  # fmt: skip
        squared = sw.Node(lambda t, x: x**2 + abs(min(x)), size_in=1)
        sw.Connection(nodes[0], squared, synapse=None)
    program = engines.compile_network(net, 0.001, 0, "float32")
    assert not any(component.loops for component in program.components)

    with net:
        for _ in range(2):
            sw.Node(lambda t: table[int(t) % 5])
    program = engines.compile_network(net, 0.001, 0, "float32")
    (turn,) = (component for component in program.components if component.in_turn)
    assert [op.node for op in turn.operators] == net.nodes[-2:]


def test_a_table_that_nobody_changes_is_looked_up_by_all_samples() -> None:
    """A global array that functions only read is no state, and a closure's is not copied."""
    with sw.Network() as net:
        probe = sw.Probe(sw.Node(lambda t: _TABLE[round(t * 1000) % 5]))
    with sw.Simulator(net, batch_size=2, progress=False) as sim:
        sim.run_steps(3)
    np.testing.assert_array_equal(sim.data[probe][..., 0], [[1.0, 2.0, 3.0]] * 2)


_TABLE = np.arange(5.0)


def test_functions_are_not_replaced_in_the_middle_of_a_batch() -> None:
    """The samples' copies would be lost without a word; after a reset there are new ones."""
    kept: list[float] = []
    with sw.Network() as net:
        node = sw.Node(lambda t, x: x, size_in=1, label="late")
        probe = sw.Probe(node)
    with sw.Simulator(net, batch_size=2, progress=False) as sim:
        sim.run_steps(1)
        node.output = lambda t, x: x + 2.0
        sim.run_steps(1)
        node.output = lambda t, x: x + len(kept)
        with pytest.raises(SimulationError, match=r"'late'.*2 samples.*reset"):
            sim.run_steps(1)
        sim.reset()
        sim.run_steps(1)
    np.testing.assert_array_equal(sim.data[probe][..., 0], np.zeros((2, 1)))


@pytest.mark.parametrize("first", ["sense", "act"])
def test_functions_that_may_share_are_put_in_before_a_reset(first: str) -> None:
    """Nodes were made to run in blocks; the message says what to do, and then they take turns."""
    pair = WAYS["methods of an object"]()
    net, probe = network(Pair(lambda t: 1.0, lambda t, x: None), first)
    with sw.Simulator(net, progress=False) as sim:
        sim.step()
        for node in net.nodes:
            node.output = getattr(pair, node.label)
        for run in (sim.step, lambda: sim.run_steps(1)):
            with pytest.raises(SimulationError, match=r"Node '(sense|act)'.*may share.*reset"):
                run()
        sim.reset()
        sim.run_steps(STEPS)
    np.testing.assert_array_equal(sim.data[probe][:, 0], positions(STEPS))


@pytest.mark.parametrize("value", [1, "yes", None])
def test_a_mark_is_true_or_false(value: Any) -> None:
    """The message has the value; constants and processes take no mark."""
    with sw.Network(), pytest.raises(NetworkError, match=f"stateless is True or False.*{value!r}"):
        sw.Node(lambda t: t, stateless=value)
    with sw.Network(), pytest.raises(NetworkError, match="stateless is for Python functions"):
        sw.Node([1.0], stateless=True)


def test_the_benchmark_calls_in_turn_and_in_blocks() -> None:
    """The chain is one loop, and that of marked functions is none; both give the same."""
    found = []
    for given, loops in (({}, [True]), ({"stateless": True}, [])):
        net, probe = chain(sw, 4, **given)
        program = engines.compile_network(net, 0.001, 0, "float32")
        assert [one.in_turn for one in program.components if one.loops] == loops
        with sw.Simulator(net, progress=False) as sim:
            sim.run_steps(3)
        found.append(sim.data[probe])
    np.testing.assert_array_equal(*found)
    np.testing.assert_allclose(found[0][:, 0], [7.001, 7.002, 7.003], rtol=1e-6)


def _through(*synapses: Any, delay: float = 0.0) -> tuple[sw.Network, list[sw.Probe]]:
    """Two functions with neurons, weights that learn, counts and means between them."""
    rng = np.random.default_rng(5)
    given = {"gain": np.ones(6), "bias": np.zeros(6), "initial_voltage": "zero"}
    first, second = synapses
    with sw.Network(seed=2) as net:
        wave = sw.Node(lambda t, x: [np.sin(90.0 * x[0]), 1.0], size_in=1)
        sw.Connection(sw.Node(lambda t: t), wave, synapse=None)
        spikes = sw.Ensemble(6, None, neuron_type=sw.IntegrateAndFire(), **given)
        weights = rng.integers(-300, 500, (6, 2)).astype(float)
        sw.Connection(wave, spikes.neurons, transform=weights, synapse=first, delay=delay)
        cells = sw.Ensemble(20, 2, neuron_type=sw.LIF(), seed=3)
        rows = rng.normal(size=(2, 6)) / 3000
        sw.Connection(spikes.neurons, cells, transform=rows, synapse=second)
        squared = sw.Node(lambda t, x: x**2 + t, size_in=2)
        learned = sw.Connection(cells, squared, learning_rule_type=sw.PES(1e-3), synapse=0.01)
        sw.Connection(squared, learned.learning_rule, synapse=0.005)
        return net, [sw.Probe(item) for item in (wave, spikes.neurons, cells, squared)]


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "torch"])
@pytest.mark.parametrize(
    "between",
    [(0.005, None, 0.0), (None, 0.01, 0.003), (WindowMean(5), 0, 0.0), (0, WindowMean(4), 0.002)],
    ids=str,
)
def test_turns_change_nothing_where_nothing_is_shared(engine: str, between: Any) -> None:
    """All that lies between functions gives the same, bit by bit, step by step and in blocks."""
    *synapses, delay = between
    net, probes = _through(*synapses, delay=delay)
    found = []
    for turns, batch in (("none", 2), ("all", 2), ("all", 1)):
        program = engines.compile_network(net, 0.001, 0, "float32", turns=turns)
        assert any(one.in_turn for one in program.components) is (turns == "all")
        execution = engines.Execution(program, engines.get(engine, program), batch)
        pieces = [execution.run(steps) for steps in (17, 1, 42)]
        found.append([np.concatenate(arrays, axis=1)[:1] for arrays in zip(*pieces, strict=True)])
    assert len(found[0]) == len(probes)
    assert all(np.ptp(array) > 0 for array in found[0])
    for other in found[1:]:
        for expected, array in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(array, expected)
