"""Python steps that share something are called in turn, and not block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest

import spikewright as sw
from sharing import COPIED, WAYS, close, network, positions
from slowly import in_turn
from spikewright import engines
from spikewright.errors import BuildError
from spikewright.network import NodeFunction

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
