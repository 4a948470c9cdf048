"""Runs that are interrupted or fail, and simulators that are pickled and copied."""

from __future__ import annotations

import _thread
import copy
import pickle
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from slowly import in_turn
from spikewright import engines
from spikewright.errors import SimulationError

STEPS, DT = 24, 0.001
BLOCKS = (None, 1, 7)


@pytest.fixture(autouse=True)
def _ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, also where a shell runs the tests in its background and turned it off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Drifting:
    """A function of a node that keeps how often it was called, and does something at one step."""

    def __init__(self, act: Callable[[], Any] | None = None, at: int = 0) -> None:
        self.act, self.at = act, at
        self.calls: list[float] = []

    def __call__(self, t: float, x: NDArray) -> NDArray:
        if self.act is not None and round(t / DT) == self.at:
            act, self.act = self.act, None
            act()
        self.calls.append(t)
        return 0.5 * x + 0.01 * (len(self.calls) % 7)


def wave(t: float) -> float:
    """A function that can be pickled."""
    return float(np.sin(40.0 * t))


def network(function: Any = None, source: Any = wave) -> tuple[sw.Network, list[sw.Probe]]:
    """Learning, noise, a loop through a Python function; probes of several periods."""
    with sw.Network(seed=1) as net:
        given, drift = sw.Node(source, size_out=1), function or Drifting()
        first, second = sw.Ensemble(12, 1), sw.Ensemble(12, 1)
        called = sw.Node(drift, size_in=1, size_out=1, label="drifting")
        noise = sw.Node(sw.processes.FilteredNoise(sw.Lowpass(0.01)), label="noise")
        sw.Connection(given, first)
        sw.Connection(noise, second)
        learned = sw.Connection(first, second, learning_rule_type=sw.PES(1e-2))
        sw.Connection(second, called, 0.005)
        sw.Connection(called, first)
        sw.Connection(called, learned.learning_rule)
        probes = [
            sw.Probe(second, synapse=0.01),
            sw.Probe(first.neurons, sample_every=0.003),
            sw.Probe(called),
            sw.Probe(learned, "weights", sample_every=0.005),
            sw.Probe(given),
        ]
    return net, probes


def simulator(net: sw.Network, engine: str, **how: Any) -> sw.Simulator:
    """A simulator of millisecond steps."""
    return sw.Simulator(net, DT, engine=engine, progress=False, **how)


def recorded(engine: str, **how: Any) -> list[NDArray]:
    """Recordings of a run that nothing interrupts."""
    net, probes = network()
    sim = simulator(net, engine, **how)
    sim.run_steps(STEPS)
    return [sim.data[p] for p in probes]


def same(found: sw.Simulator, probes: list[sw.Probe], expected: list[NDArray]) -> None:
    """The same recordings."""
    for probe, values in zip(probes, expected, strict=True):
        np.testing.assert_array_equal(found.data[probe], values)


def agree(sim: sw.Simulator, probes: list[sw.Probe]) -> None:
    """`data`, `trange`, `n_steps` and `time` tell of the same number of steps."""
    assert sim.time == sim.n_steps * DT
    for probe in probes:
        assert len(sim.data[probe]) == len(sim.trange(probe.sample_every))


