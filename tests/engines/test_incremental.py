"""One step at a time: steps are a run, and what stays between them is noticed to change."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from conformance import neuron_type_examples, synapse_examples
from engines.comparing import Exceeding
from engines.looping_networks import looping_network
from engines.random_networks import random_network
from spikewright import engines
from spikewright.engines import Execution, Tape, compile_network
from spikewright.engines.incremental import IncrementalRunner
from spikewright.engines.recording import Recorder
from spikewright.engines.reference import ReferenceEngine
from spikewright.errors import SimulationError
from spikewright.network.learning import PES
from spikewright.network.neurons import LIF, NeuronType

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from spikewright.engines.native.engine import NativeEngine
from spikewright.engines.native.region_kernel import RegionKernel

STEPS = 30


def steps_of(execution: Execution, steps: int) -> list[NDArray]:
    """Recordings of steps, one by one."""
    program = execution.program
    tapes = [Tape.of(program, one, execution.batch) for one in program.recordings]
    for _ in range(steps):
        execution.advance(tapes)
    return [tape.array() for tape in tapes]


def assert_steps_are_a_run(
    net: sw.Network, dt: float, batch: int = 1, steps: int = STEPS, threads: int = 1
) -> Execution:
    """On the native engine, bit by bit, totals and learned weights too; one that has stepped."""
    program = compile_network(net, dt, 0, "float32")
    engine = NativeEngine(threads)
    whole, single = (Execution(program, engine, batch, net.all_ensembles) for _ in range(2))
    expected = whole.run(steps)
    found = steps_of(single, steps)
    for x, y in zip(found, expected, strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)
    for ensemble, sums in whole.summed().items():
        np.testing.assert_array_equal(single.summed()[ensemble].sent, sums.sent)
    for op, weights in whole.learned().items():
        np.testing.assert_array_equal(single.learned()[op], weights)
    return single


@pytest.mark.parametrize("seed", range(40))
def test_steps_of_random_networks_are_a_run(seed: int) -> None:
    """Stacks of layers, with counts that outgrow bytes and parts without native kernels."""
    made = random_network(np.random.default_rng(seed))
    made.stimulus.output = np.array(made.fed[0, 0])
    assert_steps_are_a_run(made.network, 0.125, batch=1 + seed % 3, steps=12)


@pytest.mark.parametrize("seed", range(200, 240))
def test_steps_of_loops_are_a_run(seed: int) -> None:
    """Loops with filters of all kinds, curved neurons and exact ones."""
    made = looping_network(np.random.default_rng(seed), curved=seed % 2 == 1)
    made.stimulus.output = np.array(made.fed[0, 0])
    assert_steps_are_a_run(made.network, 0.001, batch=1 + seed % 3, steps=25, threads=1 + seed % 2)


@pytest.mark.parametrize("seed", range(400, 430))
def test_steps_that_are_fed_are_a_run(seed: int) -> None:
    """Bit by bit, whatever the type of a step's values, and where it is another one than before."""
    made = random_network(np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    kinds = [np.uint8, np.float32, np.float64]
    fed = rng.integers(0, 9, (1 + seed % 3, STEPS, *made.stimulus.shape_out)).astype(float)
    program = compile_network(made.network, 0.125, 0, "float32")
    program = program.with_varying_sources([made.stimulus]) if seed % 2 else program
    engine = NativeEngine(1)
    whole, single = (Execution(program, engine, len(fed), made.populations) for _ in range(2))
    expected = whole.run(STEPS, {made.stimulus: fed})
    steps = []
    for i in range(STEPS):
        frame = fed[:, i : i + 1].astype(kinds[i // 8 % 3])
        steps.append(single.run_step({made.stimulus: frame}))
        frame[...] = 7  # a buffer that is used again
    for recorded, values in zip(zip(*steps, strict=True), expected, strict=True):
        np.testing.assert_array_equal(np.concatenate(recorded, axis=1), values)
    for ensemble, sums in whole.summed().items():
        np.testing.assert_array_equal(single.summed()[ensemble].sent, sums.sent)


def driven(
    kind: NeuronType | None = None, output: Any = None, synapse: Any = 0.005, n: int = 20
) -> tuple[sw.Network, sw.Node, sw.Probe]:
    """A source, an ensemble behind a filter, and what is decoded from it."""
    with sw.Network(seed=1) as net:
        source = sw.Node(np.array([0.7]) if output is None else output, size_out=1)
        cells = sw.Ensemble(n, 1, neuron_type=kind or LIF())
        sw.Connection(source, cells, synapse=synapse)
        return net, source, sw.Probe(cells, synapse=0.01)


@pytest.mark.parametrize("example", [pytest.param(e, id=e.id) for e in neuron_type_examples()])
def test_every_neuron_type_steps(example: Any) -> None:
    """The state of every type lasts from step to step."""
    with sw.Network(seed=1) as net:
        source = sw.Node(example.currents(1, 24)[0])
        cells = sw.Ensemble(
            24, None, neuron_type=example.neuron_type, gain=1.0, bias=0.5, rate_scale=example.scale
        )
        sw.Connection(source, cells.neurons, None)
        sw.Probe(cells.neurons)
    assert_steps_are_a_run(net, example.dt, batch=2)


@pytest.mark.parametrize("example", [pytest.param(e, id=e.id) for e in synapse_examples()])
def test_every_synapse_steps(example: Any) -> None:
    """The state of every filter lasts from step to step."""
    net, _, _ = driven(output=np.sin, synapse=example.synapse)
    assert_steps_are_a_run(net, 0.001)


def incremental_runner(sim: sw.Simulator) -> IncrementalRunner | None:
    """The incremental runner that a simulator keeps for its next step."""
    return sim._execution._incremental


def test_a_step_is_one_call_of_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the whole network is native no step after the first looks at its plan again."""
    net, _, probe = driven(output=np.sin)
    with sw.Simulator(net, progress=False, engine="native") as sim:
        sim.step()
        runner = incremental_runner(sim)
        assert runner is not None
        monkeypatch.setattr(Execution, "_start_run", lambda *_: pytest.fail("a step was run so"))
        monkeypatch.setattr(RegionKernel, "run", lambda *_: pytest.fail("a kernel was run"))
        for _ in range(STEPS):
            sim.step()
        assert incremental_runner(sim) is runner
        assert sim.n_steps == STEPS + 1
        assert len(sim.data[probe]) == STEPS + 1


def test_engines_without_steps_of_their_own_run() -> None:
    """The reference engine's steps are runs of one step."""
    net, _, probe = driven(output=np.sin)
    found = []
    for how in ("step", "run"):
        with sw.Simulator(net, progress=False, engine="reference") as sim:
            if how == "run":
                sim.run_steps(STEPS)
            else:
                for _ in range(STEPS):
                    sim.step()
                assert incremental_runner(sim) is None
            found.append(sim.data[probe])
    assert found[0].any()
    np.testing.assert_array_equal(*found)


CHANGES: dict[str, Callable[[sw.Node, int], None]] = {
    "replaced": lambda node, i: setattr(node, "output", np.array([0.1 * i])),
    "written into": lambda node, i: node.output.__setitem__(0, 0.1 * i),
    "became a function": lambda node, i: setattr(node, "output", lambda t: 0.1 * i + t),
    "another function": lambda node, i: setattr(node, "output", (np.sin, np.cos)[i % 2]),
    "now and then a function": lambda node, i: setattr(
        node, "output", np.sin if i % 2 else np.array([0.3 * i])
    ),
    "a number": lambda node, i: setattr(node, "output", [0.1 * i]),
}


def test_steps_runs_and_fed_values_take_turns() -> None:
    """One state for all of them; probes with a period keep their rhythm."""
    found = []
    for single in (True, False):
        net, source, probe = driven()
        with net:
            every = sw.Probe(net.ensembles[0].neurons, sample_every=0.003)
        with sw.Simulator(net, progress=False, engine="native") as sim:
            for i in range(12):
                for _ in range(i % 4):
                    if single:
                        sim.step()
                    else:
                        sim.run_steps(1)
                sim.run_steps(2, {source: np.array([0.2 * i])})
                sim.run_steps(3)
            found.append([np.array(sim.data[p]) for p in (probe, every)])
            assert sim.n_steps == 12 * 5 + 18
    for x, y in zip(*found, strict=True):
        assert x.any()
        np.testing.assert_array_equal(x, y)


def test_data_read_earlier_stays() -> None:
    """After every step there is one value more; arrays that were read do not change."""
    net, _, probe = driven(output=np.sin)
    with sw.Simulator(net, progress=False, engine="native") as sim:
        kept, copies = [], []
        for i in range(150):
            sim.step()
            kept.append(sim.data[probe])
            copies.append(kept[-1].copy())
            assert kept[-1].shape == (i + 1, 1)
            assert kept[-1].flags.c_contiguous
        sim.run_steps(50)
        whole = sim.data[probe]
        for seen, copy in zip(kept, copies, strict=True):
            np.testing.assert_array_equal(seen, copy)
            np.testing.assert_array_equal(whole[: len(copy)], copy)
        sim.clear_probes()
        assert sim.data[probe].shape == (0, 1)
        sim.step()
        assert sim.data[probe].shape == (1, 1)


@pytest.mark.parametrize("read", [False, True])
@pytest.mark.parametrize("batch", [None, 3])
def test_long_recordings_are_kept_in_pieces(
    batch: int | None, read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the size at which arrays no longer grow, and however often they are read."""
    for least, most in ((1, 1), (40, 100), (4, 4000)):
        monkeypatch.setattr("spikewright.engines.recording._LEAST_BYTES", least)
        monkeypatch.setattr("spikewright.engines.recording._MOST_BYTES", most)
        net, _, probe = driven(output=np.sin)
        with sw.Simulator(net, batch_size=batch, progress=False, engine="native") as sim:
            for i in range(70):
                sim.step()
                if i == 20:
                    sim.run_steps(5)
                if read and i % 4 == 0:
                    assert sim.data[probe].shape[-2] == i + 1 + 5 * (i >= 20)
            found = np.array(sim.data[probe])
            sim.reset()
            sim.run_steps(75)
            np.testing.assert_array_equal(found, sim.data[probe])


def test_blocks_of_one_step_are_recorded_in_that_step_alone() -> None:
    """Engines leave steps that no probe samples uninitialised; a constant fills its whole block."""
    net, _, _ = driven(output=np.sin)
    with net:
        every = sw.Probe(net.ensembles[0].neurons, sample_every=0.003)
    program = compile_network(net, 0.001, 0, "float32", [every])
    recorder = Recorder(program, ReferenceEngine(), 1, 0, 7)
    (recording,), (array,) = program.recordings, recorder.arrays
    array[...] = -1.0
    block = np.full((1, 1, *program.shapes[recording.signal]), 2.0)

    def record(start: int, count: int) -> list[bool]:
        recorder.record([(recording.signal, 0)], {recording.signal: block}, start, slice(1), count)
        return [bool(np.all(step == 2.0 * recording.factor)) for step in array[0]]

    assert record(0, 1) == record(1, 1) == [False, False]
    assert np.all(array == -1.0)
    assert record(2, 1) == [True, False]
    assert record(3, 4) == [True, True]


def test_a_step_makes_no_room_for_many_large_ones() -> None:
    """What one step records may be large; room is made for it alone."""
    with sw.Network(seed=1) as net:
        source = sw.Node(np.ones(100_000))
        probe = sw.Probe(source)
        cells = sw.Ensemble(5, None, neuron_type=LIF(), gain=1.0, bias=0.0)
        sw.Connection(source[:5], cells.neurons, None)
    with sw.Simulator(net, progress=False, engine="native") as sim:
        sim.step()
        assert incremental_runner(sim) is not None
        assert sim._recorded[probe]._rows.shape == (1, 1, 100_000)


def test_a_batch_steps_side_by_side() -> None:
    """Every sample keeps a state of its own; its axis comes first."""
    net, _, probe = driven(sw.PoissonSpiking(sw.LIFRate()), output=np.sin)
    found = []
    for step in (sw.Simulator.step, lambda sim: sim.run_steps(1)):
        with sw.Simulator(net, batch_size=3, progress=False, engine="native") as sim:
            for _ in range(STEPS):
                step(sim)
            found.append(sim.data[probe])
    assert found[0].shape == (3, STEPS, 1)
    np.testing.assert_array_equal(*found)


def test_counts_outgrow_a_byte_in_single_steps(exceeding: Exceeding) -> None:
    """Each step is done once, and is the run's."""
    with sw.Network(seed=1) as net:
        source = sw.Node(lambda t: 40.0 * t / 0.125)
        cells = sw.Ensemble(6, None, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.0)
        more = sw.Ensemble(4, None, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=0.0)
        sw.Connection(source, cells.neurons, None, np.linspace(1.0, 2.0, 6)[:, None])
        weights = np.random.default_rng(0).normal(size=(4, 6))
        sw.Connection(cells.neurons, more.neurons, None, weights)
        for population in (cells, more):
            sw.Probe(population.neurons, "spike_count")
    assert_steps_are_a_run(net, 0.125, steps=25)
    assert len(exceeding()) == 2  # of the run and of the steps


def test_functions_in_loops_are_called_once_a_step(exceeding: Exceeding) -> None:
    """In the order of time, also in the step in which a count outgrows a byte."""
    times: list[float] = []

    def back(t: float, x: NDArray) -> NDArray:
        times.append(t)
        return 3.0 * x

    with sw.Network(seed=1) as net:
        cells = sw.Ensemble(3, None, neuron_type=sw.IntegrateAndFire(), gain=1.0, bias=20.0)
        node = sw.Node(back, size_in=3)
        sw.Connection(cells.neurons, node, 0.2)
        sw.Connection(node, cells.neurons, None)
        probe = sw.Probe(cells.neurons)
    with sw.Simulator(net, dt=0.125, progress=False, engine="native") as sim:
        times.clear()
        for _ in range(STEPS):
            sim.step()
        np.testing.assert_allclose(times, 0.125 * np.arange(1, STEPS + 1))
        stepped = sim.data[probe]
    with sw.Simulator(net, dt=0.125, progress=False, engine="reference") as sim:
        sim.run_steps(STEPS)
        np.testing.assert_array_equal(sim.data[probe], stepped)
    assert exceeding()


class Keeping(NeuronType):
    """Neurons of a user's own that keep what they are given."""

    spiking = False
    seen: ClassVar[list[NDArray]] = []

    def step(self, xp: Any, current: Any, state: Any, clock: Any) -> Any:
        self.seen.append(current)
        state["old"] = 0.5 * state["old"] + current
        return state["old"].copy()

    def initial_values(self) -> dict[str, float]:
        return {"old": 0.0}


def test_what_kernels_of_others_are_given_is_their_own() -> None:
    """Arrays that stay from step to step are never handed to classes of a user's own."""
    net, *_ = driven(output=np.sin)
    with net:
        after = sw.Ensemble(20, None, neuron_type=Keeping(), gain=1.0, bias=0.0)
        sw.Connection(net.ensembles[0].neurons, after.neurons, None)
        sw.Probe(after.neurons)
    with sw.Simulator(net, progress=False, engine="native") as sim:
        Keeping.seen.clear()
        for _ in range(60):
            sim.step()
        assert incremental_runner(sim) is not None
        spikes = np.array([x[0].any() for x in Keeping.seen])
    assert len({id(x) for x in Keeping.seen}) == 60
    assert 0 < spikes.sum() < 60  # they differ, so none was overwritten by a later one


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_a_step_that_fails_is_not_done(error: BaseException) -> None:
    """An error or an interruption leaves what was recorded; the step is done when it goes on."""
    calls = 0

    def failing(t: float) -> float:
        nonlocal calls
        calls += 1
        if calls == 10:
            raise error
        return 0.5

    net, _, probe = driven(output=failing)
    calls = 0
    with sw.Simulator(net, progress=False, engine="native") as sim:
        for _ in range(9):
            sim.step()
        wanted = SimulationError if isinstance(error, Exception) else KeyboardInterrupt
        with pytest.raises(wanted):
            sim.step()
        assert len(sim.data[probe]) == 9
        with pytest.warns(UserWarning, match="the last run ended within a step"):
            sim.step()
        sim.run_steps(1)
        before = np.array(sim.data[probe])
        sim.reset()
        for _ in range(11):
            sim.step()
        np.testing.assert_array_equal(sim.data[probe], before)
    with pytest.raises(SimulationError, match="closed"):
        sim.step()


@pytest.mark.parametrize("returned", [np.nan, [1.0, 2.0], "no number", None])
def test_wrong_values_of_functions_name_the_node(returned: Any) -> None:
    """As in a run: the node, its time and the value."""
    now: Any = 0.5
    net, source, _ = driven(output=lambda t: now)
    messages = []
    for step in (sw.Simulator.step, lambda sim: sim.run_steps(1)):
        with sw.Simulator(net, progress=False, engine="native") as sim:
            now = 0.5
            step(sim)
            step(sim)
            now = returned
            with pytest.raises(SimulationError) as caught:
                step(sim)
            messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert repr(source) in messages[0]


def test_learning_that_diverges_is_told_in_its_step() -> None:
    """Weights that are no longer finite are the same error as in a run."""
    with sw.Network(seed=1) as net:
        source = sw.Node([1.0])
        cells = sw.Ensemble(20, 1, neuron_type=sw.RectifiedLinear())
        error = sw.Node(size_in=1)
        sw.Connection(source, cells, None)
        made = sw.Connection(cells, error, 0.005, learning_rule_type=PES(1e200))
        sw.Connection(error, made.learning_rule, None)
    raises = pytest.raises(SimulationError, match="no longer finite")
    with raises, sw.Simulator(net, progress=False, engine="native") as sim:
        for _ in range(STEPS):
            sim.step()


def test_simulators_step_in_threads() -> None:
    """Each has a state of its own, though they share an engine's kernels."""
    net, _, probe = driven(n=50)
    sims = [sw.Simulator(net, progress=False, engine="native") for _ in range(4)]
    begin = threading.Barrier(len(sims))

    def go(sim: sw.Simulator) -> None:
        begin.wait()
        for _ in range(100):
            sim.step()

    threads = [threading.Thread(target=go, args=(sim,)) for sim in sims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [sim.data[probe] for sim in sims]
    assert found[0].any()
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    for sim in sims:
        sim.close()


def test_steps_that_are_worth_threads_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times decide step by step; the results are those of one thread."""
    net, _, _ = driven(n=500)
    turns = iter(range(10**6))
    tuner = pytest.importorskip("spikewright.engines.native.thread_tuning").ThreadTuner
    monkeypatch.setattr(tuner, "threads", lambda *_: 1 + next(turns) % 3)
    assert_steps_are_a_run(net, 0.001, batch=2, threads=3)


def test_a_large_network_looks_at_its_memory_before_every_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only where a step needs little it is prepared for later ones."""
    monkeypatch.setattr("spikewright.engines.run.SMALL", 0)
    net, _, _ = driven()
    with sw.Simulator(net, progress=False, engine="native") as sim:
        sim.step()
        assert incremental_runner(sim) is None
        monkeypatch.setenv("SPIKEWRIGHT_MEMORY", "1e-9")
        with pytest.raises(SimulationError, match="available"):
            sim.step()
