"""One step at a time: steps are a run, and what stays between them is noticed to change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import spikewright as sw
from engines.looping_networks import looping_network
from engines.random_networks import random_network
from spikewright import engines
from spikewright.engines import Execution, Tape, compile_network
from spikewright.engines.stepping import Stepper
from spikewright.errors import SimulationError
from spikewright.network.neurons import LIF, NeuronType

if "native" not in engines.available():
    pytest.skip("the native engine was not built", allow_module_level=True)

from spikewright.engines.native.engine import NativeEngine
from spikewright.engines.native.running import RegionKernel

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


def driven(
    kind: NeuronType | None = None, output: Any = None, synapse: Any = 0.005, n: int = 20
) -> tuple[sw.Network, sw.Node, sw.Probe]:
    """A source, an ensemble behind a filter, and what is decoded from it."""
    with sw.Network(seed=1) as net:
        source = sw.Node(np.array([0.7]) if output is None else output, size_out=1)
        cells = sw.Ensemble(n, 1, neuron_type=kind or LIF())
        sw.Connection(source, cells, synapse=synapse)
        return net, source, sw.Probe(cells, synapse=0.01)


def taken(sim: sw.Simulator) -> Stepper | None:
    """The stepper that a simulator's last step left for the next one."""
    return sim._execution._stepper


def test_a_step_is_one_call_of_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the whole network is native no step after the first looks at its plan again."""
    net, _, probe = driven(output=np.sin)
    with sw.Simulator(net, progress=False, engine="native") as sim:
        sim.step()
        stepper = taken(sim)
        assert stepper is not None
        monkeypatch.setattr(Execution, "_prepared", lambda *_: pytest.fail("a step was run so"))
        monkeypatch.setattr(RegionKernel, "run", lambda *_: pytest.fail("a kernel was run"))
        for _ in range(STEPS):
            sim.step()
        assert taken(sim) is stepper
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
                assert taken(sim) is None
            found.append(sim.data[probe])
    assert found[0].any()
    np.testing.assert_array_equal(*found)


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