@pytest.mark.parametrize(("block", "engine"), in_turn(BLOCKS, engines.available()))
def test_an_interrupted_run_goes_on_to_the_same_bits(engine: str, block: int | None) -> None:
    """Ctrl-C within a function, at any step: recordings agree, and the rest is as in one run.

    The function is not called again for the steps that it was called for.
    """
    expected = recorded(engine, block=block)
    for at in (1, 6, 15, STEPS):
        drift = Drifting(lambda: signal.raise_signal(signal.SIGINT), at)
        net, probes = network(drift)
        sim = simulator(net, engine, block=block)
        with pytest.raises(KeyboardInterrupt):
            sim.run_steps(STEPS)
        assert sim.n_steps <= at
        agree(sim, probes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if engines.get(engine, sim.program).exact:  # else the cut into blocks may round
                sim.step()
            sim.run_steps(STEPS - sim.n_steps)
        same(sim, probes, expected)
        assert len(set(drift.calls)) == len(drift.calls) == STEPS


@pytest.mark.parametrize(("block", "engine"), in_turn(BLOCKS, engines.available()))
def test_a_failed_run_keeps_the_steps_before(engine: str, block: int | None) -> None:
    """A function raises at a step: all steps before it are recorded, and it goes on from there."""
    expected = recorded(engine, block=1 if engine == "torch" else block)
    for at in (1, 6, STEPS):
        net, probes = network(Drifting(lambda: 1 / 0, at))
        sim = simulator(net, engine, block=block)
        with pytest.raises(SimulationError, match=r"'drifting'.*ZeroDivisionError"):
            sim.run_steps(STEPS)
        assert sim.n_steps == at - 1
        agree(sim, probes)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sim.run_steps(STEPS - sim.n_steps)
        if engines.get(engine, sim.program).exact:
            same(sim, probes, expected)
        agree(sim, probes)


def test_an_interruption_of_kernels_goes_on() -> None:
    """Ctrl-C while native kernels compute, on two threads: their block is as if never begun."""
    with sw.Network(seed=0) as net:
        source = sw.Node(lambda t: np.sin(20.0 * t))
        cells = [sw.Ensemble(2000, 1, n_eval_points=200) for _ in range(3)]
        for pre, post in zip([source, *cells], cells, strict=False):
            sw.Connection(pre, post)
        probes = [sw.Probe(cells[-1], synapse=0.01), sw.Probe(cells[1].neurons[:9])]
    sim = simulator(net, "native", threads=2)
    sim.run_steps(3)
    timer = threading.Timer(0.3, _thread.interrupt_main)
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        sim.run_steps(10**6)
    done = sim.n_steps
    agree(sim, probes)
    sim.run_steps(50)
    whole = simulator(net, "native", threads=1)
    whole.run_steps(done + 50)
    same(sim, probes, [whole.data[p] for p in probes])


@pytest.mark.slow
@pytest.mark.parametrize("engine", engines.available())
def test_signals_at_any_time(engine: str) -> None:
    """Wherever signals come, a run gives the bits of one without any, or there is a warning."""
    rng, exact = np.random.default_rng(5), 0
    steps = 150
    expected = {}
    for block in BLOCKS:
        net, probes = network()
        sim = simulator(net, engine, block=block)
        sim.run_steps(steps)
        expected[block] = [sim.data[p] for p in probes]
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for _ in range(12):
            block = BLOCKS[rng.integers(len(BLOCKS))]
            net, probes = network()
            sim = simulator(net, engine, block=block)
            warned = False
            for _ in range(6):
                with warnings.catch_warnings(record=True) as told:
                    warnings.simplefilter("always")
                    with suppress(KeyboardInterrupt):
                        signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-4, 2e-2))
                        sim.run_steps(steps - sim.n_steps)
                        signal.setitimer(signal.ITIMER_REAL, 0)
                warned = warned or bool(told)
                agree(sim, probes)
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                sim.run_steps(steps - sim.n_steps)
            if not (warned or told):
                same(sim, probes, expected[block])
                exact += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert exact > 0


@pytest.mark.parametrize("engine", engines.available())
def test_single_steps_fail_and_go_on(engine: str) -> None:
    """The same of `step`, where a function of time alone gives NaN once."""
    left = [np.nan]

    def given(t: float) -> float:
        return left.pop() if left and t > 2.5 * DT else t / DT

    with sw.Network(seed=0) as net:
        node = sw.Node(given, label="source", stateless=True)
        cells = sw.Ensemble(5, 1)
        sw.Connection(node, cells, None)
        probes = [sw.Probe(node), sw.Probe(cells.neurons), sw.Probe(node, sample_every=0.002)]
    sim = simulator(net, engine)
    sim.step()
    sim.step()
    with pytest.raises(SimulationError, match=r"'source'.*NaN"):
        sim.step()
    assert sim.n_steps == 2
    agree(sim, probes)
    for _ in range(3):
        sim.step()
    agree(sim, probes)
    np.testing.assert_allclose(sim.data[probes[0]][:, 0], [1, 2, 3, 4, 5])
    whole = simulator(net, engine)
    for _ in range(5):
        whole.step()
    same(whole, probes, [sim.data[p] for p in probes])


def test_going_on_with_another_input_is_refused() -> None:
    """A function that ran ahead was given other values: its answers would be wrong."""
    with sw.Network() as net:
        source = sw.Node([1.0])
        ahead = sw.Node(Drifting(), size_in=1, label="ahead")
        late = sw.Node(Drifting(lambda: 1 / 0, 5), size_in=1, label="late")
        sw.Connection(source, ahead, None)
        sw.Connection(ahead, late, None)
    sim = simulator(net, "reference", block=10)
    with pytest.raises(SimulationError, match="late"):
        sim.run_steps(10)
    assert sim.n_steps == 4
    with (
        pytest.warns(UserWarning, match=r"'late'.*sees it twice"),
        pytest.raises(SimulationError, match=r"'ahead'.*with another input.*reset"),
    ):
        sim.run_steps(3, {source: [2.0]})
    sim.run_steps(3)
    assert sim.n_steps == 7


def test_a_node_knows_the_present_step() -> None:
    """`n_steps` and `time` within a function are the steps before it, whatever the block."""
    seen: list[tuple[int, float]] = []
    with sw.Network() as net:
        node = sw.Node(lambda t: seen.append((sim.n_steps, t)) or 0.0, size_out=1)
        sw.Probe(node)
    sim = simulator(net, "auto")
    sim.run_steps(5)
    sim.step()
    assert [n for n, _ in seen] == [round(t / DT) - 1 for _, t in seen] == list(range(6))
    assert sim.n_steps == 6


@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize("engine", engines.available())
def test_pickled_and_copied_simulators_go_on(engine: str, batch_size: int | None) -> None:
    """Each has the recordings, goes on to the same bits, and does not disturb the others."""
    net, probes = network()
    sim = simulator(net, engine, batch_size=batch_size)
    sim.run_steps(9)
    copied = copy.deepcopy(sim)
    pickled, theirs = pickle.loads(pickle.dumps((sim, probes)))
    for one in (sim, copied, pickled):
        one.run_steps(4)
        one.step()
    copied.run_steps(3)
    sim.run_steps(3)
    assert sim.n_steps == copied.n_steps == 17 and pickled.n_steps == 14
    for probe, other in zip(probes, theirs, strict=True):
        np.testing.assert_array_equal(copied.data[probe], sim.data[probe])
        axis = 0 if batch_size is None else 1
        known = pickled.data[other].shape[axis]
        np.testing.assert_array_equal(
            pickled.data[other], np.take(sim.data[probe], range(known), axis)
        )
    assert pickled.network is not net and copied.network is net


def test_an_interrupted_simulator_is_pickled() -> None:
    """Answers that functions have given ahead are part of it."""
    expected = recorded("reference")
    net, probes = network(Drifting(lambda: 1 / 0, 15))
    sim = simulator(net, "reference")
    with pytest.raises(SimulationError):
        sim.run_steps(STEPS)
    net.all_nodes[1].output.act = None
    other, theirs = pickle.loads(pickle.dumps((sim, probes)))
    other.run_steps(STEPS - other.n_steps)
    same(other, theirs, expected)


def test_what_cannot_be_pickled_is_named() -> None:
    """The node or connection, the reason, and what to do."""
    net, _ = network(source=lambda t: 0.5)
    net.all_nodes[0].label = "lambda"
    with pytest.raises(SimulationError, match=r"<Node 'lambda'>.*function cannot be pickled.*Give"):
        pickle.dumps(simulator(net, "reference"))
    copied = copy.deepcopy(simulator(net, "reference"))  # a copy shares what cannot change
    copied.step()
    net, _ = network()
    connection = net.all_connections[2]
    with net:
        sw.Connection(connection.pre_obj, connection.post_obj, function=lambda x: x**2)
    with pytest.raises(SimulationError, match=r"<Connection.*function cannot be pickled"):
        pickle.dumps(simulator(net, "reference"))


total = [0.0]


def adding(t: float) -> float:
    """A function that keeps something outside itself."""
    total[0] += 1.0
    return total[0]


def test_what_a_pickle_leaves_out_is_told() -> None:
    """A function of a module is pickled by name, without what the module keeps for it."""
    with sw.Network() as net:
        sw.Node(adding, label="adding")
    with pytest.warns(UserWarning, match=r"'adding'.*pickled by name"):
        pickle.dumps(simulator(net, "reference"))


@pytest.mark.parametrize("batch_size", [None, 2])
def test_recordings_are_read_only(batch_size: int | None) -> None:
    """Nobody changes them by accident; a copy can be changed, and a run records on."""
    net, probes = network()
    sim = simulator(net, "auto", batch_size=batch_size)
    sim.run_steps(3)
    for probe in probes:
        with pytest.raises(ValueError, match="read-only"):
            sim.data[probe][...] = 1.0
        sim.data[probe].copy()[...] = 1.0
    sim.step()
    agree_on = sim.data[probes[0]]
    assert agree_on.shape[0 if batch_size is None else 1] == 4
